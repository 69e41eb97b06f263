"""Average indirect effects as heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from overpaint.localize.trace import Trace
from overpaint.plotting import as_image, new_figure

SPECIAL = {"<|endoftext|>": "end"}  # how a token is written beside a map


def heat_map(traces: Mapping[str, Trace]) -> Image.Image:
    """Average indirect effects, one map for each name, one colour scale for all.

    OutputError without matplotlib.
    """
    alike = len({trace.columns for trace in traces.values()}) == 1  # the last one's names do
    names = len(traces) if not alike else 1
    tall = sum(0.26 * len(trace.rows) + 0.35 for trace in traces.values()) + 0.6 * names
    wide = 2.6 + 0.27 * max(len(trace.columns) for trace in traces.values())
    figure, axes = new_figure(wide, tall, len(traces))
    places = list(axes) if len(traces) > 1 else [axes]
    limit = max(float(trace.effects.nan_to_num(0).abs().max()) for trace in traces.values()) or 1.0
    for number, (place, (name, trace)) in enumerate(zip(places, traces.items(), strict=True), 1):
        _draw(place, trace, limit, named=not alike or number == len(traces))
        place.set_title(name, fontsize=10, loc="left")
        ends = f"corrupted {trace.corrupted:.0f}, clean {trace.clean:.0f}"
        place.set_title(ends, fontsize=8, loc="right", color="grey")
    bar = figure.colorbar(places[0].images[0], ax=places, fraction=0.05, aspect=12)
    bar.ax.set_title("effect", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return as_image(figure)


def _draw(place: Any, trace: Trace, limit: float, *, named: bool) -> None:
    place.imshow(trace.effects.numpy(), cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    rows = [SPECIAL.get(row, row) for row in trace.rows]
    long = any(len(column) > 2 for column in trace.columns)
    place.set_yticks(range(len(rows)), rows, fontsize=9)
    columns = trace.columns if named else [""] * len(trace.columns)
    place.set_xticks(range(len(columns)), columns, rotation=90 if long else 0, fontsize=8)
    if named and not long:
        place.set_xlabel("layer", fontsize=8)
    place.tick_params(length=0)
    place.spines[:].set_visible(False)
