"""The curves of a run as one picture for a page that is no report: four scores side by side."""

from __future__ import annotations

from typing import Any

from PIL import Image

from overpaint.benchmark.report.curves import SHOWN, Point, places, points, series
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.rows import ConditionRow
from overpaint.errors import DataError
from overpaint.plotting import as_image, new_figure

WIDE, TALL = 7.2, 5.6  # inches


def curves_figure(found: Findings) -> Image.Image:
    """Efficacy, generality, specificity and F1 in per cent, a line for each curve of the run.

    The bands are 95 % intervals over cases. DataError for a run without curves, OutputError
    without matplotlib.
    """
    lines = series(found)
    if not lines:
        raise DataError("expected a run with curves, got one without sweeps; see its page instead")
    figure, _ = new_figure(WIDE, TALL)
    figure.clear()
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    names = {row.name for rows in lines.values() for row in rows}
    for axes, column in zip(panels.flat, SHOWN, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        _panel(axes, lines, points(found, names, column.name))
        axes.set_title(f"{column.label}, %", loc="left", fontsize=10)
    places(panels[0, 0], [row.x or 0.0 for rows in lines.values() for row in rows])
    panels[0, 0].set_ylim(-3, 103)
    label = str(found.configuration.get("x_label") or "setting")
    for axes in panels[1]:
        axes.set_xlabel(label)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return as_image(figure)


def _panel(axes: Any, lines: dict[str, list[ConditionRow]], values: dict[str, Point]) -> None:
    for number, (name, rows) in enumerate(lines.items()):
        known = [(row.x, *values[row.name]) for row in rows if row.name in values]
        if known:
            at, low, mean, high = zip(*known, strict=True)
            axes.fill_between(at, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
            axes.plot(at, mean, "o-", color=f"C{number}", ms=4, lw=1.6, label=name)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
