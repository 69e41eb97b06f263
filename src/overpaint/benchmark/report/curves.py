"""Curves of the sweeps (layers, λ, sequential edits), and generality against specificity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.plots import INK, MUTED, PAPER, RULE, SERIES, colour, plot
from overpaint.benchmark.report.read import REFERENCES, Findings
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
        element("figure", plot(draw, f"{column.label} against {x_label}", f"sweep-{column.name}",
                               (4.4, 3.0)))  # fmt: skip
        for column in SHOWN
        if any(_number(found, row.name, column.name) for rows in lines.values() for row in rows)
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


def tradeoff(found: Findings) -> Html | None:
    """Generality against specificity of every condition, with intervals; None for too few."""
    points = list(_points(found))
    if len(points) < 2:
        return None
    drawn = plot(
        partial(_tradeoff, points), "Specificity against generality", "tradeoff", (5.6, 4.2)
    )
    caption = (
        "Up and to the right is better. Crosses: 95 % intervals over cases; thin lines: equal F1."
    )
    return element("figure", drawn, element("figcaption", caption), class_="tradeoff")


def _sweep(
    found: Findings,
    lines: dict[str, list[ConditionRow]],
    score: str,
    label: str,
    x_label: str,
    axes: Any,
) -> None:
    for number, rows in enumerate(lines.values()):
        known = [(row.x, n) for row in rows if (n := _number(found, row.name, score))]
        places = [x for x, _ in known]
        low, mean, high = (
            [100 * getattr(n, part) for _, n in known] for part in ("low", "mean", "high")
        )
        paint = colour(number)
        axes.fill_between(places, low, high, color=paint, alpha=0.14, linewidth=0)
        axes.plot(places, mean, "o-", color=paint, linewidth=1.6, markersize=4)
    for reference, dashes in _references(found):
        value = _number(found, reference, score)
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


def _points(found: Findings) -> Iterator[tuple[str, bool, Number, Number]]:
    for condition in found.conditions:
        summary = found.summaries.get((condition.name, "all"))
        if summary and summary.generality and summary.specificity:
            editor = condition.method not in REFERENCES
            yield condition.name, editor, summary.generality, summary.specificity


def _tradeoff(points: Sequence[tuple[str, bool, Number, Number]], axes: Any) -> None:
    import numpy as np

    across = np.linspace(1, 100, 200)
    for level in (20, 40, 60, 80):
        axes.plot(across, np.minimum(level**2 / across, 200), color=RULE, linewidth=0.9)
    axes.grid(visible=False)
    editors = [name for name, editor, *_ in points if editor]
    taken: list[tuple[float, float]] = []
    for name, editor, general, specific in points:
        paint = colour(editors.index(name)) if editor else MUTED
        x, y = 100 * general.mean, 100 * specific.mean
        reach = [[100 * (n.mean - n.low), 100 * (n.high - n.mean)] for n in (general, specific)]
        across_by, up_by = ([[max(0.0, part)] for part in each] for each in reach)
        axes.errorbar(x, y, yerr=up_by, xerr=across_by, color=paint, linewidth=1, alpha=0.55)
        axes.plot(x, y, "o", color=paint, markersize=7, markeredgecolor=PAPER)
        if len(editors) <= SERIES or not editor:
            _label(axes, name, x, y, paint, taken)
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("generality, %")
    axes.set_ylabel("specificity, %")


def _label(
    axes: Any, name: str, x: float, y: float, paint: str, taken: list[tuple[float, float]]
) -> None:
    """The name beside its point, on the side with room, below other names that are there."""
    right = x < 70
    place = y + 2.5
    while any(abs(place - other) < 5 and abs(x - across) < 25 for across, other in taken):
        place -= 5
    taken.append((x, place))
    axes.text(x + (2 if right else -2), place, name, color=paint, fontsize=9.5,
              ha="left" if right else "right")  # fmt: skip


def _references(found: Findings) -> list[tuple[str, str]]:
    named = [(found.named("baseline"), ":"), (found.named("oracle"), "--")]
    return [(name, dashes) for name, dashes in named if name]


def _number(found: Findings, condition: str, score: str) -> Number | None:
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
