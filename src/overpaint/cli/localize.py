"""``overpaint localize``: where a model keeps what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.cli import arguments, neurons, options, show, trace
from overpaint.cli import localize_options as shared

if TYPE_CHECKING:
    from overpaint.types import Localization

SEARCH = "The search"

app = typer.Typer(no_args_is_help=True, help="Find the layers and neurons that hold knowledge.")
app.command("neurons")(neurons.neurons)
app.command("curve")(neurons.curve)
app.command("trace")(trace.trace)


@app.command("layers")
@options.takes_model()
def layers(
    kind: Annotated[str, typer.Argument(help="What to look for: style, object or fact.")],
    original: shared.Originals = None,
    target: shared.Targets = None,
    seeds: options.Seeds = "4",
    steps: options.Steps = None,
    window: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=SEARCH, help="Layers in a window.", show_default="fewest that pass"
        ),
    ] = None,
    widest: Annotated[
        int | None, typer.Option(rich_help_panel=SEARCH, help="Most layers to try in a window.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=SEARCH,
            callback=options.finite,
            help="CLIP-Score to reach.",
            show_default="from --share",
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(rich_help_panel=SEARCH, help="Share of the effect of all layers to reach."),
    ] = 0.8,
    fast: Annotated[
        bool, typer.Option("--fast", help="Estimate all windows, paint only the best; no strip.")
    ] = False,
    out: options.Picture = Path("layers.png"),
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG file for a plot of score against first layer."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON file for what was found; edit and plot take it later."
        ),
    ] = None,
    cell: Annotated[
        int, typer.Option(min=0, help="Side of a picture on the strip; 0: as painted, or 128.")
    ] = 0,
    clip: shared.ClipName = "",
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Find the adjacent layers that control a style, an object or a fact (LocoGen).

    Without prompts, the embedded world's own are used.

    \b
      [cyan]overpaint localize layers style -a "a cat in the style of zorvan" -b "a cat"[/]
      [cyan]overpaint localize layers fact --window 2 --fast --plot fact.png[/]
    Then edit what was found:
      [cyan]overpaint localize layers style --fast --save style.json[/]
      [cyan]overpaint edit "a cat in the style of zorvan" "a cat" --method locoedit \\
          --localization style.json[/]
    """
    from overpaint.localize.fast import fast_locogen
    from overpaint.localize.figures import score_plot, strip
    from overpaint.localize.files import save_localization
    from overpaint.localize.locogen import LocoGenConfig, locogen
    from overpaint.pictures import save_picture

    files = [arguments.output_file(f) for f in (None if fast else out, plot, save) if f]
    config = LocoGenConfig(
        window, widest, threshold, share, seeds=tuple(arguments.seeds(seeds)), steps=steps
    )
    originals, targets = shared.prompts(kind, original, target, asked)
    search: Any = fast_locogen if fast else locogen
    with shared.ready(asked, clip, quiet=json) as (loaded, scorer, progress):
        found = search(loaded, scorer, kind, originals, targets, config, progress=progress)
    if not fast:
        save_picture(strip(found, cell=cell), out)
    if plot:
        save_picture(score_plot({kind: found}), plot)
    if save:
        save_localization(found, save)
    _report(found, files, json)


@app.command("plot")
def plot(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="What `layers --save` wrote; one line each."),
    ],
    out: options.Picture = Path("scores.png"),
    json: options.Json = False,
) -> None:
    """Plot saved localizations together: score against first layer.

    \b
      [cyan]overpaint localize plot style.json object.json fact.json -o scores.png[/]
    """
    from overpaint.localize.figures import score_plot
    from overpaint.localize.files import load_localization
    from overpaint.pictures import save_picture

    path = arguments.output_file(out)
    found = [load_localization(file) for file in files]
    kinds = [each.kind for each in found]
    alone = len(set(kinds)) == len(kinds)
    names = kinds if alone else [f"{kind}: {f.stem}" for kind, f in zip(kinds, files, strict=True)]
    save_picture(score_plot(dict(zip(names, found, strict=True))), path)
    if json:
        show.data({"file": str(path), "lines": names})
    else:
        show.line(f"wrote {path}")


def _report(found: Localization, files: list[Path], json: bool) -> None:
    from overpaint.localize.files import record

    if json:
        show.data({**record(found), "files": [str(file) for file in files]})
        return
    chosen = ",".join(str(layer) for layer in found.layers)
    known = ("clean", "full", "threshold", "passed", "evaluations")
    facts = [(name, found.info[name]) for name in known if name in found.info]
    title = f"{found.kind}: {found.info.get('attention', 'cross-attention')} layers {chosen}"
    show.facts(title, [("score", found.scores[found.layers[0]]), *facts])
    if found.info.get("passed") is False:
        show.line("no window passes the threshold; these layers come closest")
    show.table("\nwindows", ("first layer", "score"), list(enumerate(found.scores)))
    for file in files:
        show.line(f"wrote {file}")
