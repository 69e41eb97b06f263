"""``overpaint localize``: where a model keeps what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.cli import arguments, options, show, trace
from overpaint.cli.localize_options import (
    ClipName,
    Originals,
    Picture,
    Seeds,
    Steps,
    Targets,
    judge,
    prompts,
)

if TYPE_CHECKING:
    from overpaint.types import Localization

SEARCH = "The search"

app = typer.Typer(no_args_is_help=True, help="Find the layers and neurons that hold knowledge.")
app.command("neurons")(trace.neurons)
app.command("trace")(trace.trace)


@app.command("layers")
def layers(
    kind: Annotated[str, typer.Argument(help="What to look for: style, object or fact.")],
    original: Originals = None,
    target: Targets = None,
    seeds: Seeds = "4",
    steps: Steps = None,
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
            rich_help_panel=SEARCH, help="CLIP-Score to reach.", show_default="from --share"
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(rich_help_panel=SEARCH, help="Share of the effect of all layers to reach."),
    ] = 0.8,
    fast: Annotated[
        bool, typer.Option("--fast", help="Estimate all windows, paint only the best; no strip.")
    ] = False,
    out: Picture = Path("layers.png"),
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG file for a plot of score against first layer."),
    ] = None,
    clip: ClipName = "",
    model: options.ModelName = "toybox",
    device: options.Device = "cpu",
    dtype: options.Dtype = options.Precision.float32,
    json: options.Json = False,
) -> None:
    """Find the adjacent cross-attention layers that control a style, an object or a fact (LocoGen).

    Without prompts, the embedded world's own are used.

    \b
      [cyan]overpaint localize layers style -a "a cat in the style of zorvan" -b "a cat"[/]
      [cyan]overpaint localize layers fact --window 2 --fast --plot fact.png[/]
    """
    from overpaint.localize.fast import fast_locogen
    from overpaint.localize.figures import score_plot, strip
    from overpaint.localize.locogen import locogen
    from overpaint.localize.search import LocoGenConfig
    from overpaint.pictures import save_picture

    files = [arguments.output_file(f) for f in (None if fast else out, plot) if f]
    config = LocoGenConfig(
        window, widest, threshold, share, seeds=tuple(arguments.seeds(seeds)), steps=steps
    )
    originals, targets = prompts(kind, original, target, model)
    loaded = options.load_model(model, device, dtype, quiet=json)
    scorer = judge(clip, loaded)
    search: Any = fast_locogen if fast else locogen
    with show.progress(json) as progress:
        found = search(loaded, scorer, kind, originals, targets, config, progress=progress)
    if not fast:
        save_picture(strip(found), out)
    if plot:
        save_picture(score_plot({kind: found}), plot)
    _report(found, files, json)


def _report(found: Localization, files: list[Path], json: bool) -> None:
    if json:
        show.data(
            {
                "kind": found.kind,
                "layers": found.layers,
                "window": found.window,
                "scores": found.scores,
                "files": [str(file) for file in files],
                **found.info,
            }
        )
        return
    chosen = ",".join(str(layer) for layer in found.layers)
    known = ("clean", "full", "threshold", "passed", "evaluations")
    facts = [(name, found.info[name]) for name in known if name in found.info]
    title = f"{found.kind}: cross-attention layers {chosen}"
    show.facts(title, [("score", found.scores[found.layers[0]]), *facts])
    if found.info.get("passed") is False:
        show.line("no window passes the threshold; these layers come closest")
    show.table("\nwindows", ("first layer", "score"), list(enumerate(found.scores)))
    for file in files:
        show.line(f"wrote {file}")
