"""All conditions in two pictures: specificity against generality, and F1 with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from overpaint.benchmark.report.markup import Html, element
from overpaint.benchmark.report.plots import INK, MUTED, PAPER, RULE, colour, plot
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.score import Number

FEW = 8  # conditions up to which each has its name beside its point
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Point:
    """A condition in the pictures; ``paint`` is its colour, the same in both."""

    name: str
    paint: str
    generality: Number
    specificity: Number
    f1: Number

    @property
    def at(self) -> tuple[float, float]:
        """Where it is, in percent."""
        return 100 * self.generality.mean, 100 * self.specificity.mean


def overview(found: Findings) -> Html | None:
    """Both pictures; None where there is nothing to compare."""
    points = _points(found)
    if len(points) < 2:
        return None
    tall = max(3.4, 0.9 + 0.3 * len(points)) if len(points) <= 24 else 8.0
    figures = [
        element(
            "figure",
            plot(partial(_tradeoff, points), "Specificity against generality", "tradeoff",
                 (4.6, 3.8)),
            element("figcaption", "Up and to the right is better. Crosses: 95 % intervals over "
                    "cases. Thin lines: equal F1."),
        ),
        element(
            "figure",
            plot(partial(_ranking, points), "F1 of every condition", "ranking", (4.6, tall)),
            element("figcaption", "F1 with the 95 % interval over cases."),
        ),
    ]  # fmt: skip
    return element("div", *figures, class_="plots")


def _points(found: Findings) -> list[Point]:
    points, editors = [], found.editors
    for condition in found.conditions:
        own = found.summaries.get((condition.name, "all"))
        if own and own.generality and own.specificity and own.f1:
            paint = colour(editors.index(condition)) if condition in editors else MUTED
            points.append(Point(condition.name, paint, own.generality, own.specificity, own.f1))
    return points


def _tradeoff(points: Sequence[Point], axes: Any) -> None:
    axes.grid(visible=False)
    for level in (20, 40, 60, 80):
        across = [level**2 / 104 + k * (104 - level**2 / 104) / 80 for k in range(81)]
        axes.plot(across, [level**2 / x for x in across], color=RULE, linewidth=0.9)
        axes.text(104, level**2 / 104, f" {level}", color=MUTED, fontsize=7.5, va="center")
    for point in points:
        x, y = point.at
        numbers = (point.generality, point.specificity)
        reach = [[[100 * (n.mean - n.low)], [100 * (n.high - n.mean)]] for n in numbers]
        (left, right), (down, up) = reach
        axes.plot([x - left[0], x + right[0]], [y, y], color=point.paint, linewidth=1, alpha=0.55)
        axes.plot([x, x], [y - down[0], y + up[0]], color=point.paint, linewidth=1, alpha=0.55)
        axes.plot(x, y, "o", color=point.paint, markersize=7, markeredgecolor=PAPER)
    if len(points) <= FEW:
        _names(points, axes)
    axes.set_xlim(-3, 104)
    axes.set_ylim(-3, 104)
    axes.set_xlabel("generality, %")
    axes.set_ylabel("specificity, %")


def _names(points: Sequence[Point], axes: Any) -> None:
    """Each name on that side of its point where it hides least."""
    taken = [(x - 2, y - 2.5, x + 2, y + 2.5) for x, y in (point.at for point in points)]
    for point in points:
        x, y = point.at
        wide = 2.3 * len(point.name)
        places = [(x + 3, y + 1.5), (x - 3 - wide, y + 1.5), (x + 3, y - 5.5),
                  (x - 3 - wide, y - 5.5), (x - wide / 2, y + 4), (x - wide / 2, y - 8)]  # fmt: skip
        boxes = [(left, low, left + wide, low + 5) for left, low in places]
        box = min(boxes, key=lambda box: _hidden(box, taken))
        taken.append(box)
        axes.text(box[0], box[1], point.name, color=point.paint, fontsize=9.5)


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
