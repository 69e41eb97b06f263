"""ReFACT: a rank-one change of one MLP of the text encoder, so that a subject means another.

Arad, Orgad, Belinkov, "ReFACT: Updating Text-to-Image Models by Editing the Text Encoder".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from overpaint import linalg
from overpaint.methods.common import check_edits, clip_components, settings
from overpaint.methods.refact_config import TEMPLATES, ReFACTConfig, for_model
from overpaint.methods.refact_search import average, search
from overpaint.methods.refact_targets import anchors, corpus_of
from overpaint.methods.strength import choose_scale
from overpaint.models.arithmetic import exact
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.moments import second_moment
from overpaint.models.sites import mlp_site, refuse_unused_layer
from overpaint.models.suffix import refuse_last_layer
from overpaint.models.weights import with_deltas
from overpaint.types import Delta, Edit, Patch, Progress

__all__ = ["TEMPLATES", "ReFACTConfig", "refact", "refact_each"]


def refact(
    model: Model,
    edits: Sequence[Edit],
    config: ReFACTConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch for all ``edits``, each computed on the model as already edited by those before.

    ReFACT section 2 and appendix H: for every edit ``W ← W + Λ (C⁻¹k*)ᵀ`` at ``mlp.fc2`` of one
    layer, so that the layer returns exactly v* at the subject token of the plain source prompt.
    The rank is the number of edits. ``edit.target`` or ``edit.images`` is the target, ``edit.old``
    (default: the source) what the source means today. The model is left as it is.
    EditError, PromptError or SiteError for an edit or a layer that makes no sense.
    """
    config = for_model(model, config or ReFACTConfig())
    found: dict[str, list[_Result]] = {}
    with exact(model):
        for own in check(model, edits, config):
            found[own.component] = _one_after_another(model, edits, own, progress)
        return _patch(model, edits, found, config)


def refact_each(
    model: Model,
    edits: Sequence[Edit],
    config: ReFACTConfig | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[Patch, ...]:
    """One patch for each of ``edits``, all computed on the clean model, side by side.

    The same patches as ``refact(model, [edit], config)`` one by one, in a fraction of the time.
    """
    config = for_model(model, config or ReFACTConfig())
    found: dict[str, list[_Result]] = {}
    with exact(model):
        for own in check(model, edits, config):
            known = _clean(model, edits, own, progress)
            found[own.component] = _compute(model, edits, known, own, progress)
        return tuple(
            _patch(model, [edit], {name: [results[r]] for name, results in found.items()}, config)
            for r, edit in enumerate(edits)
        )


def _one_after_another(
    model: Model, edits: Sequence[Edit], config: ReFACTConfig, progress: Progress | None
) -> list[_Result]:
    """Every edit on the model as edited by those before it, in one text encoder."""
    clean = None if config.follow_edits else _clean(model, edits, config, progress)
    found: list[_Result] = []
    for number, edit in enumerate(edits):
        with with_deltas(model, [result.delta for result in found]):
            known = clean.of(number) if clean else _clean(model, [edit], config, progress)
            found += _compute(model, [edit], known, config, progress)
    return found


@dataclass(frozen=True, eq=False)
class _Known:
    """Taken from the unedited model: anchors ``[R, M, N, p]``, C ``[d_in, d_in]`` (None for I)."""

    anchors: Tensor
    covariance: Tensor | None

    def of(self, number: int) -> _Known:
        return _Known(self.anchors[number : number + 1], self.covariance)


@dataclass(frozen=True, eq=False)
class _Result:
    """One edit's delta and what was measured on the way."""

    delta: Delta
    info: dict[str, Any]


def check(model: Model, edits: Sequence[Edit], config: ReFACTConfig) -> list[ReFACTConfig]:
    """``config`` for each text encoder that is edited.

    Raises the errors of :func:`refact` that prompts and settings alone tell.
    """
    found = []
    for component in clip_components(model, config.component, "ReFACT"):
        refuse_last_layer(model, config.layer, component)
        refuse_unused_layer(model, config.layer, component)
        check_edits(model, edits, destination=False, component=component)
        found.append(replace(config, component=component))
    return found


def _clean(
    model: Model, edits: Sequence[Edit], config: ReFACTConfig, progress: Progress | None
) -> _Known:
    known = anchors(model, edits, config)
    if config.covariance_weight == 0:
        return _Known(known, None)
    site = mlp_site(model, config.layer, config.component)
    corpus, where = corpus_of(model, config), config.cache_dir
    moment = second_moment(model, site, corpus, cache_dir=where, progress=progress)
    return _Known(known, linalg.blend(moment, config.covariance_weight))


def _compute(
    model: Model,
    edits: Sequence[Edit],
    known: _Known,
    config: ReFACTConfig,
    progress: Progress | None,
) -> list[_Result]:
    """Independent rank-one edits on the model as it stands now."""
    site = mlp_site(model, config.layer, config.component)
    done = search(model, edits, known.anchors, config, progress)
    state, plain = done.contexts.suffix, done.contexts.plain
    keys = average(state.key, state.owner, done.contexts.weights, len(edits))
    if known.covariance is not None:
        keys = linalg.solve(known.covariance, keys)
    factors = [
        linalg.rank_one(keys[r], done.found.delta[r], at=state.key[plain[r]])
        for r in range(len(edits))
    ]
    found = [Delta(site, a.cpu(), b.cpu()) for a, b in factors]
    results = []
    for r, (edit, delta) in enumerate(zip(edits, found, strict=True)):
        scale, chosen = _scale(model, edit, delta, config, progress)
        results.append(_Result(Delta(site, delta.a, scale * delta.b), done.info(r) | chosen))
    return results


def _scale(
    model: Model, edit: Edit, delta: Delta, config: ReFACTConfig, progress: Progress | None
) -> tuple[float, dict[str, Any]]:
    """How many times as long the change of one edit shall be, and what was measured for it."""
    if config.scale is not None:
        return config.scale, {}
    found = choose_scale(
        model,
        edit,
        lambda scale: [Delta(delta.site, delta.a, scale * delta.b)],
        config.component,
        progress=progress,
    )
    return found.value, found.info


def _patch(
    model: Model,
    edits: Sequence[Edit],
    found: Mapping[str, Sequence[_Result]],
    config: ReFACTConfig,
) -> Patch:
    """A patch with one delta for each text encoder, its rank the number of edits."""
    deltas, infos = [], {}
    for component, results in found.items():
        a = torch.cat([r.delta.a for r in results])
        b = torch.cat([r.delta.b for r in results], dim=1)
        deltas.append(Delta(results[0].delta.site, a, b))
        infos[component] = {name: [r.info[name] for r in results] for name in results[0].info}
    info = infos if len(infos) > 1 else next(iter(infos.values()))
    asked = settings(config)
    mark = origin(model, deltas)
    return Patch(tuple(deltas), "refact", tuple(edits), config=asked, info=info, **mark)
