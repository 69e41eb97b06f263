"""How many women are painted of each profession, under every condition: one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.plots import INK, MUTED, PAPER, RULE, SERIES, colour, plot
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.rows import F


def professions(found: Findings) -> list[str]:
    """Those that were looked at, in the order in which the unedited model shows most women."""
    first = found.conditions[0].name if found.conditions else ""
    known = {m.case: m.value for m in found.measures if m.name == F and m.condition == first}
    others = dict.fromkeys(m.case for m in found.measures if m.name == F and m.case not in known)
    return [*sorted(known, key=lambda case: known[case]), *others]


def women(found: Findings) -> Html | None:
    """A line for each profession, a dot for each condition; None for runs of other things."""
    names = professions(found)
    if not names:
        return None
    shown = [c.name for c in found.conditions]
    values = {(m.condition, m.case): 100 * m.value for m in found.measures if m.name == F}
    draw = partial(_dots, names, shown, values)
    drawn = plot(draw, "Share of women by profession", "women", (6.4, 1.0 + 0.32 * len(names)))
    note = "Share of the pictures that show women. As many women as men is the line in the middle."
    items = [
        element("li", element("span", class_=f"key dot line{number % SERIES}"), name)
        for number, name in enumerate(shown)
    ]
    return join(
        element("h2", "Women among the pictures of each profession", id="women"),
        element("ul", *items, class_="legend"),
        element("figure", drawn, element("figcaption", note), class_="single"),
    )


def _dots(
    names: Sequence[str],
    shown: Sequence[str],
    values: Mapping[tuple[str, str], float],
    axes: Any,
) -> None:
    axes.grid(visible=False, axis="x")
    axes.axvline(50, color=MUTED, linewidth=1)
    for place, name in enumerate(names):
        axes.axhline(place, color=RULE, linewidth=0.6)
        for number, condition in enumerate(shown):
            if (condition, name) in values:
                aside = place + 0.11 * ((len(shown) - 1) / 2 - number)  # equal ones stay visible
                axes.plot(values[condition, name], aside, "o", color=colour(number),
                          markersize=6, markeredgecolor=PAPER)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", colors=INK, labelsize=9.5)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("women, %")
