"""TIMED: implicit assumptions to edit, e.g. "A banana" is "A blue banana" (TIME, section 5.1)."""

from __future__ import annotations

from pathlib import Path

from overpaint.benchmark.datasets.table import Row, no_twins, read
from overpaint.types import Case, Edit, Probe

PROMPTS = range(1, 6)

COLUMNS = (
    "old",
    "new",
    *(f"{name}{n}" for n in PROMPTS for name in ("positive", "gt")),
    *(f"{name}{n}" for n in PROMPTS for name in ("negative", "gn")),
)


def read_timed(path: Path) -> tuple[Case, ...]:
    """The cases in a file of TIMED: all 147, the 104 that SD 1.4 can draw, or the 8 to tune on.

    ``gt`` is what a positive prompt shall show from now on, ``gn`` what a negative must not. Some
    rows of the published files repeat a prompt or have a ``gt`` equal to its prompt; they are
    kept as they are. DataError for a broken row, or an edit that occurs twice.
    """
    rows = read(path, COLUMNS)
    no_twins(rows, "new", lambda row: (row["old"].casefold(), row["new"].casefold()))
    return tuple(_case(row) for row in rows)


def _case(row: Row) -> Case:
    old, new = row["old"], row["new"]
    if old.casefold() == new.casefold():
        raise row.wrong("new", f"it equals the old {old!r}, so nothing would change")
    return Case(
        "attributes",
        Edit(old, new, destination=new),
        Probe(old, old, new),
        tuple(_probe(row, f"positive{n}", f"gt{n}") for n in PROMPTS),
        tuple(_probe(row, f"negative{n}", f"gn{n}") for n in PROMPTS),
    )


def _probe(row: Row, prompt: str, new: str) -> Probe:
    return Probe(row[prompt], row[prompt], row[new])
