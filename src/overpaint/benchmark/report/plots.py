"""Plots as SVG that takes colours and type from the page around it, and curves as a picture."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd
from markupsafe import Markup
from PIL import Image

from overpaint.benchmark.config import EDITS
from overpaint.benchmark.report.data import RunData, Score
from overpaint.benchmark.report.formatting import SCORE
from overpaint.benchmark.report.tables import measure_label
from overpaint.benchmark.rows import F
from overpaint.errors import DataError
from overpaint.plotting import as_image, new_figure

# Stand-ins for the page's colours, which depend on light and dark: SVG gets CSS variables instead.
INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"}
LINE_COLORS = 8  # colours the page has for lines; the ninth is the first again
MOST_NAMES = 12  # conditions or curves up to which each has its name beside its point
LONGEST_NAME = 36  # characters of a name in a plot
CURVE_SCORES = ("efficacy", "generality", "specificity", "f1")
REFERENCE_STYLES = {"baseline": ("unedited", ":"), "oracle": ("oracle", "--")}

Box = tuple[float, float, float, float]  # left, bottom, right, top
Band = tuple[float, float, float]  # low, value, high


@dataclass(frozen=True)
class Plot:
    """An inline SVG with a text for those who do not see it, and an optional caption."""

    svg: Markup
    label: str
    caption: str = ""


def color(number: int) -> str:
    """The stand-in for the page's line colour ``number``; grey for -1."""
    return MUTED if number < 0 else f"#0a0a{number % LINE_COLORS:02x}"


def svg_plot(
    draw: Callable[[Any], None],
    label: str,
    name: str,
    size: tuple[float, float],
    caption: str = "",
) -> Plot:
    """Draw with ``draw(axes)`` on a figure of ``size`` inches.

    Args:
        draw: Draws on matplotlib axes, in the colours of this module.
        label: What the plot shows, for screen readers.
        name: Seed of the ids in the SVG; plots of one page need different ones.
        size: Width and height in inches.
        caption: Text below the plot.

    Raises:
        OutputError: matplotlib is not installed.
    """
    figure, axes = new_figure(*size)
    from matplotlib import rc_context
    from matplotlib.text import Text

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "axes.titlecolor": INK,
    }
    file = io.StringIO()
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's font draws the text
        _style(figure, axes)
        draw(axes)
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a name from the data may look like mathematics
        figure.savefig(file, format="svg")
    return Plot(Markup(_embedded(file.getvalue())), label, caption)


def curves(run: RunData) -> dict[str, pd.DataFrame]:
    """The editors that are points of a curve, by curve, each from left to right."""
    points = run.editors[run.editors.x.notna()].sort_values("x", kind="stable")
    return {line: own for line in run.editors.line.unique()
            if len(own := points[points.line == line]) > 1}  # fmt: skip


def curve_plots(run: RunData) -> list[Plot]:
    """A plot for each score and each measure, with all curves in it; empty without curves."""
    found, x_label = curves(run), _x_label(run)
    colors = [color(points.color.iloc[0]) for points in found.values()]
    # Windows of layers have a measure for each kind of attribute; their scores say nothing.
    scores = () if run.configuration.get("window") else CURVE_SCORES
    wanted = [(f"{SCORE[name].label}, %", score_bands(run, name)) for name in scores]
    for measure, own in run.overall.groupby("measure", sort=False):
        bands = zip(own["value"] - own.sd, own["value"], own["value"] + own.sd, strict=True)
        wanted.append((measure_label(str(measure)), dict(zip(own.condition, bands, strict=True))))
    plots = []
    for number, (title, bands) in enumerate(wanted):
        if any(name in bands for points in found.values() for name in points.index):
            draw = partial(_draw_curves, found, colors, bands, [*references(run)], title, x_label)
            label = f"{title} against {x_label}"
            plots.append(svg_plot(draw, label, f"curves{number}", (4.4, 3.0)))
    return plots


def score_bands(run: RunData, measure: str) -> dict[str, Band]:
    """Interval and value of a score in percent, by condition."""
    scores = {name: run.score(name, measure) for name in run.conditions.index}
    return {n: (100 * s.low, 100 * s.value, 100 * s.high) for n, s in scores.items() if s}


def references(run: RunData) -> Iterator[tuple[str, str, str]]:
    """Name, label and line style of the unedited conditions drawn into curves."""
    for method, (label, style) in REFERENCE_STYLES.items():
        if run.first(method) == method:
            yield method, label, style


def curves_figure(run: RunData) -> Image.Image:
    """Efficacy, generality, specificity and F1 of every curve as one picture.

    Bands are 95 % bootstrap intervals over cases.

    Raises:
        DataError: The run has no curves.
        OutputError: matplotlib is not installed.
    """
    found = curves(run)
    if not found:
        raise DataError("expected a run with curves, got one without sweeps; see its page instead")
    figure, axes = new_figure(7.2, 5.6, 2, 2, share=True)
    x_label, colors = _x_label(run), [f"C{number}" for number in range(len(found))]
    for panel, measure in zip(axes.flat, CURVE_SCORES, strict=True):
        bands, title = score_bands(run, measure), f"{SCORE[measure].label}, %"
        _draw_curves(found, colors, bands, (), title, x_label, panel)
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.label_outer()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return as_image(figure)


def overview_plots(run: RunData) -> list[Plot]:
    """Specificity against generality, and F1 with its interval; empty with nothing to compare.

    Points of a curve are joined in the first plot and left out of the second.
    """
    points = _points(run)
    if len(points) < 2:
        return []
    caption = (
        "Up and to the right is better. Crosses: 95 % intervals over cases. Thin lines: equal F1."
    )
    title = "Specificity against generality"
    plots = [svg_plot(partial(_draw_tradeoff, points), title, "tradeoff", (4.6, 3.8), caption)]
    single = [point for point in points if not point.series]
    if any(point.color != MUTED for point in single):
        height = max(3.4, 0.9 + 0.3 * len(single))
        plots.append(
            svg_plot(partial(_draw_ranking, single), "F1 of every condition", "ranking",
                     (4.6, height), "F1 with its 95 % interval over cases.")
        )  # fmt: skip
    return plots


def women_plot(run: RunData) -> Plot | None:
    """Share of women by profession, a dot for each condition; None for other runs."""
    names = run.professions
    if not names:
        return None
    shares = run.measures[run.measures.measure == F].set_index(["condition", "case"]).value
    caption = "Share of pictures that show women. The line in the middle: as many women as men."
    draw = partial(_draw_women, names, list(run.conditions.index), (100 * shares).to_dict())
    size = (6.4, 1.0 + 0.32 * len(names))
    return svg_plot(draw, "Share of women by profession", "women", size, caption)


def set_ticks(axes: Any, values: Sequence[float]) -> None:
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


def shortened(name: str) -> str:
    """A name short enough to leave room for the plot beside it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def curves_heading(run: RunData) -> str:
    """Heading of the curves: what they are drawn over."""
    x_label = _x_label(run)
    return f"By {'number of edits' if x_label == EDITS else x_label}"


def _x_label(run: RunData) -> str:
    return str(run.configuration.get("x_label") or "setting")


@dataclass(frozen=True)
class _Point:
    """A condition in the overview, with its own name or, as a point of a ``line``, the line's."""

    name: str
    line: str
    series: str
    color: str
    generality: Score
    specificity: Score
    f1: Score

    @property
    def xy(self) -> tuple[float, float]:
        return 100 * self.generality.value, 100 * self.specificity.value


def _points(run: RunData) -> list[_Point]:
    points = []
    for name, own in run.conditions.sort_values(["series", "x"], kind="stable").iterrows():
        label = shortened(own.line_label if own.series else own.label)
        general, specific, f1 = (
            run.score(str(name), m) for m in ("generality", "specificity", "f1")
        )
        if general and specific and f1:
            paint = color(own.color)
            points.append(_Point(label, own.line, own.series, paint, general, specific, f1))
    return points


def _draw_curves(
    found: Mapping[str, pd.DataFrame],
    colors: Sequence[str],
    bands: Mapping[str, Band],
    lines: Iterable[tuple[str, str, str]],
    title: str,
    x_label: str,
    axes: Any,
) -> None:
    for points, paint in zip(found.values(), colors, strict=True):
        known = [(x, *bands[n]) for n, x in zip(points.index, points.x, strict=True) if n in bands]
        if known:
            at, low, value, high = zip(*known, strict=True)
            label = points.line_label.iloc[0]
            axes.fill_between(at, low, high, color=paint, alpha=0.13, linewidth=0)
            axes.plot(at, value, "o-", color=paint, linewidth=1.6, markersize=4, label=label)
    for name, _, style in lines:
        if name in bands:
            axes.axhline(bands[name][1], color=MUTED, linewidth=1, linestyle=style)
    set_ticks(axes, [x for points in found.values() for x in points.x])
    if title.endswith("%"):
        axes.set_ylim(-3, 103)
    axes.set_xlabel(x_label)
    axes.set_title(title, loc="left", fontsize=10)


def _draw_tradeoff(points: Sequence[_Point], axes: Any) -> None:
    axes.grid(visible=False)
    for level in (20, 40, 60, 80):
        across = [level**2 / 104 + k * (104 - level**2 / 104) / 80 for k in range(81)]
        axes.plot(across, [level**2 / x for x in across], color=RULE, linewidth=0.9)
        axes.text(104, level**2 / 104, f" {level}", color=MUTED, fontsize=7.5, va="center")
    lines: dict[str, list[_Point]] = {}
    for point in points:
        lines.setdefault(point.line, []).append(point)
    for own in lines.values():
        if len(own) == 1:
            (x, y), paint = own[0].xy, own[0].color
            general, specific = own[0].generality, own[0].specificity
            across, up = ([100 * s.low, 100 * s.high] for s in (general, specific))
            axes.plot(across, [y, y], color=paint, linewidth=1, alpha=0.55)
            axes.plot([x, x], up, color=paint, linewidth=1, alpha=0.55)
        across, up = zip(*(point.xy for point in own), strict=True)
        axes.plot(across, up, "o-", color=own[0].color, markersize=7 if len(own) == 1 else 4,
                  markeredgecolor=PAPER, linewidth=1.3)  # fmt: skip
    if len(lines) <= MOST_NAMES:
        _draw_names([own[-1] for own in lines.values()], axes)
    axes.set(xlim=(-3, 104), ylim=(-3, 104), xlabel="generality, %", ylabel="specificity, %")


def _draw_names(points: Sequence[_Point], axes: Any) -> None:
    """Each name on the side of its point where it covers least."""
    taken = [(x - 2, y - 2.5, x + 2, y + 2.5) for x, y in (p.xy for p in points)]
    for point in points:
        x, y = point.xy
        width = 2.3 * len(point.name)
        beside = [(left, y + up) for up in (1.5, -5.5) for left in (x + 3, x - 3 - width)]
        corners = [*beside, (x - width / 2, y + 4), (x - width / 2, y - 8)]
        boxes = [(left, low, left + width, low + 5) for left, low in corners]
        box = min(boxes, key=lambda box: _covered(box, taken))
        taken.append(box)
        axes.text(box[0], box[1], point.name, color=point.color, fontsize=9.5)


def _covered(box: Box, taken: Sequence[Box]) -> float:
    """Area of ``box`` over what is there already, and, heavier, what is outside of the axes."""
    left, low, right, high = box
    outside = max(0.0, -left) + max(0.0, right - 104) + max(0.0, high - 108) + max(0.0, -low)
    return 20 * outside + sum(
        max(0.0, min(right, other[2]) - max(left, other[0]))
        * max(0.0, min(high, other[3]) - max(low, other[1]))
        for other in taken
    )


def _draw_ranking(points: Sequence[_Point], axes: Any) -> None:
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for place, point in enumerate(reversed(points)):
        low, value, high = (100 * x for x in (point.f1.low, point.f1.value, point.f1.high))
        axes.plot([low, high], [place, place], color=point.color, linewidth=2, alpha=0.45)
        axes.plot(value, place, "o", color=point.color, markersize=7, markeredgecolor=PAPER)
    axes.set_yticks(range(len(points)), [point.name for point in reversed(points)])
    axes.tick_params(axis="y", colors=INK, labelsize=9.5)
    axes.set(ylim=(-0.6, len(points) - 0.4), xlim=(-3, 103), xlabel="F1, %")


def _draw_women(
    names: Sequence[str],
    conditions: Sequence[str],
    shares: Mapping[tuple[str, str], float],
    axes: Any,
) -> None:
    axes.grid(visible=False, axis="x")
    axes.axvline(50, color=MUTED, linewidth=1)
    for place, name in enumerate(names):
        axes.axhline(place, color=RULE, linewidth=0.6)
        for number, condition in enumerate(conditions):
            if (condition, name) in shares:
                # Moved apart, so that equal shares stay visible.
                height = place + 0.11 * ((len(conditions) - 1) / 2 - number)
                axes.plot(shares[condition, name], height, "o", color=color(number),
                          markersize=6, markeredgecolor=PAPER)  # fmt: skip
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.tick_params(axis="y", colors=INK, labelsize=9.5)
    axes.set(ylim=(-0.7, len(names) - 0.3), xlim=(-3, 103), xlabel="women, %")


def _style(figure: Any, axes: Any) -> None:
    """Thin rules below and at the left, a light grid, everything in the page's colours."""
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0, pad=5)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(MUTED)
        axis.label.set_fontsize(9)


def _embedded(svg: str) -> str:
    """The ``<svg>`` element alone: no prologue, no addresses, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for number in range(LINE_COLORS):
        svg = svg.replace(color(number), f"var(--line{number})")
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font-size: \1px", svg).strip()
