"""``overpaint localize neurons`` and ``curve``: what single neurons hold of a style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import arguments, options, show
from overpaint.cli import localize_options as shared
from overpaint.errors import DataError, PromptError

if TYPE_CHECKING:
    from overpaint.localize.neurons import Point


@options.takes_model()
def neurons(
    style: Annotated[str, typer.Argument(help="The style's words, as they stand in the prompts.")],
    layers: shared.Layers,
    count: Annotated[int, typer.Option("--count", "-n", help="Neurons to switch off.")] = 30,
    original: shared.Originals = None,
    target: shared.Targets = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Patch file to write.")
    ] = Path("neurons.safetensors"),
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Find the neurons that tell a style, and write a patch that switches them off.

    \b
      [cyan]overpaint localize neurons zorvan --layers 8,9 -n 50 -o plain.safetensors[/]
    """
    from overpaint.localize.neurons import dropout, find_neurons
    from overpaint.patching.files import save_patch

    path = arguments.output_file(out)
    chosen = arguments.numbers("layers", layers)
    styled, plain = shared.prompts("style", original, target, asked, style)
    loaded = asked.load(quiet=json)
    found = find_neurons(loaded, styled, plain, chosen, subjects=[style] * len(styled))
    patch = dropout(loaded, found, count)
    save_patch(patch, path)
    sites = zip(found.sites, found.z, found.top(count), strict=True)
    rows = [
        (site.name, len(top), float(z[top].abs().max()) if len(top) else None)
        for site, z, top in sites
    ]
    if json:
        show.data({"file": str(path), "neurons": count, "of": found.count, "sites": rows})
        return
    show.table(f"wrote {path}: {count} of {found.count} neurons off", ("site", "off", "|z|"), rows)


@options.takes_model()
def curve(
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE...", help="Words of each style, as in its prompts."),
    ],
    layers: shared.FoundLayers = None,
    counts: Annotated[
        str, typer.Option("--counts", "-n", metavar="NUMBERS", help="How many neurons to change.")
    ] = "10,30,50,100",
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep them at their mean without the style, not at 0.")
    ] = False,
    original: shared.Originals = None,
    target: shared.Targets = None,
    seeds: options.Seeds = "4",
    steps: options.Steps = None,
    out: options.Picture = Path("curve.png"),
    clip: shared.ClipName = "",
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Draw how a style fades, and the rest with it, as more neurons are switched off.

    \b
      [cyan]overpaint localize curve zorvan pelotti -o curve.png[/]
      [cyan]overpaint localize curve zorvan --layers 8,9 --counts 10,100,400 --hold[/]
    """
    from overpaint.localize.fast import fast_locogen
    from overpaint.localize.figures import curve_plot
    from overpaint.localize.locogen import LocoGenConfig
    from overpaint.localize.neurons import dropout_curve, find_neurons
    from overpaint.pictures import save_picture
    from overpaint.types import Sampling

    path = arguments.output_file(out)
    given = arguments.numbers("layers", layers) if layers else None
    numbers, chosen = arguments.numbers("counts", counts), arguments.seeds(seeds)
    if len(set(styles)) < len(styles):
        raise DataError(f"expected different styles, got {', '.join(styles)}; name each once")
    if len(styles) > 1 and (original or target):
        raise PromptError("prompts of your own belong to one style, got several; run it for each")
    pairs = {style: shared.prompts("style", original, target, asked, style) for style in styles}
    found: dict[str, tuple[Point, ...]] = {}
    search = LocoGenConfig(window=2, seeds=tuple(chosen), steps=steps)
    with shared.ready(asked, clip, quiet=json) as (loaded, scorer, progress):
        for style, (styled, plain) in pairs.items():
            places = given or fast_locogen(loaded, scorer, "style", styled, plain, search).layers
            neurons = find_neurons(loaded, styled, plain, places, subjects=[style] * len(styled))
            name = f"{style} {','.join(map(str, places))}"
            found[name] = dropout_curve(
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
    points = [
        (*name.rsplit(" ", 1), p.n, p.style, p.content) for name, own in found.items() for p in own
    ]
    names = ("style", "layers", "neurons", "style score", "content score")
    if json:
        records = [dict(zip(names, point, strict=True)) for point in points]
        show.data({"file": str(path), "points": records})
        return
    show.table(f"wrote {path}", names, points)
