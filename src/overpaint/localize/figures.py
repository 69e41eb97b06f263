"""Localizations and traces as pictures: strips of windows, curves of scores, heat maps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from overpaint.errors import DataError, OutputError
from overpaint.pictures import Row, grid
from overpaint.types import Localization

if TYPE_CHECKING:
    from overpaint.localize.causal_trace import Trace
    from overpaint.localize.curve import Point


def window_name(first: int, width: int) -> str:
    """How a window is written: ``"5"`` or ``"5-6"``."""
    return str(first) if width == 1 else f"{first}-{first + width - 1}"


def strip(found: Localization, *, seeds: int = 1, cell: int = 0) -> Image.Image:
    """What every window painted, one column each, after the clean picture; LocoGen's figure 4.

    One row for each prompt and each of the first ``seeds`` seeds. DataError when the localization
    has kept no pictures.
    """
    if found.images is None or found.clean is None:
        raise DataError("this localization has kept no pictures; run LocoGen with keep_images")
    columns = [window_name(first, found.window) for first in range(len(found.images))]
    originals, targets = (_texts(found, name) for name in ("originals", "targets"))
    rows = []
    for number, (original, target) in enumerate(zip(originals, targets, strict=True)):
        for seed in range(min(seeds, found.clean.shape[1])):
            pictures = torch.cat([found.clean[None], found.images])[:, number, seed]
            rows.append(Row(pictures, original, f"reads: {target}"))
    best = ", ".join(str(layer) for layer in found.layers)
    title = f"{found.kind}: layers that read the target; chosen: {best}"
    return grid(rows, ["none", *columns], title=title, cell=cell)


def score_plot(found: Mapping[str, Localization]) -> Image.Image:
    """Score of every window against its first layer, one line for each name; LocoGen's figure 5.

    Dashed: the clean model's score, where it is known. OutputError without matplotlib.
    """
    figure, axes = new_figure(7.0, 3.6)
    for number, (name, each) in enumerate(found.items()):
        colour = f"C{number}"
        axes.plot(range(len(each.scores)), each.scores, "o-", color=colour, label=name, ms=4)
        axes.plot(each.layers[0], each.scores[each.layers[0]], "o", color=colour, ms=9, mfc="none")
        if isinstance(clean := each.info.get("clean"), float):
            axes.axhline(clean, color=colour, ls="--", lw=0.8)
    widths = sorted({each.window for each in found.values()})
    axes.set_xlabel(f"first of {' or '.join(map(str, widths))} layers that read the target")
    axes.set_ylabel("CLIP-Score")
    axes.legend(frameon=False)
    return _drawn(figure)


def curve_plot(curves: Mapping[str, Sequence[Point]]) -> Image.Image:
    """Style (full) and content (dashed) against the number of neurons, for each name.

    OutputError without matplotlib.
    """
    figure, axes = new_figure(6.0, 3.6)
    for number, (name, points) in enumerate(curves.items()):
        counts, colour = [point.n for point in points], f"C{number}"
        axes.plot(counts, [p.style for p in points], "o-", color=colour, ms=4, label=name)
        axes.plot(counts, [p.content for p in points], "s--", color=colour, ms=3)
    axes.set_xlabel("neurons changed")
    axes.set_ylabel("CLIP-Score: style (full), content (dashed)")
    axes.legend(frameon=False)
    return _drawn(figure)


def heat_map(traces: Mapping[str, Trace]) -> Image.Image:
    """Average indirect effects, one map for each name, one colour scale for all.

    OutputError without matplotlib.
    """
    tall = sum(0.32 * len(trace.rows) + 1.1 for trace in traces.values())
    wide = 2.2 + 0.38 * max(len(trace.columns) for trace in traces.values())
    figure, axes = new_figure(wide, tall, len(traces))
    limit = max(float(trace.effects.nan_to_num(0).abs().max()) for trace in traces.values())
    image = None
    for place, (name, trace) in zip(_listed(axes), traces.items(), strict=True):
        image = place.imshow(
            trace.effects.numpy(), cmap="RdBu", vmin=-limit or -1, vmax=limit or 1, aspect="auto"
        )
        place.set_yticks(range(len(trace.rows)), trace.rows)
        place.set_xticks(range(len(trace.columns)), trace.columns, rotation=90, fontsize=7)
        place.set_title(
            f"{name}: corrupted {trace.corrupted:.1f}, clean {trace.clean:.1f}", fontsize=9
        )
    figure.colorbar(image, ax=_listed(axes), label="average indirect effect (CLIP-Score)")
    return _drawn(figure)


def _texts(found: Localization, name: str) -> Sequence[str]:
    value = found.info.get(name)
    if not isinstance(value, list | tuple):
        raise DataError(f"this localization does not name its {name}; run LocoGen again")
    return [str(each) for each in value]


def new_figure(wide: float, tall: float, rows: int = 1) -> tuple[Any, Any]:
    """A matplotlib figure of its own, outside of pyplot's global state, and its axes.

    OutputError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError(
            "plots need matplotlib, which is not installed: pip install 'overpaint[benchmark]'"
        ) from error
    figure = Figure((wide, tall), layout="constrained")
    return figure, figure.subplots(rows)


def _listed(axes: Any) -> list[Any]:
    return list(axes) if hasattr(axes, "__len__") else [axes]


def _drawn(figure: Any) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return Image.open(buffer).convert("RGB")
