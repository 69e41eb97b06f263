"""What was found as pictures: strips of windows, curves of scores, heat maps of effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from overpaint.errors import DataError
from overpaint.localize.score import KINDS
from overpaint.pictures import Row, grid
from overpaint.plotting import as_image, new_figure
from overpaint.types import Localization

if TYPE_CHECKING:
    from overpaint.localize.causal_trace import Trace
    from overpaint.localize.neurons import Point

SPECIAL = {"<|endoftext|>": "end", "</s>": "end"}  # how a token is written beside a map
WIDE = 5.3  # inches: 800 pixels, what a page has room for


def window_name(first: int, width: int) -> str:
    """How a window is written: ``"5"`` or ``"5-6"``."""
    return str(first) if width == 1 else f"{first}-{first + width - 1}"


def strip(found: Localization, *, seeds: int = 1, cell: int = 0) -> Image.Image:
    """What every window painted, one column each, after the clean picture; LocoGen's figure 4.

    One row for each prompt and each of the first ``seeds`` seeds; the headings give the mean score
    of a window over all of them, the chosen window is framed. ``cell`` is the side of a picture in
    pixels (0: its own size, enlarged). DataError when the localization has kept no pictures.
    """
    if found.images is None or found.clean is None:
        raise DataError("this localization has kept no pictures; run LocoGen with keep_images")
    names = [window_name(first, found.window) for first in range(len(found.images))]
    columns = [f"{name}:  {score:.0f}" for name, score in zip(names, found.scores, strict=True)]
    clean = found.info.get("clean")
    first = f"none:  {clean:.0f}" if isinstance(clean, float) else "none"
    originals, targets = (_texts(found, name) for name in ("originals", "targets"))
    rows = []
    for number, (original, target) in enumerate(zip(originals, targets, strict=True)):
        for seed in range(min(seeds, found.clean.shape[1])):
            pictures = torch.cat([found.clean[None], found.images])[:, number, seed]
            note = f"reads: {target}"
            rows.append(Row(pictures, original, note, framed=1 + found.layers[0]))
    held = "target" if KINDS[found.kind].by_target else "original"
    title = f"{found.kind}: layers that read the target, and CLIP-Score with the {held}"
    return grid(rows, [first, *columns], title=title, cell=cell)


def score_plot(found: Mapping[str, Localization]) -> Image.Image:
    """Score of every window against its first layer, one line for each name; LocoGen's figure 5.

    Dashed: the clean model's score, where it is known. The chosen window is ringed. OutputError
    without matplotlib.
    """
    figure, axes = new_figure(WIDE, 3.2)
    for number, (name, each) in enumerate(found.items()):
        colour, best = f"C{number}", each.layers[0]
        wanted = "highest" if KINDS[each.kind].sign > 0 else "lowest"
        axes.plot(each.scores, "o-", color=colour, label=f"{name}\n{wanted} is best", ms=4)
        axes.plot(best, each.scores[best], "o", color=colour, ms=11, mfc="none")
        if isinstance(clean := each.info.get("clean"), float):
            axes.axhline(clean, color=colour, ls="--", lw=0.8)
    axes.plot([], [], "--", color="grey", lw=0.8, label="no window")
    widths = sorted({each.window for each in found.values()})
    axes.set_xticks(range(max(len(each.scores) for each in found.values())))
    axes.set_xlabel(f"first of {' or '.join(map(str, widths))} layers that read the target")
    axes.set_ylabel("CLIP-Score")
    _legend(axes)
    return as_image(figure)


def curve_plot(curves: Mapping[str, Sequence[Point]]) -> Image.Image:
    """Style (full) and content (dashed) against the number of neurons, for each name.

    OutputError without matplotlib.
    """
    figure, axes = new_figure(WIDE, 3.2)
    for number, (name, points) in enumerate(curves.items()):
        counts, colour = [point.n for point in points], f"C{number}"
        axes.plot(counts, [p.style for p in points], "o-", color=colour, ms=4, label=name)
        axes.plot(counts, [p.content for p in points], "s--", color=colour, ms=3, lw=1)
    axes.plot([], [], "o-", color="grey", ms=4, label="with the style")
    axes.plot([], [], "s--", color="grey", ms=3, lw=1, label="without it")
    axes.set_xlabel("neurons changed")
    axes.set_ylabel("CLIP-Score with the prompt")
    _legend(axes)
    return as_image(figure)


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


def layer_plot(
    curves: Mapping[str, Sequence[float]],
    layers: Sequence[int],
    clean: Mapping[str, float],
    asked: Mapping[str, float],
) -> Image.Image:
    """CLIP-Score against the edited layer, one line for each name; ReFACT's figure 10.

    Squares: the unedited model's score, left, and its score when it is ``asked`` for the target,
    right. OutputError without matplotlib.
    """
    figure, axes = new_figure(WIDE, 3.2)
    count = len(layers)
    places = [-1.5, *range(count), count + 0.5]  # the ends apart from the layers
    for number, (name, scores) in enumerate(curves.items()):
        colour, every = f"C{number}", [clean[name], *scores, asked[name]]
        axes.plot(places, every, ":", color=colour, lw=0.8)
        axes.plot(places[1:-1], scores, "o-", color=colour, ms=4, label=name)
        axes.plot([places[0], places[-1]], [every[0], every[-1]], "s", color=colour, ms=5, mfc="w")
    axes.set_xticks(places, ["none", *map(str, layers), "asked"])
    axes.set_xlabel("edited layer of the text encoder")
    axes.set_ylabel("CLIP-Score with the target")
    _legend(axes)
    return as_image(figure)


def _legend(axes: Any) -> None:
    """Names of the lines, right of the axes, where they cover nothing."""
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def _texts(found: Localization, name: str) -> Sequence[str]:
    value = found.info.get(name)
    if not isinstance(value, list | tuple):
        raise DataError(f"this localization does not name its {name}; run LocoGen again")
    return [str(each) for each in value]
