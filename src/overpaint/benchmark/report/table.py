"""A table as values, before it is HTML, Markdown, LaTeX or CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from overpaint.benchmark.score import Number


@dataclass(frozen=True)
class Cell:
    """A number with what is known about it, or a text, or nothing.

    ``spread`` is the deviation over seeds, ``low`` and ``high`` an interval; ``p`` a probability.
    """

    value: float | str | None = None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """``name`` heads the column in files, ``label`` where people read it.

    ``scale`` turns the values into what is shown: 100 for shares in percent. ``digits`` are those
    after the point, or, negative, all that count. ``better`` is 1 where more is better, -1 where
    less is, 0 where neither is; ``signed`` numbers show their +.
    """

    name: str
    label: str
    scale: float = 1.0
    digits: int = 1
    better: int = 0
    signed: bool = False

    @property
    def head(self) -> str:
        """The label with an arrow that says what is better."""
        return self.label + {1: " ↑", -1: " ↓", 0: ""}[self.better]

    def shown(self, value: float) -> str:
        """``value`` in the digits of this column; a true minus in negative ones."""
        value *= self.scale
        if not isfinite(value):
            return "–"
        if self.digits < 0:
            count = -self.digits
            text = f"{value:.{count}g}" if abs(value) < 10**count else f"{value:.0f}"
        else:
            text = f"{value:.{self.digits}f}"
        plus = "+" if self.signed and value > 0 else ""
        return plus + text.replace("-", "−")


@dataclass(frozen=True)
class Row:
    """``name`` heads the row; ``source`` says where numbers that are not ours come from.

    The best is sought among editors, and of them among those ``ranked``: measured on all cases.
    """

    name: str
    cells: Sequence[Cell]
    group: str = ""
    source: str = ""
    editor: bool = False
    ranked: bool = True


@dataclass(frozen=True)
class Table:
    """``name`` is the stem of its files; ``note`` says under it how it is to be read."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    heading: str = "Method"
    note: str = ""


def number(value: Number | None, *, deviates: bool = True) -> Cell:
    """A cell of a score's number; of a single seed there is no deviation."""
    if value is None:
        return Cell()
    return Cell(value.mean, value.spread if deviates else None, value.low, value.high)


def marked(table: Table) -> Table:
    """``table`` with the best editors of every group and column marked, where there is a choice."""
    rows = list(table.rows)
    for group in dict.fromkeys(row.group for row in rows):
        own = [i for i, row in enumerate(rows) if row.group == group and row.editor]
        chosen = [i for i in own if rows[i].ranked]
        for place, column in enumerate(table.columns):
            for i in _best(chosen, lambda i, k=place: rows[i].cells[k].value, column.better):
                cells = list(rows[i].cells)
                cells[place] = replace(cells[place], best=True)
                rows[i] = replace(rows[i], cells=cells)
    return replace(table, rows=rows)


def _best(
    places: Sequence[int], value: Callable[[int], float | str | None], better: int
) -> list[int]:
    values = {i: v for i in places if isinstance(v := value(i), int | float)}
    if len(set(values.values())) < 2 or not better:
        return []
    top = max(better * v for v in values.values())
    return [i for i, v in values.items() if better * v == top]
