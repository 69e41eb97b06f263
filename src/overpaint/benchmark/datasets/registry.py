"""The data sets by name: what is in each, and how it comes to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from overpaint.benchmark.datasets import toybox
from overpaint.benchmark.datasets.coco import Caption, read_coco
from overpaint.benchmark.datasets.emotions import emotion_cases
from overpaint.benchmark.datasets.gender import read_gender
from overpaint.benchmark.datasets.iceb import SeededCase, read_iceb
from overpaint.benchmark.datasets.locogen import locogen, locogen_generic, read_pairs
from overpaint.benchmark.datasets.road import read_road
from overpaint.benchmark.datasets.timed import read_timed
from overpaint.toybox.cases import EDIT_KINDS, PromptPair
from overpaint.toybox.people import people_cases
from overpaint.types import Case, GenderCase

Entry = Case | SeededCase | GenderCase | PromptPair | Caption


@dataclass(frozen=True)
class Source:
    """A published file: addresses to try in order, and what it must be whichever one gives it."""

    file: str
    sha256: str
    folders: tuple[str, ...]
    entries: int


@dataclass(frozen=True)
class DataSet:
    """A data set, read from a file in its layout (``read``) or made by Overpaint (``make``)."""

    name: str
    summary: str
    read: Callable[[Path], Sequence[Entry]] | None = None
    make: Callable[[], Sequence[Entry]] | None = None
    source: Source | None = None

    @property
    def entries(self) -> int | None:
        """How many there are; None where that depends on your file."""
        if self.make:
            return len(self.make())
        return self.source.entries if self.source else None


_RAW = "https://raw.githubusercontent.com"
_TIMED = f"{_RAW}/bahjat-kawar/time-diffusion/ff6644431eda0095836ecfd0dc74c440116420fb/"
_GENDER = f"{_RAW}/bahjat-kawar/time-diffusion/97ea37b600b50caac2fa013ee60eb17cae685803/"
_ROAD = f"{_RAW}/technion-cs-nlp/ReFACT/HEAD/road/"
_EMCID = f"{_RAW}/SilentView/EMCID/fc97e2fc099e5baaf67a0eba59ad7ff1b76cef0d/data/"

_PUBLISHED = {
    "timed": Source(
        "TIMED_test_set.csv",
        "6ce405099d1b7e807349dab91f8f7637bffcbd61bd200cb8771793df7ed862a0",
        (_TIMED,),
        147,
    ),
    "timed-filtered": Source(
        "TIMED_test_set_filtered_SD14.csv",
        "4cfe995465e78504a724b99a261525f29713f7dadfcb6a7ceb89865f85fd325c",
        (_TIMED,),
        104,
    ),
    "timed-validation": Source(
        "TIMED_validation_set.csv",
        "d227e968ad4b04057fcd1b025adbbe7761f2b054c83f4269f785dccb7ea248c9",
        (_TIMED,),
        8,
    ),
    "road": Source(
        "RoAD_test.csv",
        "356a051e2e878454ff25deb1137ab7e602cc35e7b997c51793d849f64bdd976e",
        (_ROAD, f"{_EMCID}road/"),
        90,
    ),
    "road-validation": Source(
        "RoAD_validation.csv",
        "cff99b2df07eb22daa18a60697e9e3197b812884e176dcee5c2bb836e6d315e2",
        (_ROAD, f"{_EMCID}road/"),
        10,
    ),
    "gender": Source(
        "TIMED_gender_test_set.csv",
        "edb465c13ade4f46665cb968eb98ec7372fa5a51fa4662ccf111c388eb50fdcd",
        (_GENDER,),
        35,
    ),
    "coco": Source(
        "coco_30k.csv",
        "365e12764f8b9ee423f1684b7a8cb14babbbd3ae6cd61c1df96de578c3caf0b1",
        (f"{_EMCID}coco/",),
        30_000,
    ),
}


def _published(name: str, summary: str, read: Callable[[Path], Sequence[Entry]]) -> DataSet:
    return DataSet(name, summary, read, source=_PUBLISHED[name])


def _toybox(kind: toybox.EditKind) -> tuple[DataSet, DataSet]:
    test, validation = (toybox.edit_cases(kind, split) for split in ("test", "validation"))
    return (
        DataSet(f"toybox-{kind}", f"Toybox: {kind} to edit", make=test),
        DataSet(f"toybox-{kind}-validation", "the same, to choose settings on", make=validation),
    )


_ALL = (
    _published("timed", "TIMED: implicit assumptions to edit (TIME)", read_timed),
    _published("timed-filtered", "those of TIMED that Stable Diffusion 1.4 can draw", read_timed),
    _published("timed-validation", "TIMED's entries to choose settings on", read_timed),
    _published("road", "RoAD: roles and appearances to edit (ReFACT)", read_road),
    _published("road-validation", "RoAD's entries to choose settings on", read_road),
    _published("gender", "professions to be shown by women and men alike (TIME)", read_gender),
    _published("coco", "MS-COCO captions, which an edit should leave alone", read_coco),
    DataSet("iceb", "your edits as JSON: source, dest, prompts, seeds (EMCID)", read_iceb),
    DataSet("locogen", "styles, objects, facts to find in layers (LocoGen)", read_pairs, locogen),
    DataSet("locogen-generic", "COCO's things at four places (LocoEdit)", make=locogen_generic),
    DataSet("emotions", "faces to edit layer by layer", make=lambda: emotion_cases(toybox=False)),
    *(one for kind in EDIT_KINDS for one in _toybox(kind)),
    DataSet("toybox-people", "Toybox: names and professions to edit", make=people_cases),
    DataSet(
        "toybox-people-validation",
        "the same, to choose settings on",
        make=lambda: people_cases("validation"),
    ),
    DataSet("toybox-gender", "Toybox: professions and their genders", make=toybox.professions),
    DataSet("toybox-captions", "Toybox: prompts that no edit is about", make=toybox.captions),
    DataSet("toybox-pairs", "Toybox: styles, objects, facts", make=toybox.prompt_pairs),
    DataSet(
        "toybox-pairs-validation",
        "the same, to choose settings on",
        make=lambda: toybox.prompt_pairs("validation"),
    ),
    DataSet("toybox-emotions", "Toybox: the same", make=lambda: emotion_cases(toybox=True)),
)

DATASETS = {one.name: one for one in _ALL}
