"""Options that several commands share."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from overpaint.models.model import Model


MODEL = "The model"
NAMED = "named after SOURCE"


def finite(value: float | None) -> float | None:
    """``value``; refused in one line if it is none to compute with."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value


class Precision(StrEnum):
    """Number formats a model can be loaded in."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="[cyan]toybox[/], a folder with a diffusers pipeline, or a name on the hub.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME", rich_help_panel=MODEL, help="Where to compute: cpu, cuda, cuda:1, mps."
    ),
]
Dtype = Annotated[
    Precision, typer.Option(rich_help_panel=MODEL, help="Number format of the weights.")
]
Seeds = Annotated[
    str, typer.Option(metavar="SEEDS", help="4 is the first four; 2-5 a range; 7,9 a list.")
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Steps of the sampler.", show_default="the model's usual number"),
]
Picture = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="PNG file to write.")]
PatchFile = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Patch file to write.", show_default=NAMED),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also use a patch that was made on another model.")
]


def load_model(
    name: str, device: str = "cpu", dtype: Precision = Precision.float32, *, quiet: bool = False
) -> Model:
    """The model called ``name``, with a spinner while it loads."""
    import torch

    from overpaint.cli import show
    from overpaint.errors import ModelError
    from overpaint.models.load import load

    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"expected a device such as cpu, cuda or mps, got {device!r}, which is not here"
        ) from error
    with show.working(f"loading {name}", quiet):
        return load(name, device=place, dtype=getattr(torch, dtype.value))
