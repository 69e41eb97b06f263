"""Options and defaults that the ``overpaint localize`` commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import options, show
from overpaint.errors import PromptError

if TYPE_CHECKING:
    from overpaint.models.clip import Clip
    from overpaint.models.model import Model
    from overpaint.types import Progress

Originals = Annotated[
    list[str] | None,
    typer.Option(
        "--original", "-a", metavar="PROMPT", help="Prompt with the attribute; may be repeated."
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", "-b", metavar="PROMPT", help="The same without it; one for each original."
    ),
]
Layers = Annotated[
    str, typer.Option("--layers", metavar="LAYERS", help="Cross-attention layers, e.g. 8,9.")
]
FoundLayers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="LAYERS",
        help="Cross-attention layers, e.g. 8,9.",
        show_default="the two that fast LocoGen finds for each style",
    ),
]
ClipName = Annotated[
    str,
    typer.Option(
        "--clip",
        metavar="NAME",
        help="CLIP that scores the pictures: a folder or a hub name.",
        show_default="toybox-judge for toybox",
    ),
]


def prompts(
    kind: str,
    original: list[str] | None,
    target: list[str] | None,
    asked: options.Source,
    style: str = "",
) -> tuple[list[str], list[str]]:
    """The prompts that were typed, or the embedded world's own of that kind."""
    if original or target:
        return original or [], target or []
    if not asked.embedded:
        raise PromptError(
            f"expected prompts for {asked.name}, got none; give --original and --target"
        )
    from overpaint.localize.score import kind_called
    from overpaint.toybox.cases import load

    attribute = kind_called(kind).name
    pairs = [p for p in load("localization") if p.attribute == attribute and style in p.original]
    if not pairs:
        raise PromptError(
            f"the embedded world has no style {style!r}; its styles are under `overpaint toybox "
            "words`, or give --original and --target"
        )
    return [p.original for p in pairs], [p.target for p in pairs]


@contextmanager
def ready(
    asked: options.Source, clip: str, *, quiet: bool
) -> Iterator[tuple[Model, Clip, Progress]]:
    """The model, the CLIP that scores its pictures, and a progress bar."""
    from overpaint.models.clip import clip_of
    from overpaint.models.embedded import judge_of
    from overpaint.models.judges import load_clip

    loaded = asked.load(quiet=quiet)
    name = clip or judge_of(loaded.card.name, "")
    scorer = load_clip(name, device=loaded.device) if name else clip_of(loaded)
    with show.progress(quiet) as progress:
        yield loaded, scorer, progress
