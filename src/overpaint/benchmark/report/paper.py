"""The papers' own numbers: beside ours where a run is the paper's, by themselves on Toybox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from overpaint.benchmark.config import TOYBOX
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Cell, Column, Row, Table

SAID = ("condition", "kind", "source")  # keys of an entry that are no numbers
NOTE = (
    "Printed in the paper, for Stable Diffusion, its prompts and its judge. Nothing in this table "
    "was measured in this run, and none of it compares with this run's numbers, which are of "
    "Toybox; at most the order of the rows does."
)


def published(
    found: Findings, condition: str, kind: str, columns: Sequence[Column]
) -> Iterator[Row]:
    """The rows of a paper that stand beside ours; a paper's only kind is what a run calls all.

    None in a run on Toybox: they have a table of their own (:func:`elsewhere`).
    """
    for entry in () if on_toybox(found) else _entries(found):
        theirs = entry.get("kind") or "all"
        alone = found.kinds == ["all"] and kind == "all"
        if entry.get("condition") == condition and (theirs == kind or alone):
            cells = _cells(entry, columns)
            if any(cell.value is not None for cell in cells):
                yield Row(condition, cells, kind, source=_source(entry))


def elsewhere(found: Findings, scores: Sequence[Column]) -> Table | None:
    """All of a paper's numbers in a table of their own, for a run on Toybox.

    ``scores`` says how those are written that are shares.
    """
    entries = _entries(found)
    if not entries or not on_toybox(found):
        return None
    known = {column.name: column for column in scores}
    names = dict.fromkeys(key for entry in entries for key in entry if key not in SAID)
    columns = [known.get(name.lower()) or Column(name, _called(name), digits=2) for name in names]
    rows = [Row(str(e["condition"]), _cells(e, columns), _group(e)) for e in entries]
    order = list(dict.fromkeys(row.group for row in rows))
    rows.sort(key=lambda row: order.index(row.group))
    return Table("paper", "The paper's numbers, on Stable Diffusion", columns, rows, note=NOTE)


def on_toybox(found: Findings) -> bool:
    """Whether the run is of the embedded model, which no paper knows."""
    return found.configuration.get("model") == TOYBOX


def as_number(value: object) -> float | None:
    """``value`` if it is a number."""
    return float(value) if isinstance(value, int | float) else None


def _entries(found: Findings) -> Sequence[Mapping[str, Any]]:
    return found.configuration.get("paper") or ()


def _source(entry: Mapping[str, Any]) -> str:
    return str(entry.get("source") or "the paper")


def _group(entry: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (_source(entry), str(entry.get("kind") or "")) if part)


def _cells(entry: Mapping[str, Any], columns: Sequence[Column]) -> list[Cell]:
    known = {str(key).lower(): value for key, value in entry.items()}
    return [Cell(as_number(known.get(column.name.lower()))) for column in columns]


def _called(name: str) -> str:
    return "Δ" if name == "Delta" else name
