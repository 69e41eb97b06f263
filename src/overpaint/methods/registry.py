"""The methods by name, for the command line and for benchmarks. One line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.types import Patch


@dataclass(frozen=True)
class Method:
    """``function(model, edits, config, *, progress=None) -> Patch``, and what to say about it."""

    name: str
    function: Callable[..., Patch]
    config: type[Any]
    summary: str
    paper: str


METHODS = {
    method.name: method
    for method in (
        Method(
            "refact",
            refact,
            ReFACTConfig,
            "rank-one edit of one MLP of the text encoder: a subject means another",
            "Arad, Orgad, Belinkov 2024, arXiv:2306.00738",
        ),
        Method(
            "time",
            time_edit,
            TIMEConfig,
            "closed-form edit of all cross-attention keys and values: an assumption changes",
            "Orgad, Kawar, Belinkov 2023, arXiv:2303.08084",
        ),
    )
}
