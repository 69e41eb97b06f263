"""matplotlib figures without pyplot's global state, and as Pillow images."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from overpaint.errors import OutputError


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, *, share: bool = False
) -> tuple[Any, Any]:
    """Create a figure with a grid of axes that share no state with pyplot.

    Args:
        width: Width of the figure in inches.
        height: Height of the figure in inches.
        rows: Rows of axes.
        columns: Columns of axes.
        share: Whether all axes have the same limits and only the outer ones tick labels.

    Returns:
        The figure, and its axes: one, or an array of them as ``Figure.subplots`` returns it.

    Raises:
        OutputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError(
            "plots need matplotlib, which is not installed: pip install 'overpaint[benchmark]'"
        ) from error
    figure = Figure((width, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=share, sharey=share)
    for each in figure.axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def as_image(figure: Any) -> Image.Image:
    """Render a matplotlib figure at 150 dots per inch as an RGB image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return Image.open(buffer).convert("RGB")
