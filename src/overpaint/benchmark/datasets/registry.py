"""The data sets by name, and how each comes to be read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from overpaint.benchmark.datasets import toybox
from overpaint.benchmark.datasets.coco import Caption, read_coco
from overpaint.benchmark.datasets.gender import Profession, read_gender
from overpaint.benchmark.datasets.iceb import SeededCase, read_iceb
from overpaint.benchmark.datasets.locogen import locogen, locogen_generic, read_pairs
from overpaint.benchmark.datasets.road import read_road
from overpaint.benchmark.datasets.timed import read_timed
from overpaint.errors import DataError
from overpaint.models.moments import default_cache_dir
from overpaint.toybox.cases import EDIT_KINDS, GenderCase, PromptPair
from overpaint.types import Case

Entry = Case | SeededCase | GenderCase | Profession | PromptPair | Caption


@dataclass(frozen=True)
class DataSet:
    """A data set: where it is published, and how its file is read or its entries are made.

    ``entries``  how many there are in the published file (0: as many as your file has).
    ``read``     reads a file in its layout; ``make`` makes those that come with Overpaint.
    ``homes``    addresses of ``file``, tried in order; whatever comes must have ``sha256``.
    """

    name: str
    summary: str
    entries: int
    read: Callable[[Path], Sequence[Entry]] | None = None
    make: Callable[[], Sequence[Entry]] | None = None
    file: str = ""
    sha256: str = ""
    homes: tuple[str, ...] = ()


_RAW = "https://raw.githubusercontent.com/"
_TIME = _RAW + "bahjat-kawar/time-diffusion/"
_TIMED = _TIME + "ff6644431eda0095836ecfd0dc74c440116420fb/"
_GENDER = _TIME + "97ea37b600b50caac2fa013ee60eb17cae685803/"
_ROAD = _RAW + "technion-cs-nlp/ReFACT/HEAD/road/"
_EMCID = _RAW + "SilentView/EMCID/fc97e2fc099e5baaf67a0eba59ad7ff1b76cef0d/data/"


def _published(
    name: str,
    summary: str,
    entries: int,
    read: Callable[[Path], Sequence[Entry]],
    file: str,
    sha256: str,
    *folders: str,
) -> DataSet:
    homes = tuple(folder + file for folder in folders)
    return DataSet(name, summary, entries, read, None, file, sha256, homes)


_timed = partial(_published, read=read_timed)

_SETS = (
    _published(
        "timed",
        "TIMED: implicit assumptions to edit (TIME)",
        147,
        read_timed,
        "TIMED_test_set.csv",
        "6ce405099d1b7e807349dab91f8f7637bffcbd61bd200cb8771793df7ed862a0",
        _TIMED,
    ),
    _published(
        "timed-filtered",
        "those of TIMED that Stable Diffusion 1.4 can draw",
        104,
        read_timed,
        "TIMED_test_set_filtered_SD14.csv",
        "4cfe995465e78504a724b99a261525f29713f7dadfcb6a7ceb89865f85fd325c",
        _TIMED,
    ),
    _published(
        "timed-validation",
        "TIMED's entries to choose settings on",
        8,
        read_timed,
        "TIMED_validation_set.csv",
        "d227e968ad4b04057fcd1b025adbbe7761f2b054c83f4269f785dccb7ea248c9",
        _TIMED,
    ),
    _published(
        "road",
        "RoAD: roles and appearances to edit (ReFACT)",
        90,
        read_road,
        "RoAD_test.csv",
        "356a051e2e878454ff25deb1137ab7e602cc35e7b997c51793d849f64bdd976e",
        _ROAD,
        _EMCID + "road/",
    ),
    _published(
        "road-validation",
        "RoAD's entries to choose settings on",
        10,
        read_road,
        "RoAD_validation.csv",
        "cff99b2df07eb22daa18a60697e9e3197b812884e176dcee5c2bb836e6d315e2",
        _ROAD,
        _EMCID + "road/",
    ),
    _published(
        "gender",
        "professions to be shown by women and men alike (TIME)",
        35,
        read_gender,
        "TIMED_gender_test_set.csv",
        "edb465c13ade4f46665cb968eb98ec7372fa5a51fa4662ccf111c388eb50fdcd",
        _GENDER,
    ),
    _published(
        "coco",
        "MS-COCO captions that an edit should leave alone",
        30_000,
        read_coco,
        "coco_30k.csv",
        "365e12764f8b9ee423f1684b7a8cb14babbbd3ae6cd61c1df96de578c3caf0b1",
        _EMCID + "coco/",
    ),
    DataSet("iceb", "concept edits as JSON {source, dest, prompts, seeds} (EMCID)", 0, read_iceb),
    DataSet("locogen", "styles, objects and facts to find in the layers", 68, read_pairs, locogen),
    DataSet("locogen-generic", "COCO's things at four places (LocoEdit)", 320, None, locogen_generic),
    *(
        DataSet(f"toybox-{kind}{end}", f"Toybox: {kind} to edit{note}", count, None, make)
        for kind in EDIT_KINDS
        for end, note, count, make in (
            ("", "", 40, toybox.edit_cases(kind)),
            ("-validation", ", to choose settings on", 8, toybox.edit_cases(kind, split="validation")),
        )
    ),
    DataSet("toybox-gender", "Toybox: professions and their genders", 0, None, toybox.professions),
    DataSet("toybox-pairs", "Toybox: styles, objects and facts", 0, None, toybox.prompt_pairs),
)
