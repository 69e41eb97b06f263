"""``overpaint localize neurons`` and ``overpaint localize trace``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from overpaint.errors import PromptError

if TYPE_CHECKING:
    from overpaint.localize.causal_trace import Trace, TraceConfig
    from overpaint.models.clip import Clip
    from overpaint.models.model import Model
    from overpaint.types import Progress


def neurons(
    style: Annotated[str, typer.Argument(help="The style's words, as they stand in the prompts.")],
    layer: Annotated[
        str, typer.Option("--layers", metavar="LAYERS", help="Cross-attention layers, e.g. 8,9.")
    ],
    count: Annotated[int, typer.Option("--count", "-n", help="Neurons to switch off.")] = 30,
    original: Originals = None,
    target: Targets = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Patch file to write.")
    ] = Path("neurons.safetensors"),
    model: options.ModelName = "toybox",
    device: options.Device = "cpu",
    dtype: options.Dtype = options.Precision.float32,
    json: options.Json = False,
) -> None:
    """Find the neurons that tell a style, and write a patch that switches them off.

    \b
      [cyan]overpaint localize neurons zorvan --layers 8,9 -n 50 -o plain.safetensors[/]
    """
    from overpaint.localize.neurons import dropout, find_neurons
    from overpaint.patching.files import save_patch

    path = arguments.output_file(out)
    chosen = arguments.numbers("layers", layer)
    styled, plain = prompts("style", original, target, model, style)
    loaded = options.load_model(model, device, dtype, quiet=json)
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


def trace(
    prompt: Annotated[
        list[str], typer.Argument(metavar="PROMPT...", help="What to paint; one map each.")
    ],
    subject: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS", help="Part to corrupt; one for each prompt.", show_default="all of it"
        ),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Trace the text encoder instead of the UNet.")
    ] = False,
    noise: Annotated[
        float, typer.Option(help="Strength of the corruption, in deviations of token embeddings.")
    ] = 3.0,
    seeds: Seeds = "4",
    steps: Steps = None,
    out: Picture = Path("trace.png"),
    clip: ClipName = "",
    model: options.ModelName = "toybox",
    device: options.Device = "cpu",
    dtype: options.Dtype = options.Precision.float32,
    json: options.Json = False,
) -> None:
    """Draw which components, restored alone, bring a corrupted subject back (causal tracing).

    \b
      [cyan]overpaint localize trace "a blue rose in the park" --subject "blue rose"[/]
      [cyan]overpaint localize trace "the president of arda" --text -o text.png[/]
    """
    from overpaint.localize.causal_trace import TraceConfig
    from overpaint.localize.maps import heat_map
    from overpaint.pictures import save_picture

    path = arguments.output_file(out)
    config = TraceConfig(noise, tuple(arguments.seeds(seeds)), steps=steps)
    subjects = subject or prompt
    if len(subjects) != len(prompt):
        raise PromptError(f"expected {len(prompt)} subjects, one a prompt, got {len(subjects)}")
    traces: dict[str, Trace] = {}
    with ready(model, device, dtype, clip, quiet=json) as (loaded, scorer, progress):
        for each, own in zip(prompt, subjects, strict=True):
            traces |= _traced(loaded, scorer, each, own, config, text, progress)
    save_picture(heat_map(traces), path)
    if json:
        effects = {
            name: {"rows": t.rows, "columns": t.columns, "effects": _listed(t.effects)}
            for name, t in traces.items()
        }
        show.data({"file": str(path), "traces": effects})
        return
    rows = [(name, *t.best, float(t.effects.nan_to_num().max())) for name, t in traces.items()]
    show.table(f"wrote {path}; largest effects", ("map", "row", "column", "effect"), rows)


def _traced(
    model: Model,
    clip: Clip,
    prompt: str,
    subject: str,
    config: TraceConfig,
    text: bool,
    progress: Progress,
) -> dict[str, Trace]:
    """The maps of one prompt by their names, the corrupted part in brackets."""
    from overpaint.localize.causal_trace import trace_text, trace_unet

    name = prompt.replace(subject, f"[{subject}]", 1)
    if not text:
        return {name: trace_unet(model, clip, [prompt], [subject], config, progress=progress)}
    maps = trace_text(model, clip, prompt, subject, config, progress=progress)
    kinds = "self-attention", "MLP"
    return {f"{name}: {kind}": found for kind, found in zip(kinds, maps, strict=True)}


def _listed(effects: Any) -> list[list[float | None]]:
    return [[None if value != value else value for value in row] for row in effects.tolist()]
