"""ReFACT: a rank-one change of one MLP of the text encoder, so that a subject means another.

Arad, Orgad, Belinkov, "ReFACT: Updating Text-to-Image Models by Editing the Text Encoder".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from overpaint import linalg
from overpaint.methods.common import check_edits, settings
from overpaint.methods.refact_config import TEMPLATES, ReFACTConfig, for_model
from overpaint.methods.refact_search import average, search
from overpaint.methods.refact_targets import anchors, corpus_of
from overpaint.methods.strength import choose_scale
from overpaint.models.fingerprint import Origin, origin
from overpaint.models.model import Model
from overpaint.models.moments import second_moment
from overpaint.models.sites import mlp_site
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
    with torch.inference_mode(False), torch.no_grad():
        check(model, edits, config)
        mark = origin(model)
        clean = None if config.follow_edits else _clean(model, edits, config)
        deltas: list[Delta] = []
        found: list[_Result] = []
        for number, edit in enumerate(edits):
            with with_deltas(model, deltas):
                known = _clean(model, [edit], config) if clean is None else clean.of(number)
                result = _compute(model, [edit], known, config, progress)[0]
            deltas.append(result.delta)
            found.append(result)
    stacked = Delta(
        deltas[0].site, torch.cat([d.a for d in deltas]), torch.cat([d.b for d in deltas], dim=1)
    )
    return _patch(mark, stacked, edits, found, config)


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
    with torch.inference_mode(False), torch.no_grad():
        check(model, edits, config)
        mark = origin(model)
        results = _compute(model, edits, _clean(model, edits, config), config, progress)
    pairs = zip(edits, results, strict=True)
    return tuple(_patch(mark, r.delta, [edit], [r], config) for edit, r in pairs)


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


def check(model: Model, edits: Sequence[Edit], config: ReFACTConfig) -> None:
    """The errors of :func:`refact` that prompts and settings alone tell."""
    refuse_last_layer(model, config.layer, config.component)
    check_edits(model, edits, destination=False, component=config.component)


def _clean(model: Model, edits: Sequence[Edit], config: ReFACTConfig) -> _Known:
    known = anchors(model, edits, config)
    if config.covariance_weight == 0:
        return _Known(known, None)
    site = mlp_site(model, config.layer, config.component)
    moment = second_moment(model, site, corpus_of(model, config), cache_dir=config.cache_dir)
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
    mark: Origin,
    delta: Delta,
    edits: Sequence[Edit],
    results: Sequence[_Result],
    config: ReFACTConfig,
) -> Patch:
    info = {name: [r.info[name] for r in results] for name in results[0].info}
    asked = settings(config)
    return Patch((delta,), "refact", tuple(edits), config=asked, info=info, **mark)
