"""Fine-tuning one MLP of the text encoder: the baseline that ReFACT compares itself with.

Arad, Orgad, Belinkov, "ReFACT", appendix G.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from overpaint.errors import EditError
from overpaint.methods.common import check_edits, clip_components, filled, fits, require, settings
from overpaint.methods.dense import dense_delta
from overpaint.methods.refact_config import ReFACTConfig, contexts, for_model
from overpaint.methods.refact_objective import distances
from overpaint.methods.refact_targets import anchors
from overpaint.models.arithmetic import exact
from overpaint.models.fingerprint import origin
from overpaint.models.hooks import replace as replace_output
from overpaint.models.hooks import replace_input
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.sites import mlp_site, module_at, refuse_unused_layer
from overpaint.models.text import pooled
from overpaint.types import Delta, Edit, Patch, Progress, Site


@dataclass(frozen=True)
class FinetuneConfig:
    """How :func:`finetune` trains. Defaults are the paper's (appendix G.1).

    ``layer``      of the text encoder, from 0.
    ``epochs``, ``learning_rate``  of Adam; an epoch sees every context once.
    ``penalty``    of the largest entry of the change, in absolute value.
    ``contrast``, ``templates``, ``corpus``, ``component``  as in ReFACT.
    ``batch``      contexts in one step; the paper does not say.
    ``rank``       0 keeps the whole change; else it is cut to that rank, and the info tells how
        much was lost.
    """

    layer: int = 9
    epochs: int = 5
    learning_rate: float = 5e-5
    penalty: float = 5e10
    contrast: int = 20
    templates: tuple[str, ...] | None = None
    corpus: Corpus | None = None
    component: str = ""
    batch: int = 1
    rank: int = 0

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        name = "fine-tuning"
        require(self.epochs >= 1, name, "epochs of at least 1", self.epochs)
        require(self.learning_rate > 0, name, "a learning_rate above 0", self.learning_rate)
        require(self.penalty >= 0, name, "a penalty of at least 0", self.penalty)
        require(self.batch >= 1, name, "a batch of at least 1", self.batch)
        require(self.rank >= 0, name, "a rank of at least 0", self.rank)
        self.like_refact()

    def like_refact(self) -> ReFACTConfig:
        """The settings of the contrastive loss; EditError when they are out of range."""
        return ReFACTConfig(
            layer=self.layer,
            contrast=self.contrast,
            templates=self.templates,
            corpus=self.corpus,
            component=self.component,
        )


def finetune(
    model: Model,
    edits: Sequence[Edit],
    config: FinetuneConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch for all ``edits``: ``mlp.fc2`` of one layer, trained, a change of full rank.

    ReFACT appendix G.1: Adam on ``-log p(target)`` under the contrastive softmax of eq. 1, plus
    ``penalty · ‖ΔW‖_∞``. The model is left as it is. EditError, PromptError or SiteError for an
    edit or a layer that makes no sense, EditError when the loss stops being a number.
    """
    config = config or FinetuneConfig()
    like = for_model(model, config.like_refact())
    config = replace(config, templates=like.templates)
    deltas, infos = [], {}
    with exact(model):
        for site in check(model, edits, config):
            own = replace(config, component=site.component)
            delta, infos[site.component] = _in_encoder(model, site, edits, own, progress)
            deltas.append(delta)
        mark = origin(model, deltas)
    info = infos if len(infos) > 1 else next(iter(infos.values()))
    asked = settings(config)
    return Patch(tuple(deltas), "finetune", tuple(edits), config=asked, info=info, **mark)


def _in_encoder(
    model: Model,
    site: Site,
    edits: Sequence[Edit],
    config: FinetuneConfig,
    progress: Progress | None,
) -> tuple[Delta, dict[str, object]]:
    """The change of one text encoder's ``site``, and what was measured."""
    like = config.like_refact()
    known = anchors(model, edits, like)[:, 0]
    seen = [
        (filled(template, edit.source), number)
        for number, edit in enumerate(edits)
        for template in contexts(like)
        if template == "{}" or fits(model, filled(template, edit.source), config.component)
    ]
    change, losses = _train(model, site, seen, known, config, progress)
    delta, lost = dense_delta(site, change, config.rank)
    return delta, {"losses": losses, "largest": float(change.abs().max()), "rank_error": lost}


def check(model: Model, edits: Sequence[Edit], config: FinetuneConfig) -> list[Site]:
    """The sites to train; the errors of :func:`finetune` that prompts and settings alone tell."""
    sites = []
    for component in clip_components(model, config.component, "fine-tuning"):
        sites.append(mlp_site(model, config.layer, component))
        refuse_unused_layer(model, config.layer, component)
        check_edits(model, edits, destination=False, component=component)
    return sites


def _train(
    model: Model,
    site: Site,
    contexts: Sequence[tuple[str, int]],
    anchors: Tensor,
    config: FinetuneConfig,
    progress: Progress | None,
) -> tuple[Tensor, list[float]]:
    """ΔW ``[d_out, d_in]`` and the mean contrastive loss of each epoch.

    ``contexts`` are prompts and the edits they belong to, ``anchors [R, N, p]``.
    """
    weight = module_at(model, site).weight
    change = torch.zeros_like(weight, dtype=torch.float32).requires_grad_()
    adam = torch.optim.Adam([change], lr=config.learning_rate)
    losses: list[float] = []
    for epoch in range(config.epochs):
        total = 0.0
        for start in range(0, len(contexts), config.batch):
            part = contexts[start : start + config.batch]
            with torch.enable_grad():
                features = _features(model, site, [prompt for prompt, _ in part], change)
                apart = distances(features.float(), anchors[[number for _, number in part]])
                missed = -(-apart).log_softmax(dim=1)[:, 0]
                loss = missed.mean() + config.penalty * change.abs().amax()
                (change.grad,) = torch.autograd.grad(loss, change)
            if not torch.isfinite(loss):
                raise EditError("fine-tuning diverged; lower the learning rate")
            adam.step()
            total += float(missed.sum().detach())
        losses.append(total / len(contexts))
        if progress:
            progress(epoch + 1, config.epochs, f"loss {losses[-1]:.2f}")
    return change.detach(), losses


def _features(model: Model, site: Site, prompts: list[str], change: Tensor) -> Tensor:
    """Pooled features ``[n, p]`` with ``change`` added to the weight of ``site``."""
    read: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        read.append(x)
        return x

    def add(y: Tensor) -> Tensor:
        return y + F.linear(read.pop().float(), change).to(y.dtype)

    module = module_at(model, site)
    with replace_input(module, keep), replace_output(module, add):
        return pooled(model, prompts, site.component)
