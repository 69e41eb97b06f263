"""``overpaint localize trace``: which component brings a corrupted subject back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.cli import arguments, options, show
from overpaint.cli import localize_options as shared
from overpaint.errors import ConfigError, PromptError

if TYPE_CHECKING:
    from overpaint.localize.causal_trace import Trace, TraceConfig
    from overpaint.models.clip import Clip
    from overpaint.models.model import Model
    from overpaint.types import Progress


@options.takes_model()
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
        bool, typer.Option("--text", help="Trace a text encoder instead of the denoiser.")
    ] = False,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Text encoder to trace, with --text, e.g. text_encoder_2.",
            show_default="the model's first",
        ),
    ] = "",
    noise: Annotated[
        float,
        typer.Option(
            callback=options.finite,
            help="Strength of the corruption, in deviations of token embeddings.",
        ),
    ] = 3.0,
    seeds: options.Seeds = "4",
    steps: options.Steps = None,
    out: options.Picture = Path("trace.png"),
    clip: shared.ClipName = "",
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Draw which components, restored alone, bring a corrupted subject back (causal tracing).

    \b
      [cyan]overpaint localize trace "a blue rose in the park" --subject "blue rose"[/]
      [cyan]overpaint localize trace "the president of arda" --text -o text.png[/]
    """
    from overpaint.localize.causal_trace import TraceConfig
    from overpaint.localize.figures import heat_map
    from overpaint.pictures import save_picture

    path = arguments.output_file(out)
    if encoder and not text:
        raise ConfigError("--encoder says which text encoder to trace; add --text")
    config = TraceConfig(noise, tuple(arguments.seeds(seeds)), steps=steps)
    subjects = subject or prompt
    if len(subjects) != len(prompt):
        raise PromptError(f"expected {len(prompt)} subjects, one a prompt, got {len(subjects)}")
    traces: dict[str, Trace] = {}
    with shared.ready(asked, clip, quiet=json) as (loaded, scorer, progress):
        for each, own in zip(prompt, subjects, strict=True):
            traces |= _traced(loaded, scorer, each, own, config, text, encoder, progress)
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
    encoder: str,
    progress: Progress,
) -> dict[str, Trace]:
    """The maps of one prompt by their names, the corrupted part in brackets."""
    from overpaint.localize.causal_trace import trace_denoiser, trace_text

    name = prompt.replace(subject, f"[{subject}]", 1)
    if not text:
        return {name: trace_denoiser(model, clip, [prompt], [subject], config, progress=progress)}
    component = encoder or model.text_encoders[0]
    maps = trace_text(model, clip, prompt, subject, config, component=component, progress=progress)
    kinds = "self-attention", "MLP"
    return {f"{name}: {kind}": found for kind, found in zip(kinds, maps, strict=True)}


def _listed(effects: Any) -> list[list[float | None]]:
    return [[None if value != value else value for value in row] for row in effects.tolist()]
