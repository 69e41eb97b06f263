"""All conditions in two pictures: specificity against generality, and F1 with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from overpaint.benchmark.report.markup import Html, element
from overpaint.benchmark.report.plots import INK, MUTED, PAPER, RULE, colour, plot
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.score import Number

FEW = 12  # conditions or curves up to which each has its name beside its point
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Point:
    """A condition in the pictures, in its colour ``paint``; ``line`` is its curve, or ""."""

    name: str
    paint: str
    line: str
    generality: Number
    specificity: Number
    f1: Number

    @property
    def at(self) -> tuple[float, float]:
        """Where it is, in percent."""
        return 100 * self.generality.mean, 100 * self.specificity.mean


def overview(found: Findings) -> Html | None:
    """Both pictures, or the first; None where there is nothing to compare.

    Points of a curve are joined in the first and left out of the second.
    """
    points = _points(found)
    if len(points) < 2:
        return None
    said = (
        "Up and to the right is better. Crosses: 95 % intervals over cases. Thin lines: equal F1."
    )
    drawn = plot(
        partial(_tradeoff, points), "Specificity against generality", "tradeoff", (4.6, 3.8)
    )
    figures = [element("figure", drawn, element("figcaption", said))]
    alone = [point for point in points if not point.line]
    if any(point.paint != MUTED for point in alone):
        tall = max(3.4, 0.9 + 0.3 * len(alone))
        drawn = plot(partial(_ranking, alone), "F1 of every condition", "ranking", (4.6, tall))
        said = "F1 with the 95 % interval over cases."
        figures.append(element("figure", drawn, element("figcaption", said)))
    return element("div", *figures, class_="plots")


def _points(found: Findings) -> list[Point]:
    points, order = [], list(found.lines)
    for condition in sorted(found.conditions, key=lambda c: (c.series, c.x or 0)):
        own = found.summaries.get((condition.name, "all"))
        if own and own.generality and own.specificity and own.f1:
            line = condition.series or condition.name
            paint = colour(order.index(line)) if condition in found.editors else MUTED
            numbers = own.generality, own.specificity, own.f1
            points.append(Point(condition.name, paint, condition.series, *numbers))
    return points


def _tradeoff(points: Sequence[Point], axes: Any) -> None:
    axes.grid(visible=False)
    for level in (20, 40, 60, 80):
        across = [level**2 / 104 + k * (104 - level**2 / 104) / 80 for k in range(81)]
        axes.plot(across, [level**2 / x for x in across], color=RULE, linewidth=0.9)
        axes.text(104, level**2 / 104, f" {level}", color=MUTED, fontsize=7.5, va="center")
    curves: dict[str, list[Point]] = {}
    for point in points:
        curves.setdefault(point.line or point.name, []).append(point)
    for own in curves.values():
        across, up = zip(*(point.at for point in own), strict=True)
        alone = len(own) == 1
        if alone:
            _cross(own[0], axes)
        axes.plot(across, up, "o-", color=own[0].paint, markersize=7 if alone else 4,
                  markeredgecolor=PAPER, linewidth=1.3)  # fmt: skip
    if len(curves) <= FEW:
        _names({name: own[-1] for name, own in curves.items()}, axes)
    axes.set_xlim(-3, 104)
    axes.set_ylim(-3, 104)
    axes.set_xlabel("generality, %")
    axes.set_ylabel("specificity, %")


def _cross(point: Point, axes: Any) -> None:
    """The intervals of both numbers."""
    x, y = point.at
    across, up = ([100 * n.low, 100 * n.high] for n in (point.generality, point.specificity))
    axes.plot(across, [y, y], color=point.paint, linewidth=1, alpha=0.55)
    axes.plot([x, x], up, color=point.paint, linewidth=1, alpha=0.55)


def _names(named: Mapping[str, Point], axes: Any) -> None:
    """Each name on that side of its point where it hides least."""
    places = (point.at for point in named.values())
    taken = [(x - 2, y - 2.5, x + 2, y + 2.5) for x, y in places]
    for name, point in named.items():
        x, y = point.at
        wide = 2.3 * len(name)
        right, left = x + 3, x - 3 - wide
        beside = [(side, y + up) for up in (1.5, -5.5) for side in (right, left)]
        places = [*beside, (x - wide / 2, y + 4), (x - wide / 2, y - 8)]
        boxes = [(left, low, left + wide, low + 5) for left, low in places]
        box = min(boxes, key=lambda box: _hidden(box, taken))
        taken.append(box)
        axes.text(box[0], box[1], name, color=point.paint, fontsize=9.5)


def _hidden(box: Box, taken: Sequence[Box]) -> float:
    """How much of ``box`` lies over what is there, or outside."""
    left, low, right, high = box
    outside = max(0.0, -left) + max(0.0, right - 104) + max(0.0, high - 108) + max(0.0, -low)
    over = 0.0
    for other in taken:
        width = min(right, other[2]) - max(left, other[0])
        height = min(high, other[3]) - max(low, other[1])
        over += max(0.0, width) * max(0.0, height)
    return over + 20 * outside


def _ranking(points: Sequence[Point], axes: Any) -> None:
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for place, point in enumerate(reversed(points)):
        low, mean, high = (100 * getattr(point.f1, part) for part in ("low", "mean", "high"))
        axes.plot([low, high], [place, place], color=point.paint, linewidth=2, alpha=0.45)
        axes.plot(mean, place, "o", color=point.paint, markersize=7, markeredgecolor=PAPER)
    axes.set_yticks(range(len(points)), [point.name for point in reversed(points)])
    axes.tick_params(axis="y", colors=INK, labelsize=9.5)
    axes.set_ylim(-0.6, len(points) - 0.4)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("F1, %")
