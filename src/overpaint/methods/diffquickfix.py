"""DiffQuickFix: a closed-form edit of the first self-attention layer of the text encoder.

Basu, Zhao, Morariu, Feizi, Manjunatha, "Localizing and Editing Knowledge in Text-to-Image
Generative Models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from overpaint.methods.closed_form import delta_at, solve
from overpaint.methods.common import check_edits, require, require_templates, settings
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair, rows, subject_pairs
from overpaint.models.fingerprint import origin
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import attention_out_site, module_at
from overpaint.models.text import hidden_states, tokenize
from overpaint.types import Delta, Edit, Patch, Progress, Site

TEMPLATES = ("{}", "A photo of {}", "An image of {}", "A picture of {}")


@dataclass(frozen=True)
class DiffQuickFixConfig:
    """How :func:`diffquickfix` edits.

    ``lam``        λ, what it costs to move the weights; None for one chosen from text.
    ``layer``      of the text encoder, from 0; the paper finds the first one to be causal.
    ``templates``  augmentations; "{}" stands for the prompt.
    ``component``  which text encoder.
    """

    STRENGTH: ClassVar = ("lam",)

    lam: float | None = 0.01
    layer: int = 0
    templates: tuple[str, ...] = TEMPLATES
    component: str = "text_encoder"

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        require(self.lam is None or self.lam > 0, "DiffQuickFix", "a λ above 0", self.lam)
        require_templates("DiffQuickFix", self.templates)


def diffquickfix(
    model: Model,
    edits: Sequence[Edit],
    config: DiffQuickFixConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch of ``self_attn.out_proj`` that puts the target's output where the source's was.

    DiffQuickFix, "Editing": ``min Σ‖W'kᵢ - W k*ᵢ‖² + λ‖W' - W‖²``, with k the inputs of the output
    projection at the source's last subject token and every later position, k* those of the target.
    The bias cancels. The model is left as it is. SiteError for a layer outside the model,
    EditError or PromptError for an edit that makes no sense.
    """
    config = config or DiffQuickFixConfig()
    with torch.inference_mode(False), torch.no_grad():
        site = attention_out_site(model, config.layer, config.component)
        pairs = check(model, edits, config)
        states = inputs(model, site, [*(p.source for p in pairs), *(p.target for p in pairs)])
        keys, wanted = rows(pairs, *states.split(len(pairs)))

        def make(lam: float) -> list[Delta]:
            return [delta_at(model, site, *solve(keys, wanted, lam))]

        lam, chosen = settled(config.lam, model, edits, keys, make, progress=progress)
        (delta,) = make(lam)
        if progress:
            progress(1, 1, "sites")
        mark = origin(model)
    info = {"rows": len(keys), "rank": delta.rank, **chosen}
    asked = settings(replace(config, lam=lam))
    return Patch((delta,), "diffquickfix", tuple(edits), config=asked, info=info, **mark)


def check(model: Model, edits: Sequence[Edit], config: DiffQuickFixConfig) -> list[Pair]:
    """Which positions pair; the errors of :func:`diffquickfix` that prompts and settings tell."""
    attention_out_site(model, config.layer, config.component)
    check_edits(model, edits, destination=False, pictures=False, component=config.component)
    return subject_pairs(model, edits, config.templates, onward=True, component=config.component)


def inputs(model: Model, site: Site, prompts: Sequence[str]) -> Tensor:
    """What ``site`` of a text encoder reads at every position of ``prompts``: ``[n, L, d_in]``."""
    with record(module_at(model, site)) as (seen,):
        hidden_states(model, tokenize(model, prompts, site.component), site.component)
    return seen[0]
