"""Options that several commands share, and the model that they ask for."""

from __future__ import annotations

import functools
import inspect
import math
import shlex
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.errors import ModelError
from overpaint.models.embedded import DEFAULT, EMBEDDED

if TYPE_CHECKING:
    import torch

    from overpaint.models.card import Card
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
        help="[cyan]toybox[/], a folder with a diffusers pipeline, a .safetensors file, or a name "
        "on the hub.",
        rich_help_panel=MODEL,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="toybox, a folder, a .safetensors file, or a name on the hub.",
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME", rich_help_panel=MODEL, help="Where to compute: cpu, cuda, cuda:1, mps."
    ),
]
Dtype = Annotated[
    Precision | None,
    typer.Option(
        rich_help_panel=MODEL, help="Number format of the weights.", show_default="as stored"
    ),
]
Variant = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel=MODEL,
        help="Variant of the weights, such as fp16.",
        show_default="the only one there is",
    ),
]
JointClip = Annotated[
    str,
    typer.Option(
        "--clip",
        metavar="NAME",
        rich_help_panel=MODEL,
        help="Joint CLIP of the model's text encoder, which sees pictures: a folder or a hub name.",
        show_default="toybox's own",
    ),
]
Pickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        rich_help_panel=MODEL,
        help="Also read a single file that could hold code; it is not run.",
    ),
]
Seeds = Annotated[
    str, typer.Option(metavar="SEEDS", help="4 is the first four; 2-5 a range; 7,9 a list.")
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Steps of the sampler.", show_default="the model's usual number"),
]
SAMPLING = "Generation"
OWN = "the model's own"
Guidance = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=SAMPLING, help="Guidance scale; 0 and 1 mean none.", show_default=OWN
    ),
]
Negative = Annotated[
    str | None,
    typer.Option(
        "--negative",
        metavar="TEXT",
        rich_help_panel=SAMPLING,
        help="What guidance leads away from.",
        show_default=OWN,
    ),
]
Height = Annotated[
    int | None,
    typer.Option(rich_help_panel=SAMPLING, help="Height in pixels.", show_default=OWN),
]
Width = Annotated[
    int | None, typer.Option(rich_help_panel=SAMPLING, help="Width in pixels.", show_default=OWN)
]
TrueCFG = Annotated[
    float | None,
    typer.Option(
        "--true-cfg",
        rich_help_panel=SAMPLING,
        help="Classifier-free guidance of models whose --guidance is distilled (FLUX dev).",
        show_default="none",
    ),
]
ClipSkip = Annotated[
    int | None,
    typer.Option(
        "--clip-skip",
        rich_help_panel=SAMPLING,
        help="Last layers of CLIP to leave out.",
        show_default="none",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        rich_help_panel=SAMPLING,
        help="A diffusers scheduler, such as EulerDiscreteScheduler.",
        show_default=OWN,
    ),
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


@dataclass(frozen=True)
class Source:
    """The model that was asked for, and how it is to be loaded.

    Attributes:
        name: An embedded model, a folder, a file, or a name on the hub.
        device: Where to put it.
        dtype: Number format of its weights; None for the one they are stored in.
        variant: Variant of the weights; empty for the only one.
        config: Folder with the configuration of a single file.
        clip: Its joint CLIP; empty for the embedded models' own.
        allow_pickle: Whether a single file may be a pickle.
    """

    name: str = DEFAULT
    device: str = "cpu"
    dtype: Precision | None = None
    variant: str = ""
    config: Path | None = None
    clip: str = ""
    allow_pickle: bool = False

    @property
    def card(self) -> Card:
        """What the model's folder says about it; known before it is loaded."""
        from overpaint.models.load import card_of

        return card_of(self.name)

    def load(self, *, quiet: bool = False) -> Model:
        """The model, with a spinner while it loads."""
        from overpaint.cli import show
        from overpaint.models.card import PRECISIONS
        from overpaint.models.load import load

        place = device_called(self.device)
        with show.working(f"loading {self.name}", quiet):
            return load(
                self.name,
                device=place,
                dtype=PRECISIONS[self.dtype.value] if self.dtype else None,
                clip=self.clip or None,
                variant=self.variant or None,
                config=self.config,
                allow_pickle=self.allow_pickle,
            )

    @property
    def embedded(self) -> bool:
        """Whether it is a model that comes with Overpaint, or a copy of one."""
        return self.card.name in EMBEDDED

    def command(self, *words: object) -> str:
        """The command line ``overpaint WORDS...`` for this model, ready to be pasted."""
        asked = {
            "--model": self.name if self.name != DEFAULT else "",
            "--device": self.device if self.device != "cpu" else "",
            "--dtype": self.dtype.value if self.dtype else "",
            "--variant": self.variant,
            "--config": str(self.config or ""),
        }
        options = [part for name, value in asked.items() if value for part in (name, value)]
        options += ["--allow-pickle"] if self.allow_pickle else []
        return shlex.join(["overpaint", *map(str, words), *options])


USUAL = Source()
"""What is asked for where nothing is said."""


def takes_model(
    *,
    clip: bool = False,
    named: bool = False,
    default: str = DEFAULT,
    config: str = "--config",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say which model it is for.

    The command has a parameter ``asked``, a :class:`Source`; in its place stand ``--model``,
    ``--device`` and so on.

    Args:
        clip: Whether the command has a use for the model's joint CLIP.
        named: Whether the model is the command's argument and not an option.
        default: The model where none is named.
        config: What the option for a single file's configuration is called.
    """
    options: dict[str, tuple[Any, Any]] = {
        "model": (ModelArgument, inspect.Parameter.empty) if named else (ModelName, default),
        "device": (Device, "cpu"),
        "dtype": (Dtype, None),
        "variant": (Variant, ""),
        "model_config": (_model_config(config), None),
        **({"joint_clip": (JointClip, "")} if clip else {}),
        "allow_pickle": (Pickle, False),
    }

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            own = {name: given.pop(name) for name in options}
            asked = Source(
                own.pop("model"),
                clip=own.pop("joint_clip", ""),
                config=own.pop("model_config"),
                **own,
            )
            function(**given, asked=asked)

        hints = typing.get_type_hints(function, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name != "asked":
                parameters.append(parameter.replace(annotation=hints[parameter.name]))
                continue
            for name, (annotation, default) in options.items():
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters.append(
                    inspect.Parameter(name, kind, default=default, annotation=annotation)
                )
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        setattr(command, "__signature__", inspect.Signature(keyword))  # noqa: B010
        command.__annotations__ = {p.name: p.annotation for p in keyword}
        return command

    return decorate


def _model_config(option: str) -> Any:
    """The option for a single file's configuration, called ``option``."""
    return Annotated[
        Path | None,
        typer.Option(
            option,
            metavar="FOLDER",
            rich_help_panel=MODEL,
            help="For a single file: a pipeline's configuration and tokenizers.",
            show_default="the hub's",
        ),
    ]


def device_called(name: str) -> torch.device:
    """The device called ``name``; ModelError, with those that are here, when it is not."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        here = [kind for kind, there in _devices() if there]
        kind = name.partition(":")[0]
        if kind in dict(_devices()):
            what = f"there is no {kind} on this machine"
            if kind in here:
                what = f"this machine has no {name}"
        else:
            what = f"expected a device such as cpu, cuda or mps, got {name!r}"
        raise ModelError(f"{what}; use --device {' or '.join(here)}") from error
    if device.type == "meta":
        raise ModelError("expected a device that computes, got 'meta'; use --device cpu")
    return device


def _devices() -> list[tuple[str, bool]]:
    """Kinds of devices, and whether this machine has one."""
    import torch

    return [
        ("cpu", True),
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
        ("xpu", torch.xpu.is_available()),
    ]
