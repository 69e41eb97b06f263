"""``overpaint localize curve``: what switching off more and more neurons does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import arguments, options, show
from overpaint.cli.localize_options import (
    ClipName,
    Originals,
    Picture,
    Seeds,
    Steps,
    Targets,
    prompts,
    ready,
)
from overpaint.errors import DataError, PromptError

if TYPE_CHECKING:
    from overpaint.localize.curve import Point


def curve(
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="Words of each style, as in its prompts."),
    ],
    layer: Annotated[
        str, typer.Option("--layers", metavar="LAYERS", help="Cross-attention layers, e.g. 8,9.")
    ],
    counts: Annotated[
        str, typer.Option("--counts", "-n", metavar="NUMBERS", help="How many neurons to change.")
    ] = "10,30,50,100",
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep them at their mean without the style, not at 0.")
    ] = False,
    original: Originals = None,
    target: Targets = None,
    seeds: Seeds = "4",
    steps: Steps = None,
    out: Picture = Path("curve.png"),
    clip: ClipName = "",
    model: options.ModelName = "toybox",
    device: options.Device = "cpu",
    dtype: options.Dtype = options.Precision.float32,
    json: options.Json = False,
) -> None:
    """Draw how a style fades, and the rest with it, as more neurons are switched off.

    \b
      [cyan]overpaint localize curve zorvan pelotti --layers 8,9 -o curve.png[/]
      [cyan]overpaint localize curve zorvan --layers 8,9 --counts 10,100,400 --hold[/]
    """
    from overpaint.localize.curve import dropout_curve
    from overpaint.localize.figures import curve_plot
    from overpaint.localize.neurons import find_neurons
    from overpaint.models.sampling import Sampling
    from overpaint.pictures import save_picture

    path = arguments.output_file(out)
    layers, numbers = arguments.numbers("layers", layer), arguments.numbers("counts", counts)
    chosen = arguments.seeds(seeds)
    if len(set(styles)) < len(styles):
        raise DataError(f"expected different styles, got {', '.join(styles)}; name each once")
    if len(styles) > 1 and (original or target):
        raise PromptError("prompts of your own belong to one style, got several; run it for each")
    pairs = {style: prompts("style", original, target, model, style) for style in styles}
    found: dict[str, tuple[Point, ...]] = {}
    with ready(model, device, dtype, clip, quiet=json) as (loaded, scorer, progress):
        for style, (styled, plain) in pairs.items():
            neurons = find_neurons(loaded, styled, plain, layers, subjects=[style] * len(styled))
            found[style] = dropout_curve(
                loaded,
                scorer,
                neurons,
                numbers,
                hold=hold,
                seeds=chosen,
                how=Sampling(steps=steps),
                progress=lambda done, total, _, style=style: progress(done, total, style),
            )
    save_picture(curve_plot(found), path)
    points = [(style, p.n, p.style, p.content) for style, own in found.items() for p in own]
    names = ("style", "neurons", "style score", "content score")
    if json:
        records = [dict(zip(names, point, strict=True)) for point in points]
        show.data({"file": str(path), "points": records})
        return
    show.table(f"wrote {path}", names, points)
