"""A summary table, and how it is written as CSV, Markdown and LaTeX. HTML has a template."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import pandas as pd

from overpaint.benchmark.report.formatting import Column, format_p

KEYS = ["group", "condition", "method", "source"]
STATISTICS = ["value", "sd", "low", "high", "p"]

Cells = Mapping[str, Mapping[str, float]]
"""The statistics of a row's cells by column name."""


@dataclass(frozen=True)
class Cell:
    """The text of a cell: value, ± deviation, interval, upper and lower error, p-value."""

    value: str
    sd: str = ""
    interval: str = ""
    errors: Sequence[str] | None = None
    p: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Row:
    """The text of a row. ``source`` is where published numbers are from, or ""."""

    name: str
    source: str
    muted: bool
    cells: Sequence[Cell]


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame with what it takes to print it.

    Attributes:
        name: Stem of its files.
        title: Heading.
        columns: The columns of the frame, with their labels and number formats.
        frame: Indexed by :data:`KEYS`; columns are pairs of column name and statistic
            (:data:`STATISTICS`), NaN where there is none.
        heading: Heading of the rows' names.
        note: How to read the table.
        bold: Pairs of row number and column name that are set in bold.
        editors: Conditions that edit the model; the other rows are set in grey.
    """

    name: str
    title: str
    columns: Sequence[Column]
    frame: pd.DataFrame
    heading: str = "Method"
    note: str = ""
    bold: frozenset[tuple[int, str]] = frozenset()
    editors: Collection[str] = ()

    def has(self, column: Column, statistic: str) -> bool:
        """Whether any row has the statistic in this column."""
        return bool(self.frame[column.name, statistic].notna().any())

    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows as text, by group; a single group goes without its name."""
        groups = [
            ("all cases" if name == "all" else name, [row for _, row in rows])
            for name, rows in groupby(self._rows(), lambda pair: pair[0])
        ]
        return groups if len(groups) > 1 else [("", rows) for _, rows in groups]

    def _rows(self) -> Iterator[tuple[str, Row]]:
        values = self.frame.to_numpy()
        edits = self.frame.index.get_level_values("condition").isin(self.editors)
        for number, (group, _, name, source) in enumerate(self.frame.index):
            width = len(STATISTICS)
            cells = [
                _cell(column, values[number, place * width : (place + 1) * width],
                      (number, column.name) in self.bold)
                for place, column in enumerate(self.columns)
            ]  # fmt: skip
            muted = bool(edits.any()) and not edits[number]
            yield group, Row(name, source, muted and not source, cells)


def table_frame(
    rows: Iterable[tuple[tuple[str, str, str, str], Cells]], columns: Sequence[Column]
) -> pd.DataFrame:
    """Build the frame of a :class:`Table` from (keys, cells) pairs, in their order."""
    rows = list(rows)
    wide = pd.MultiIndex.from_product([[column.name for column in columns], STATISTICS])
    values = [[cells.get(c, {}).get(s, float("nan")) for c, s in wide] for _, cells in rows]
    index = pd.MultiIndex.from_tuples([keys for keys, _ in rows], names=KEYS)
    return pd.DataFrame(values, index=index, columns=wide, dtype=float)


def to_csv(table: Table) -> str:
    """All digits, unscaled; deviations, bounds and p-values in columns of their own."""
    frame = table.frame.dropna(axis="columns", how="all")
    frame.columns = [name if s == "value" else f"{name}_{s}" for name, s in frame.columns]
    keys = frame.index.to_frame(index=False)
    keys = keys.loc[:, (keys != "").any()]
    return pd.concat([keys, frame.reset_index(drop=True)], axis=1).to_csv(index=False)


def to_markdown(tables: Iterable[Table]) -> str:
    """GitHub-flavoured Markdown, one section per table."""
    return "\n".join("\n".join(_markdown(table)) for table in tables)


def to_latex(tables: Iterable[Table]) -> str:
    """LaTeX floats that need the package booktabs; intervals as upper and lower errors."""
    head = "% \\usepackage{booktabs}; the CSV files have all digits\n"
    return head + "\n".join("\n".join(_latex(table)) for table in tables)


def _cell(column: Column, statistics: Any, bold: bool) -> Cell:
    value, sd, low, high, p = statistics
    plain = replace(column, signed=False)
    errors = None
    if low == low:  # not NaN
        # Rounded, and 0 added, so that no rounding error shows as a negative distance.
        errors = tuple(plain.format(round(d, 9) + 0.0) for d in (high - value, value - low))
    return Cell(
        column.format(value),
        f"±{plain.format(sd)}" if sd == sd else "",
        column.format_interval(low, high) if errors else "",
        errors,
        format_p(p),
        bold,
    )


def _markdown(table: Table) -> Iterator[str]:
    yield from (f"## {_md(table.title)}", "")
    for group, rows in table.groups():
        if group:
            yield from (f"### {_md(group)}", "")
        yield _line(_md(text) for text in (table.heading, *(c.heading for c in table.columns)))
        yield _line(["---", *("---:" for _ in table.columns)])
        for row in rows:
            name = f"*{_md(row.source)}*" if row.source else _md(row.name)
            yield _line([name, *map(_markdown_cell, row.cells)])
        yield ""
    if table.note:
        yield from (_md(table.note), "")


def _markdown_cell(cell: Cell) -> str:
    value = f"**{_md(cell.value)}**" if cell.bold else _md(cell.value)
    interval = f"({cell.interval})" if cell.interval else ""
    return " ".join(part for part in (value, cell.sd, interval, _md(cell.p)) if part)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_{}\[\]|~#])", r"\\\1", text)


def _latex(table: Table) -> Iterator[str]:
    note = table.note
    if any(table.has(column, "low") for column in table.columns):
        note += " Superscripts and subscripts are the distances to the ends of the interval."
    yield from ("\\begin{table}[t]", "\\centering", "\\small")
    yield f"\\caption{{{_tex(f'{table.title}. {note}'.strip())}}}"
    yield f"\\label{{tab:{table.name}}}"
    yield "\\renewcommand{\\arraystretch}{1.3}"  # room for superscripts
    yield f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}"
    yield "\\toprule"
    yield _latex_line(_tex(t) for t in (table.heading, *(c.heading for c in table.columns)))
    for group, rows in table.groups():
        yield "\\midrule"
        if group:
            width = len(table.columns) + 1
            yield f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{_tex(group)}}}}} \\\\"
        for row in rows:
            name = f"\\quad\\emph{{{_tex(row.source)}}}" if row.source else _tex(row.name)
            yield _latex_line([name, *map(_latex_cell, row.cells)])
    yield from ("\\bottomrule", "\\end{tabular}", "\\end{table}", "")


def _latex_cell(cell: Cell) -> str:
    text = f"\\textbf{{{_tex(cell.value)}}}" if cell.bold else _tex(cell.value)
    text += f" {{\\scriptsize {_tex(cell.sd)}}}" if cell.sd else ""
    if cell.errors:
        text += f"$^{{+{cell.errors[0]}}}_{{-{cell.errors[1]}}}$"
    return text + (f" {{\\scriptsize {_tex(cell.p)}}}" if cell.p else "")


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"


_TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "{}$&#_%"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "λ": r"$\lambda$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "ₚ": "$_p$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))
