"""Small runs made up through the store: what a report needs, without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from overpaint.benchmark.report import write_report
from overpaint.benchmark.store import CaseRow, ConditionRow, Key, Result, Store

SEEDS = 4
VOID = {"br", "img", "input", "meta"}

EVIL = """<script>alert('a & "b"')</script> 50% _of_ $x$ | {{ 7 * 7 }} \\end"""


# How often a picture shows the new: (source and positives, negatives).
CHANCES = {
    "baseline": (0.05, 0.05),
    "oracle": (0.97, 0.05),
    "refact": (0.9, 0.1),
    "time": (0.6, 0.5),
}


CONDITIONS = (
    ConditionRow("baseline", "baseline"),
    ConditionRow(
        "time",
        "time",
        {"lam": 0.1},
        about={"seconds_per_edit": 0.031, "kilobytes": 212.5, "parameters_percent": 1.95},
    ),
    ConditionRow(
        "refact",
        "refact",
        {"layer": 7},
        about={"seconds_per_edit": 14.2, "kilobytes": 5.4, "parameters_percent": 0.24},
    ),
    ConditionRow("oracle", "oracle"),
)


Make = Callable[..., Path]


def case(name: str, kind: str, old: str = "a rose", new: str = "a blue rose") -> CaseRow:
    def probe(place: str, part: str, prompt: str) -> dict[str, str]:
        texts = {"prompt": prompt, "old": old, "new": new, "oracle": new}
        return {"place": place, "part": part, **texts}

    places = [
        *[("positive", "generality", w) for w in ("in a vase", "on a hill", "at night")],
        *[("negative", "specificity", w) for w in ("a tulip", "a red car", "a tree")],
    ]
    rest = [
        probe(f"{word} {number % 3 + 1}", part, f"{name}: {prompt}")
        for number, (word, part, prompt) in enumerate(places)
    ]
    return CaseRow(name, kind, name, "a blue rose", [probe("source", "efficacy", name), *rest])


CASES = tuple(case(f"a rose {i}", "roles" if i % 3 else "attributes") for i in range(9))


def judged(condition: str, case: CaseRow, chances: tuple[float, float]) -> Iterable[Result]:
    """Results by chance, but the same ones for the same condition and case."""
    for probe in case.probes:
        chance = chances[probe["part"] == "specificity"]
        for seed in range(SEEDS):
            dice = random.Random(f"{condition} {case.name} {probe['place']} {seed}")
            new = 0.3 + 0.1 * dice.random() * (1 if dice.random() < chance else -1)
            picture = f"{condition}-{probe['place'].replace(' ', '')}" if seed == 0 else ""
            yield Result(Key(condition, case.name, probe["place"], seed), new, 0.3, 0.1, picture)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a run; returns its folder.

    ``leave_out`` is how many of the last condition's results are missing; ``keep`` of how many
    seeds pictures are kept, 0 or 1.
    """

    def run(
        conditions: Sequence[ConditionRow] = CONDITIONS,
        cases: Sequence[CaseRow] = CASES,
        chances: Mapping[str, tuple[float, float]] = CHANCES,
        leave_out: int = 0,
        measures: Iterable[tuple[Any, ...]] = (),
        keep: int = 1,
        notes: Mapping[str, Any] | None = None,
        **configuration: Any,
    ) -> Path:
        folder = tmp_path / "run"
        (folder / "pictures").mkdir(parents=True)
        whole = {"title": "Table 1", "model": "toybox", "seeds": SEEDS, "keep": keep, "steps": 6}
        with Store(folder / "run.sqlite", {**whole, **configuration}) as store:
            store.describe_conditions(conditions)
            store.describe_cases(cases)
            for condition in conditions:
                chance = chances.get(condition.name, (0.5, 0.5))
                results = [r for c in cases for r in judged(condition.name, c, chance)]
                last = leave_out if condition is conditions[-1] else 0
                store.add(results[: len(results) - last])
                for result in results:
                    if keep and result.picture:
                        _paint(folder / "pictures" / f"{result.picture}.png")
            for measure in measures:
                store.measure(*measure)
            store.note(notes or {"versions": {"a": "0.9"}, "command": "overpaint bench --seeds 4"})
        return folder

    return run


def _paint(path: Path) -> None:
    if not path.exists():
        dice = random.Random(path.name)
        colour = tuple(dice.randrange(60, 220) for _ in range(3))
        Image.new("RGB", (128, 128), colour).save(path)


class Reader(HTMLParser):
    """Tags that stay open or close what is not open, addresses, ids, and the text of elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.seen.append((tag, found))
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action", "data")]
        self.ids += [v or "" for k, v in attrs if k == "id"]
        self.attributes += [v or "" for _, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def written(folder: Path, pictures: int = 2) -> tuple[str, Reader]:
    """The page of the run in ``folder``, and what a browser would make of it."""
    text = write_report(folder, pictures=pictures)[0].read_text(encoding="utf-8")
    return text, Reader(text)


SWEEP = (
    CONDITIONS[0],
    *(
        ConditionRow(f"refact layer={n}", "refact", {"layer": n}, series="refact", x=n)
        for n in (3, 1, 2)
    ),
)


def write_windows(folder: Path) -> Path:
    """A run of LocoGen's windows: a style, an object that no window moves, a fact; one seed."""
    plain = {"style": (0.0, 0.9), "object": (0.0, 0.9), "fact": (0.5, 0.9)}
    first = {"style": (0.0, 0.7), "object": (0.0, 0.95), "fact": (0.8, 0.9)}
    second = {"style": (0.0, 0.6), "object": (0.0, 0.91), "fact": (0.4, 0.1)}
    seen = {"baseline": plain, "layers 0-1": first, "layers 1-2": second}
    texts = {"place": "source", "part": "efficacy", "prompt": "x", "old": "x", "new": "y"}
    rows = [
        ConditionRow(
            name, "locogen" if n else "baseline", series="locogen" if n else "", x=n or None
        )
        for n, name in enumerate(seen)
    ]
    configuration = {
        "title": "Windows",
        "seeds": 1,
        "keep": 1,
        "window": 2,
        "x_label": "first layer",
    }
    (folder / "pictures").mkdir()
    with Store(folder / "run.sqlite", configuration) as store:
        store.describe_conditions(rows)
        store.describe_cases([CaseRow(kind, kind, "x", "y", [texts]) for kind in plain])
        for name, pairs in seen.items():
            picture = name.replace(" ", "-")
            _paint(folder / "pictures" / f"{picture}.png")
            store.add(
                Result(Key(name, kind, "source", 0), *pair, 0.1, picture)
                for kind, pair in pairs.items()
            )
    return folder
