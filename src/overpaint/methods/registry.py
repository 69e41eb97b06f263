"""The methods by name, for the command line and for benchmarks. One line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from overpaint.errors import EditError
from overpaint.methods.diffquickfix import DiffQuickFixConfig, diffquickfix
from overpaint.methods.finetune import FinetuneConfig, finetune
from overpaint.methods.finetune_text import FinetuneTextConfig, finetune_text
from overpaint.methods.locoedit import LocoEditConfig, locoedit
from overpaint.methods.mass import MassConfig, mass
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.methods.uce import UCEConfig, uce
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
        Method(
            "uce",
            uce,
            UCEConfig,
            "closed-form edit of all cross-attention keys and values: concepts read like others",
            "Gandikota, Orgad, Belinkov, Materzynska, Bau 2023, arXiv:2308.14761",
        ),
        Method(
            "locoedit",
            locoedit,
            LocoEditConfig,
            "closed-form edit of the few cross-attention layers that hold the knowledge",
            "Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi 2024, "
            "arXiv:2405.01008",
        ),
        Method(
            "diffquickfix",
            diffquickfix,
            DiffQuickFixConfig,
            "closed-form edit of the first self-attention layer of the text encoder",
            "Basu, Zhao, Morariu, Feizi, Manjunatha 2023, arXiv:2310.13730",
        ),
        Method(
            "mass",
            mass,
            MassConfig,
            "many ReFACT requests in one solve, over one or several layers",
            "after Meng, Sharma, Andonian, Belinkov, Bau 2022, arXiv:2210.07229",
        ),
        Method(
            "finetune",
            finetune,
            FinetuneConfig,
            "baseline: one MLP of the text encoder, trained with ReFACT's loss",
            "Arad, Orgad, Belinkov 2024, arXiv:2306.00738, appendix G.1",
        ),
        Method(
            "finetune-text",
            finetune_text,
            FinetuneTextConfig,
            "baseline: the whole text encoder, trained towards TIME's targets",
            "Orgad, Kawar, Belinkov 2023, arXiv:2303.08084, appendix G",
        ),
    )
}


def method_called(name: str) -> Method:
    """The method of that name; EditError when there is none."""
    if name not in METHODS:
        raise EditError(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]
