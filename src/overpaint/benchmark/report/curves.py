"""Curves of the sweeps: scores against layers, λ, sequential edits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from overpaint.benchmark.config import EDITS
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.measures import called, overall
from overpaint.benchmark.report.plots import INK, MUTED, SERIES, colour, plot
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.tables import SCORES
from overpaint.benchmark.rows import ConditionRow, Measure

Point = tuple[float, float, float]  # low, mean, high

DASHES = {"baseline": ":", "oracle": "--"}
SHOWN = SCORES[:4]  # efficacy, generality, specificity, F1


def series(found: Findings) -> dict[str, list[ConditionRow]]:
    """The curves: conditions that have a place on one, from left to right."""
    curves = {name: [r for r in rows if r.x is not None] for name, rows in found.lines.items()}
    return {name: rows for name, rows in curves.items() if len(rows) > 1}


def sweeps(found: Findings) -> Html | None:
    """A plot for each score and each measure, with all curves in it; None without curves."""
    lines = series(found)
    if not lines:
        return None
    x_label = str(found.configuration.get("x_label") or "setting")
    names = {row.name for rows in lines.values() for row in rows} | {
        n for n, _ in _references(found)
    }
    # Windows of layers have a measure for each kind of attribute; taken together they say nothing.
    scores = () if found.configuration.get("window") else SHOWN
    wanted = [(f"{c.label}, %", points(found, names, c.name)) for c in scores]
    wanted += [(called(name), _measured(values)) for name, values in overall(found).items()]
    figures = []
    for number, (title, values) in enumerate(wanted):
        if any(row.name in values for rows in lines.values() for row in rows):
            draw = partial(_sweep, found, lines, values, title, x_label)
            drawn = plot(draw, f"{title} against {x_label}", f"sweep{number}", (4.4, 3.0))
            figures.append(element("figure", drawn))
    bands = ["95 % interval over cases"] if scores else []
    bands += ["of measures, the standard deviation over seeds"] if overall(found) else []
    note = f"Bands: {'; '.join(bands)}."
    return join(
        element("h2", f"By {'number of edits' if x_label == EDITS else x_label}", id="curves"),
        _legend(found, list(lines)),
        element("div", *figures, class_="plots"),
        element("p", note, class_="note"),
    )


def points(found: Findings, names: set[str], score: str) -> dict[str, Point]:
    """Mean and interval in percent, by condition."""
    own = {name: found.summaries.get((name, "all")) for name in names}
    numbers = {name: getattr(summary, score) for name, summary in own.items() if summary}
    return {name: (100 * n.low, 100 * n.mean, 100 * n.high) for name, n in numbers.items() if n}


def _measured(values: Sequence[Measure]) -> dict[str, Point]:
    return {m.condition: (m.value - m.spread, m.value, m.value + m.spread) for m in values}


def _sweep(
    found: Findings,
    lines: dict[str, list[ConditionRow]],
    values: dict[str, Point],
    title: str,
    x_label: str,
    axes: Any,
) -> None:
    order = list(found.lines)
    for name, rows in lines.items():
        known = [(row.x, *values[row.name]) for row in rows if row.name in values]
        if known:
            at, low, mean, high = zip(*known, strict=True)
            paint = colour(order.index(name))
            axes.fill_between(at, low, high, color=paint, alpha=0.14, linewidth=0)
            axes.plot(at, mean, "o-", color=paint, linewidth=1.6, markersize=4)
    for reference, dashes in _references(found):
        if reference in values:
            axes.axhline(values[reference][1], color=MUTED, linewidth=1, linestyle=dashes)
    places(axes, [row.x or 0.0 for rows in lines.values() for row in rows])
    if title.endswith("%"):
        axes.set_ylim(-3, 103)
    axes.set_xlabel(x_label)
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def places(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis for settings over more than two decades, whole numbers for whole ones."""
    values = sorted(set(values))
    if values[0] > 0 and values[-1] / values[0] > 100:
        axes.set_xscale("log")
        axes.minorticks_off()
        few = values[:: 1 + len(values) // 10]
        axes.set_xticks(few, [f"{v:g}" for v in few])  # powers would be set as mathematics
    elif all(float(v).is_integer() for v in values) and len(values) <= 14:
        wide = max(1, round((values[-1] - values[0]) / 12))
        kept = [values[0]]
        kept += [b for _, b in pairwise(values) if b - kept[-1] >= wide]
        axes.set_xticks(kept, [f"{v:.0f}" for v in kept])


def _references(found: Findings) -> list[tuple[str, str]]:
    return [(name, dashes) for name, dashes in DASHES.items() if found.named(name) == name]


def _legend(found: Findings, names: Sequence[str]) -> Html:
    order = list(found.lines)
    items = [
        element("li", element("span", class_=f"key line{order.index(name) % SERIES}"), name)
        for name in names
    ]
    kinds = {"baseline": "dotted", "oracle": "dashed"}
    for name, _ in _references(found):
        items.append(element("li", element("span", class_=f"key {kinds[name]}"), name))
    return element("ul", *items, class_="legend")
