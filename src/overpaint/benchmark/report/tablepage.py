"""A table as HTML: numbers right-aligned under one another, in a box that scrolls by itself."""

from __future__ import annotations

from itertools import groupby

from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.table import Cell, Column, Row, Table
from overpaint.benchmark.report.text import interval, probability, spread, value


def shown(table: Table) -> Html:
    """``table`` under its title, with its note."""
    return join(
        element("h2", table.title, id=table.name),
        bare(table),
        element("p", table.note, class_="note") if table.note else None,
    )


def bare(table: Table) -> Html:
    """``table`` alone."""
    head = element(
        "tr",
        element("th", table.heading, scope="col"),
        *(
            element("th", _label(column), scope="col", class_=_kind(table, place))
            for place, column in enumerate(table.columns)
        ),
    )
    bodies = [list(rows) for _, rows in groupby(table.rows, lambda row: row.group)]
    whole = element(
        "table",
        element("thead", head),
        *(_body(table, rows, named=len(bodies) > 1) for rows in bodies),
        class_="wide" if len(table.columns) > 3 else None,
    )
    return scrolling(whole, table.title)


def scrolling(inner: Html, label: str) -> Html:
    """A box that scrolls sideways by itself, also by the keyboard."""
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=label)


def _label(column: Column) -> Html:
    arrow = {1: "↑", -1: "↓"}.get(column.better)
    hint = {1: "more is better", -1: "less is better"}.get(column.better)
    mark = element("span", arrow, class_="arrow", title=hint) if arrow else None
    return join(column.label, Html("&nbsp;") if mark else None, mark)


def _body(table: Table, rows: list[Row], *, named: bool) -> Html:
    lines = [_line(table, row) for row in rows]
    if named:
        title = rows[0].group if rows[0].group != "all" else "all cases"
        head = element("th", title, scope="rowgroup", colspan=len(table.columns) + 1)
        lines.insert(0, element("tr", head, class_="group"))
    return element("tbody", *lines)


def _line(table: Table, row: Row) -> Html:
    compared = not row.editor and any(each.editor for each in table.rows)
    kind = "paper" if row.source else "reference" if compared else None
    return element(
        "tr",
        element("th", row.source or row.name, scope="row"),
        *(
            _cell(row.cells[place], column, _kind(table, place))
            for place, column in enumerate(table.columns)
        ),
        class_=kind,
    )


def _kind(table: Table, place: int) -> str:
    """Numbers, and room on their right where any of the column has a deviation."""
    return "n s" if any(row.cells[place].spread is not None for row in table.rows) else "n"


def _cell(cell: Cell, column: Column, kind: str) -> Html:
    text = value(cell, column)
    deviation, between = spread(cell, column), interval(cell, column)
    chance = probability(cell.p)
    below = ", ".join(part for part in (between, chance) if part)
    return element(
        "td",
        element("b", text) if cell.best else text,
        element("span", deviation, class_="sd") if deviation else None,
        element("span", below, class_="ci") if below else None,
        class_=kind,
    )
