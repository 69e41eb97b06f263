"""Plots as SVG that takes its colours and its type from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from itertools import count
from typing import Any

from overpaint.benchmark.report.markup import Html, element
from overpaint.plotting import new_figure

INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"}
SERIES = 8  # colours the page has for lines; the ninth is the first again


def colour(number: int) -> str:
    """The stand-in for the page's colour of line ``number``."""
    return f"#0a0a{number % SERIES:02x}"


def plot(draw: Callable[[Any], None], label: str, name: str, size: tuple[float, float]) -> Html:
    """What ``draw(axes)`` draws, in inches ``size``; ``label`` says it to those who do not see it.

    ``name`` is the plot's own, so that no two plots of a page share an id. OutputError without
    matplotlib.
    """
    figure, axes = new_figure(*size)
    from matplotlib import rc_context
    from matplotlib.text import Text

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
    }
    file = io.StringIO()
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's font draws the text
        _plain(figure, axes)
        draw(axes)
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a name from the data may look like mathematics
        figure.savefig(file, format="svg")
    image = Html(_adapted(file.getvalue(), name))
    return element("div", image, class_="plot", role="img", aria_label=label)


def _plain(figure: Any, axes: Any) -> None:
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


def _adapted(svg: str, name: str) -> str:
    """The ``<svg>`` alone: no prologue, no addresses, ids of its own, the page's variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    numbers, ids = count(), {}
    for old in re.findall(r'\bid="([^"]*)"', svg):
        ids.setdefault(old, f"{name}-{next(numbers)}")
    for old, new in ids.items():
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f"#{old}", f"#{new}")
    for number in range(SERIES):
        svg = svg.replace(colour(number), f"var(--line{number})")
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font-size: \1px", svg).strip()
