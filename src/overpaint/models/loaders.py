"""What all loading shares: quiet libraries, one line of an error, and no weight left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from overpaint.errors import ModelError


@contextmanager
def silence() -> Iterator[None]:
    """Bars and notes on the screen belong to the caller: switch those of the loaders off."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = [
        (log, log.get_verbosity(), log.is_progress_bar_enabled())
        for log in (diffusers_logging, transformers_logging)
    ]
    for log, _, _ in before:
        log.set_verbosity(logging.CRITICAL)  # errors become exceptions of ours, or were no errors
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, verbosity, bars in before:
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


def from_pretrained(cls: Any, source: str, dtype: torch.dtype | None = None) -> Any:
    """``cls.from_pretrained``, every failure a ModelError."""
    try:
        return cls.from_pretrained(source, **({"dtype": dtype} if dtype else {}))
    except Exception as error:  # hub, network, JSON, safetensors: each has its own hierarchy
        hint = "" if Path(source).exists() else " Check the name and the network, or give a folder."
        raise ModelError(f"Cannot load {source!r}: {first_line(error)}{hint}") from error


def first_line(error: BaseException) -> str:
    """The first line of what ``error`` says, ended by a full stop."""
    line = next(iter(str(error).strip().splitlines()), "").strip() or type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."


def networks(pipeline: Any) -> dict[str, nn.Module]:
    """The pipeline's networks by name, with or without parameters."""
    parts = getattr(pipeline, "components", {})
    return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}


def complete(pipeline: Any, said: str) -> None:
    """ModelError, naming the first, for weights that ``said`` does not have."""
    for name, network in networks(pipeline).items():
        for place, weight in network.named_parameters():
            if weight.is_meta:
                raise ModelError(
                    f"{said} lacks {place!r} of its {name}: it was cut short, or is of another "
                    "shape than its configuration says."
                )
