"""The methods by name, for the command line and for benchmarks. One line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from overpaint.errors import EditError
from overpaint.methods import (
    diffquickfix,
    finetune,
    finetune_text,
    locoedit,
    mass,
    refact,
    time_edit,
    uce,
)
from overpaint.models.model import Model
from overpaint.types import Edit, Patch


@dataclass(frozen=True)
class Method:
    """``function(model, edits, config, *, progress=None) -> Patch``, and what to say about it.

    ``check(model, edits, config)`` raises the errors of ``function`` that prompts and settings
    alone tell, in a moment: nothing is computed. ``label`` names it in tables and plots.
    ``needs`` is what a model must have: a ``"text path"`` to the denoiser, a ``"CLIP"`` text
    encoder, or ``"only CLIP"`` as text encoder.
    """

    name: str
    function: Callable[..., Patch]
    check: Callable[[Model, Sequence[Edit], Any], object]
    config: type[Any]
    summary: str
    paper: str
    label: str
    needs: str = "text path"


METHODS = {
    method.name: method
    for method in (
        Method(
            "refact",
            refact.refact,
            refact.check,
            refact.ReFACTConfig,
            "rank-one edit of one MLP of the text encoder: a subject means another",
            "Arad, Orgad, Belinkov 2024, arXiv:2306.00738",
            "ReFACT",
            needs="CLIP",
        ),
        Method(
            "time",
            time_edit.time_edit,
            time_edit.check,
            time_edit.TIMEConfig,
            "closed-form edit of all cross-attention keys and values: an assumption changes",
            "Orgad, Kawar, Belinkov 2023, arXiv:2303.08084",
            "TIME",
        ),
        Method(
            "uce",
            uce.uce,
            uce.check,
            uce.UCEConfig,
            "closed-form edit of all cross-attention keys and values: concepts read like others",
            "Gandikota, Orgad, Belinkov, Materzynska, Bau 2023, arXiv:2308.14761",
            "UCE",
        ),
        Method(
            "locoedit",
            locoedit.locoedit,
            locoedit.check,
            locoedit.LocoEditConfig,
            "closed-form edit of the few cross-attention layers that hold the knowledge",
            "Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi 2024, "
            "arXiv:2405.01008",
            "LocoEdit",
        ),
        Method(
            "diffquickfix",
            diffquickfix.diffquickfix,
            diffquickfix.check,
            diffquickfix.DiffQuickFixConfig,
            "closed-form edit of the first self-attention layer of the text encoder",
            "Basu, Zhao, Morariu, Feizi, Manjunatha 2023, arXiv:2310.13730",
            "DiffQuickFix",
            needs="CLIP",
        ),
        Method(
            "mass",
            mass.mass,
            mass.check,
            mass.MassConfig,
            "many ReFACT requests in one solve, over one or several layers",
            "after Meng, Sharma, Andonian, Belinkov, Bau 2022, arXiv:2210.07229",
            "ReFACT in one solve",
            needs="CLIP",
        ),
        Method(
            "finetune",
            finetune.finetune,
            finetune.check,
            finetune.FinetuneConfig,
            "baseline: one MLP of the text encoder, trained with ReFACT's loss",
            "Arad, Orgad, Belinkov 2024, arXiv:2306.00738, appendix G.1",
            "fine-tuning one MLP",
            needs="CLIP",
        ),
        Method(
            "finetune-text",
            finetune_text.finetune_text,
            finetune_text.check,
            finetune_text.FinetuneTextConfig,
            "baseline: the whole text encoder, trained towards TIME's targets",
            "Orgad, Kawar, Belinkov 2023, arXiv:2303.08084, appendix G",
            "fine-tuning the text encoder",
            needs="only CLIP",
        ),
    )
}


def method_called(name: str) -> Method:
    """The method of that name; EditError when there is none."""
    if name not in METHODS:
        raise EditError(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]
