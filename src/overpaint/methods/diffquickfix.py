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
from overpaint.methods.common import (
    check_edits,
    clip_components,
    require,
    require_templates,
    settings,
)
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair, refuse_alike, subject_pairs
from overpaint.models.arithmetic import exact
from overpaint.models.families import Segment, TextPath
from overpaint.models.fingerprint import origin
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import attention_out_site, module_at, refuse_unused_layer
from overpaint.models.text import TOGETHER, hidden_states, tokenize
from overpaint.types import Delta, Edit, Patch, Progress, Site

TEMPLATES = ("{}", "A photo of {}", "An image of {}", "A picture of {}")


@dataclass(frozen=True)
class DiffQuickFixConfig:
    """How :func:`diffquickfix` edits.

    ``lam``        λ, what it costs to move the weights; None for one chosen from text.
    ``layer``      of the text encoder, from 0; the paper finds the first one to be causal.
    ``templates``  augmentations; "{}" stands for the prompt.
    ``component``  which text encoder; empty for every CLIP that the model has.
    """

    STRENGTH: ClassVar = ("lam",)

    lam: float | None = 0.01
    layer: int = 0
    templates: tuple[str, ...] = TEMPLATES
    component: str = ""

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
    with exact(model):
        read = {
            site: _rows(model, site, pairs) for site, pairs in check(model, edits, config).items()
        }

        def make(lam: float) -> list[Delta]:
            return [delta_at(model, site, *solve(*both, lam)) for site, both in read.items()]

        keys = next(iter(read.values()))[0]
        lam, chosen = settled(config.lam, model, edits, keys, make, progress=progress)
        deltas = make(lam)
        if progress:
            progress(len(deltas), len(deltas), "sites")
        mark = origin(model, deltas)
    info = {"rows": len(keys), "rank": deltas[0].rank, **chosen}
    asked = settings(replace(config, lam=lam))
    return Patch(tuple(deltas), "diffquickfix", tuple(edits), config=asked, info=info, **mark)


def check(
    model: Model, edits: Sequence[Edit], config: DiffQuickFixConfig
) -> dict[Site, list[Pair]]:
    """Which positions pair; the errors of :func:`diffquickfix` that prompts and settings tell."""
    found = {}
    for component in clip_components(model, config.component, "DiffQuickFix"):
        site = attention_out_site(model, config.layer, component)
        refuse_unused_layer(model, config.layer, component)
        check_edits(model, edits, destination=False, pictures=False, component=component)
        tower = TextPath("tower", ((site,),), (Segment(component),))
        found[site] = subject_pairs(model, edits, config.templates, tower, padding=True)
    return found


def _rows(model: Model, site: Site, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """``keys [n, d]`` and ``wanted [n, d]``: what ``site`` reads at the rows of the pairs."""
    prompts = list(dict.fromkeys(p for pair in pairs for p in (pair.source, pair.target)))
    states = dict(zip(prompts, inputs(model, site, prompts), strict=True))
    keys = torch.cat([states[pair.source][list(pair.here)] for pair in pairs])
    wanted = torch.cat([states[pair.target][list(pair.there)] for pair in pairs])
    refuse_alike(pairs, keys, wanted)
    return keys, wanted


def inputs(model: Model, site: Site, prompts: Sequence[str]) -> Tensor:
    """What ``site`` of a text encoder reads at every position of ``prompts``: ``[n, L, d_in]``."""
    parts = []
    for start in range(0, len(prompts), TOGETHER):
        tokens = tokenize(model, prompts[start : start + TOGETHER], site.component)
        with record(module_at(model, site)) as (seen,):
            hidden_states(model, tokens, site.component)
        parts.append(seen[0])
    return torch.cat(parts)
