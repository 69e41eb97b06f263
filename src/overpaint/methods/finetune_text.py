"""Fine-tuning the whole text encoder: the baseline that TIME compares itself with.

Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models",
appendix G.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import EditError, ModelError
from overpaint.methods.common import (
    check_edits,
    clip_components,
    require,
    require_templates,
    settings,
)
from overpaint.methods.dense import dense_delta
from overpaint.methods.subjects import Pair, rows
from overpaint.methods.time_edit import TEMPLATES, TIMEConfig, pairing
from overpaint.models.arithmetic import exact
from overpaint.models.families import TextPath
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import tokenize
from overpaint.models.tower import linear_sites, states_of
from overpaint.types import Edit, Patch, Progress, Site


@dataclass(frozen=True)
class FinetuneTextConfig:
    """How :func:`finetune_text` trains. Defaults are the paper's (appendix G).

    ``steps``, ``learning_rate``  of Adam, on all prompts at once.
    ``stop``          share of the first loss at which training ends before all steps are taken;
        0, the paper's way, takes them all.
    ``weight_decay``  η; the paper's Table 5 compares several.
    ``templates``, ``end_only``   as in TIME.
    ``rank``          0 keeps the whole change; else it is cut to that rank at every site, and the
        info tells how much was lost.
    """

    steps: int = 4000
    learning_rate: float = 0.01
    stop: float = 0.0
    weight_decay: float = 0.0
    templates: tuple[str, ...] = TEMPLATES
    end_only: bool = False
    rank: int = 0

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        name = "fine-tuning"
        require(self.steps >= 1, name, "steps of at least 1", self.steps)
        require(self.learning_rate > 0, name, "a learning_rate above 0", self.learning_rate)
        require(0 <= self.stop < 1, name, "a stop in [0, 1)", self.stop)
        require(self.weight_decay >= 0, name, "a weight_decay of at least 0", self.weight_decay)
        require(self.rank >= 0, name, "a rank of at least 0", self.rank)
        require_templates(name, self.templates)


def finetune_text(
    model: Model,
    edits: Sequence[Edit],
    config: FinetuneTextConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch for all ``edits``: every linear layer of the text encoder, trained.

    TIME appendix G: Adam on ``Σ‖W c(θ)ᵢ - W c*ᵢ‖²`` over all cross-attention keys and values (eq.
    4 with λ = 0), where the encoder θ moves and not W; c* are the embeddings of the clean encoder.
    The paper trains all of θ; here its linear layers' weights, which are what a patch can hold,
    and not the embeddings, layer norms and biases. The model is left as it is. ModelError for a
    model with several text encoders, else errors as for TIME, and EditError when it diverges.
    """
    config = config or FinetuneTextConfig()
    with exact(model):
        pairs = check(model, edits, config)
        trained, losses, steps = _train(model, pairs, config, progress)
        made = [
            dense_delta(site, weight - module_at(model, site).weight.float(), config.rank)
            for site, weight in trained.items()
        ]
        deltas = tuple(delta for delta, _ in made)
        mark = origin(model, deltas)
    info = {
        "losses": list(losses),
        "steps": steps,
        "rank_error": max(lost for _, lost in made),
    }
    asked = settings(config)
    return Patch(deltas, "finetune-text", tuple(edits), config=asked, info=info, **mark)


def check(model: Model, edits: Sequence[Edit], config: FinetuneTextConfig) -> list[Pair]:
    """Which positions pair; the errors of :func:`finetune_text` that the prompts alone tell."""
    components = clip_components(model, "", "fine-tuning the text encoder")
    if len(model.text_encoders) != 1:
        raise ModelError(
            f"Fine-tuning the text encoder expects a model with one, {model.name} has "
            f"{len(model.text_encoders)}; use finetune, which trains one layer."
        )
    check_edits(model, edits, destination=True, component=components[0])
    like = TIMEConfig(templates=config.templates, end_only=config.end_only, paths=("sequence",))
    (pairs,) = pairing(model, edits, like).values()
    return pairs


def _train(
    model: Model, pairs: Sequence[Pair], config: FinetuneTextConfig, progress: Progress | None
) -> tuple[dict[Site, Tensor], tuple[float, float], int]:
    """The trained weights, the first and the last loss, and how many steps were taken."""
    component = model.text_encoders[0]
    path = model.family.path(model, "sequence")
    wanted = rows(model, path, pairs)[0][1].float()
    tokens = tokenize(model, [p.source for p in pairs], component)
    states = states_of(model, tokens, component)
    metric = _metric(model, path).to(wanted)
    weights = {
        site: module_at(model, site).weight.detach().float().clone().requires_grad_()
        for site in linear_sites(model, component)
    }
    adam = torch.optim.Adam(
        weights.values(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    first = last = math.nan
    steps = 0
    while steps < config.steps:
        with torch.enable_grad():
            now = states(weights)
            apart = torch.cat([x[list(p.here)] for x, p in zip(now, pairs, strict=True)]) - wanted
            loss = ((apart @ metric) * apart).sum()
            grads = torch.autograd.grad(loss, list(weights.values()))
        if not torch.isfinite(loss):
            raise EditError("fine-tuning the text encoder diverged; lower the learning rate")
        last = float(loss.detach())
        first = last if steps == 0 else first
        if last <= config.stop * first:
            break
        for weight, grad in zip(weights.values(), grads, strict=True):
            weight.grad = grad
        adam.step()
        steps += 1
        if progress:
            progress(steps, config.steps, f"loss {last:.3g}")
    return {site: weight.detach() for site, weight in weights.items()}, (first, last), steps


def _metric(model: Model, path: TextPath) -> Tensor:
    """``Σ WᵀW [d, d]`` over all keys and values: ``Σ‖W x‖² = xᵀ (Σ WᵀW) x``, float64."""
    weights = [module_at(model, s).weight.double() for s in path.sites]
    return torch.stack([w.T @ w for w in weights]).sum(0)
