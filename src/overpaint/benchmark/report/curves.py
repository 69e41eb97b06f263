"""Curves of the sweeps: scores against layers, λ, sequential edits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.plots import INK, MUTED, SERIES, colour, plot
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.tables import SCORES
from overpaint.benchmark.rows import ConditionRow
from overpaint.benchmark.score import Number

SHOWN = SCORES[:4]  # efficacy, generality, specificity, F1


def series(found: Findings) -> dict[str, list[ConditionRow]]:
    """The curves: conditions that have a place on one, from left to right."""
    curves: dict[str, list[ConditionRow]] = {}
    for condition in found.conditions:
        if condition.series and condition.x is not None:
            curves.setdefault(condition.series, []).append(condition)
    ordered = {name: sorted(rows, key=lambda row: row.x or 0) for name, rows in curves.items()}
    return {name: rows for name, rows in ordered.items() if len(rows) > 1}


def sweeps(found: Findings) -> Html | None:
    """A plot for each score, with all curves in it; None without curves."""
    lines = series(found)
    x_label = str(found.configuration.get("x_label") or "setting")
    figures = [
        element(
            "figure",
            plot(draw, f"{column.label} against {x_label}", f"sweep-{column.name}", (4.4, 3.0)),
        )  # fmt: skip
        for column in SHOWN
        if any(number_of(found, row.name, column.name) for rows in lines.values() for row in rows)
        for draw in [partial(_sweep, found, lines, column.name, column.label, x_label)]
    ]
    if not figures:
        return None
    return join(
        element("h2", f"Scores against {x_label}", id="curves"),
        _legend(list(lines), references=bool(_references(found))),
        element("div", *figures, class_="plots"),
        element("p", "Bands: 95 % interval over cases.", class_="note"),
    )


def _sweep(
    found: Findings,
    lines: dict[str, list[ConditionRow]],
    score: str,
    label: str,
    x_label: str,
    axes: Any,
) -> None:
    for number, rows in enumerate(lines.values()):
        known = [(row.x, n) for row in rows if (n := number_of(found, row.name, score))]
        places = [x for x, _ in known]
        low, mean, high = (
            [100 * getattr(n, part) for _, n in known] for part in ("low", "mean", "high")
        )
        paint = colour(number)
        axes.fill_between(places, low, high, color=paint, alpha=0.14, linewidth=0)
        axes.plot(places, mean, "o-", color=paint, linewidth=1.6, markersize=4)
    for reference, dashes in _references(found):
        value = number_of(found, reference, score)
        if value:
            axes.axhline(100 * value.mean, color=MUTED, linewidth=1, linestyle=dashes)
    _places(axes, [row.x or 0.0 for rows in lines.values() for row in rows])
    axes.set_ylim(-3, 103)
    axes.set_xlabel(x_label)
    axes.set_title(f"{label}, %", loc="left", fontsize=10, color=INK)


def _places(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis for settings over more than two decades, whole numbers for whole ones."""
    values = sorted(set(values))
    if values[0] > 0 and values[-1] / values[0] > 100:
        axes.set_xscale("log")
        axes.minorticks_off()
    elif all(float(v).is_integer() for v in values) and len(values) <= 14:
        wide = max(1, round((values[-1] - values[0]) / 12))
        kept = [values[0]]
        kept += [b for _, b in pairwise(values) if b - kept[-1] >= wide]
        axes.set_xticks(kept, [f"{v:.0f}" for v in kept])


def _references(found: Findings) -> list[tuple[str, str]]:
    named = [(found.named("baseline"), ":"), (found.named("oracle"), "--")]
    return [(name, dashes) for name, dashes in named if name]


def number_of(found: Findings, condition: str, score: str) -> Number | None:
    """A condition's number over all cases."""
    summary = found.summaries.get((condition, "all"))
    return getattr(summary, score) if summary else None


def _legend(names: Sequence[str], *, references: bool) -> Html:
    items = [
        element("li", element("span", class_=f"key line{number % SERIES}"), name)
        for number, name in enumerate(names)
    ]
    if references:
        items.append(element("li", element("span", class_="key dotted"), "baseline"))
        items.append(element("li", element("span", class_="key dashed"), "oracle"))
    return element("ul", *items, class_="legend")
