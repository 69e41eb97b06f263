"""Tables as CSV (all digits), Markdown and LaTeX (as people read them)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from overpaint.benchmark.report.table import Cell, Column, Row, Table

PARTS = {"spread": "sd", "low": "low", "high": "high", "p": "p"}


def records_to_csv(records: Sequence[NamedTuple]) -> str:
    """At least one record of a kind, one a line, under the names of its fields."""
    return _lines([records[0]._fields, *records])


def to_csv(table: Table) -> str:
    """Every number whole and unscaled; what belongs to it in columns of its own."""
    used = [
        [
            part
            for part in PARTS
            if any(getattr(row.cells[i], part) is not None for row in table.rows)
        ]
        for i in range(len(table.columns))
    ]
    head = ["group", table.heading.lower(), "source"]
    for column, parts in zip(table.columns, used, strict=True):
        head += [column.name, *(f"{column.name}_{PARTS[part]}" for part in parts)]
    lines: list[list[object]] = []
    for row in table.rows:
        lines.append([row.group, row.name, row.source])
        for cell, parts in zip(row.cells, used, strict=True):
            lines[-1] += [_raw(cell.value), *(_raw(getattr(cell, part)) for part in parts)]
    return _lines([head, *lines])


def _lines(lines: Iterable[Iterable[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def to_markdown(tables: Iterable[Table]) -> str:
    """The tables under their titles, in GitHub's Markdown."""
    return "\n".join("\n".join(_markdown(table)) for table in tables)


def to_latex(tables: Iterable[Table]) -> str:
    """The tables as floats for a paper; they need the package booktabs."""
    head = "% needs \\usepackage{booktabs}; intervals and all digits are in the CSV files\n"
    return head + "\n".join("\n".join(_latex(table)) for table in tables)


def interval(cell: Cell, column: Column) -> str:
    """``"95.1–99.4"``, or ``"−3.0 to +2.1"``; empty where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    low, high = column.shown(cell.low), column.shown(cell.high)
    return f"{low} to {high}" if column.signed or "−" in low else f"{low}–{high}"


def probability(p: float | None) -> str:
    """``"p = 0.03"``; small ones are only said to be small."""
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}"


def value(cell: Cell, column: Column) -> str:
    """The number itself, or the text; a dash for nothing."""
    if cell.value is None:
        return "–"
    return cell.value if isinstance(cell.value, str) else column.shown(cell.value)


def spread(cell: Cell, column: Column) -> str:
    """``"±1.1"``, or nothing."""
    return "" if cell.spread is None else "±" + column.shown(cell.spread).lstrip("+")


def _markdown(table: Table) -> list[str]:
    lines = [f"## {_mark(table.title)}", ""]
    for group, rows in _groups(table):
        if group:
            lines += [f"### {_mark(group)}", ""]
        heads = [_mark(table.heading), *(_mark(column.head) for column in table.columns)]
        lines += [_line(heads), _line(["---", *("---:" for _ in table.columns)])]
        for row in rows:
            name = f"*{_mark(row.source)}*" if row.source else _mark(row.name)
            cells = zip(row.cells, table.columns, strict=True)
            lines.append(_line([name, *(_marked(cell, column) for cell, column in cells)]))
        lines.append("")
    return [*lines, _mark(table.note), ""] if table.note else lines


def _marked(cell: Cell, column: Column) -> str:
    text = _mark(value(cell, column))
    between = interval(cell, column)
    parts = [
        f"**{text}**" if cell.best else text,
        spread(cell, column),
        f"({between})" if between else "",
        probability(cell.p).replace("<", "&lt;"),
    ]
    return " ".join(part for part in parts if part)


def _latex(table: Table) -> list[str]:
    wide = len(table.columns) + 1
    heads = [_tex(table.heading), *(_tex(column.head) for column in table.columns)]
    lines = [
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{_tex(f'{table.title}. {table.note}'.strip())}}}",
        f"\\label{{tab:{table.name}}}",
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        "\\toprule",
        " & ".join(heads) + r" \\",
    ]
    for group, rows in _groups(table):
        lines.append("\\midrule")
        if group:
            lines.append(f"\\multicolumn{{{wide}}}{{l}}{{\\emph{{{_tex(group)}}}}} \\\\")
        for row in rows:
            name = f"\\quad\\emph{{{_tex(row.source)}}}" if row.source else _tex(row.name)
            cells = zip(row.cells, table.columns, strict=True)
            texts = [_texed(cell, column) for cell, column in cells]
            lines.append(" & ".join([name, *texts]) + r" \\")
    return [*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""]


def _texed(cell: Cell, column: Column) -> str:
    text = _tex(value(cell, column))
    text = f"\\textbf{{{text}}}" if cell.best else text
    small = " ".join(p for p in (spread(cell, column), probability(cell.p)) if p)
    return f"{text} {{\\scriptsize {_tex(small)}}}" if small else text


def _groups(table: Table) -> list[tuple[str, list[Row]]]:
    """The rows by group; a single group goes without its name."""
    found = [(group, list(rows)) for group, rows in groupby(table.rows, lambda row: row.group)]
    return found if len(found) > 1 else [("", rows) for _, rows in found]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _raw(part: float | str | None) -> object:
    return "" if part is None else part


def _mark(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_{}\[\]|~#])", r"\\\1", text)


_TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "{}$&#_%"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "λ": r"$\lambda$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "ₚ": "$_p$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))
