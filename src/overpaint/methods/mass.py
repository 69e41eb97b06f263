"""Mass edits: hundreds of ReFACT requests in one solve.

Beyond the papers. The solve is that of Meng et al., "Mass-Editing Memory in a Transformer"
(MEMIT); the null space that of Fang et al., "AlphaEdit".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from overpaint import linalg
from overpaint.errors import EditError, SiteError
from overpaint.methods.common import check_edits, clip_components, plain, settings
from overpaint.methods.mass_config import MassConfig
from overpaint.methods.mass_contexts import Read, places, read
from overpaint.methods.refact_config import for_model
from overpaint.methods.refact_search import average, search
from overpaint.methods.refact_targets import anchors, corpus_of
from overpaint.models.arithmetic import exact
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.moments import Corpus, second_moments
from overpaint.models.sites import mlp_site, refuse_unused_layer
from overpaint.models.suffix import refuse_last_layer
from overpaint.models.tokens import tokenize
from overpaint.models.weights import with_deltas
from overpaint.types import Delta, Edit, Patch, Progress, Site

__all__ = ["MassConfig", "mass"]

SPARSE = 8


def mass(
    model: Model,
    edits: Sequence[Edit],
    config: MassConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch for all ``edits`` at once: every subject returns its own v*, as well as can be.

    v* of every request is found as in ReFACT, on the clean model, side by side. Then at ``fc2`` of
    each of ``spread`` layers ``min ‖R - K ΔWᵀ‖² + λ tr(ΔW C ΔWᵀ)``, one row for each request:
    ``ΔW = Rᵀ (K C⁻¹ Kᵀ + λI)⁻¹ K C⁻¹``, with K recomputed on the model as edited so far and R what
    is still missing, shared among the layers left (MEMIT, algorithm 1). The model is left as it
    is. EditError, PromptError or SiteError for edits or layers that make no sense.
    """
    config = for_model(model, config or MassConfig())
    deltas: list[Delta] = []
    infos: dict[str, dict[str, object]] = {}
    with exact(model):
        for own in check(model, edits, config):
            made, infos[own.component] = _in_encoder(model, edits, own, progress)
            deltas += made
        mark = origin(model, deltas)
    info = infos if len(infos) > 1 else next(iter(infos.values()))
    asked = settings(config)
    return Patch(tuple(deltas), "mass", tuple(edits), config=asked, info=info, **mark)


def _in_encoder(
    model: Model, edits: Sequence[Edit], config: MassConfig, progress: Progress | None
) -> tuple[list[Delta], dict[str, object]]:
    """The deltas of one text encoder, and what was measured."""
    layers = list(range(config.layer - config.spread + 1, config.layer + 1))
    known = _covariances(model, layers, config, progress)
    delta, info = _search(model, edits, config, progress)
    where = places(model, edits, config)
    clean = read(model, where, config.layer, config)
    goal = clean.stream + delta[clean.owner]
    deltas: list[Delta] = []
    for number, layer in enumerate(layers):
        with with_deltas(model, deltas):
            now = clean if not deltas else read(model, where, config.layer, config)
            here = now if layer == config.layer else read(model, where, layer, config)
        missing = (goal - now.stream) / (len(layers) - number)
        deltas.append(_solve(known[layer], here, missing, config))
        if progress:
            progress(number + 1, len(layers), "layers")
    with with_deltas(model, deltas):
        after = read(model, where, config.layer, config)
    missed = average(goal - after.stream, clean.owner, clean.weights, len(edits)).norm(dim=1)
    info["missed"] = (missed / delta.double().norm(dim=1).clamp_min(1e-12)).tolist()
    info["layers"] = layers
    return deltas, info


def check(model: Model, edits: Sequence[Edit], config: MassConfig) -> list[MassConfig]:
    """``config`` for each text encoder that is edited.

    Raises the errors of :func:`mass` that prompts and settings alone tell.
    """
    found = []
    for component in clip_components(model, config.component, "mass"):
        refuse_last_layer(model, config.layer, component)
        refuse_unused_layer(model, config.layer, component)
        if config.spread > config.layer + 1:
            raise SiteError(
                f"expected a spread of at most {config.layer + 1} layers that end at layer "
                f"{config.layer}, got {config.spread}; choose a smaller spread"
            )
        check_edits(model, edits, destination=False, component=component)
        found.append(replace(config, component=component))
    seen: set[tuple[str, str]] = set()
    for edit in edits:
        place = (plain(edit.source), plain(edit.subject or edit.source))
        if place in seen:
            raise EditError(
                f"two edits of the same subject in {edit.source!r}: one solve cannot give it two "
                "meanings; leave one out"
            )
        seen.add(place)
    return found


def _search(
    model: Model, edits: Sequence[Edit], config: MassConfig, progress: Progress | None
) -> tuple[Tensor, dict[str, object]]:
    """δ of every edit, ``[R, d]``, and what was measured; ``batch`` edits at a time."""
    deltas, found = [], []
    for part in _parts(edits, config):
        done = search(model, part, anchors(model, part, config), config, progress)
        deltas.append(config.scale * done.found.delta if config.scale else done.found.delta)
        found += [done.info(r) for r in range(len(part))]
    return torch.cat(deltas), {name: [f[name] for f in found] for name in found[0]}


def _parts(edits: Sequence[Edit], config: MassConfig) -> list[Sequence[Edit]]:
    return [edits[i : i + config.batch] for i in range(0, len(edits), config.batch)]


@dataclass(frozen=True, eq=False)
class _Covariance:
    """C of a site, and the second moment of what must not change there, ``[d_in, d_in]`` each."""

    site: Site
    moment: Tensor
    preserved: Tensor | None


def _covariances(
    model: Model, layers: Sequence[int], config: MassConfig, progress: Progress | None
) -> dict[int, _Covariance]:
    """C of every layer on the clean model: one pass over the captions for all of them."""
    sites = [mlp_site(model, layer, config.component) for layer in layers]
    corpus = corpus_of(model, config)

    def moments(corpus: Corpus, *, padding: bool = False) -> dict[Site, Tensor]:
        where = config.cache_dir
        return second_moments(
            model, sites, corpus, padding=padding, cache_dir=where, progress=progress
        )

    found = moments(corpus)
    if config.padding:
        # Padding is much alike after every caption: a few captions are enough to know it.
        some = Corpus(f"{corpus.name}, one of {SPARSE}", corpus.captions[::SPARSE])
        mask = tokenize(model, some.captions, config.component).mask
        share = 1 - float(mask.double().mean())
        padded = moments(some, padding=True)
        found = {site: torch.lerp(found[site], padded[site], share) for site in sites}
    preserved = moments(Corpus("preserved", config.preserve)) if config.preserve else {}
    return {
        layer: _Covariance(site, found[site], preserved.get(site))
        for layer, site in zip(layers, sites, strict=True)
    }


def _solve(known: _Covariance, here: Read, missing: Tensor, config: MassConfig) -> Delta:
    """``ΔW`` of one layer for ``missing [c, d]``."""
    if config.each_context:
        root = here.weights.sqrt()[:, None].double()
        keys, residuals = here.key.double() * root, missing.double() * root
    else:
        count = int(here.owner.max()) + 1
        keys = average(here.key, here.owner, here.weights, count)
        residuals = average(missing, here.owner, here.weights, count)
    covariance = linalg.blend(known.moment.to(keys), config.covariance_weight)
    if known.preserved is not None:
        free = _free(known.preserved.to(keys), keys, config)
        inner = free.T @ covariance @ free
        a, b = linalg.covariance_ridge(keys @ free, residuals, config.lam, inner)
        a = a.double() @ free.T
    else:
        a, b = linalg.covariance_ridge(keys, residuals, config.lam, covariance)
    # Contexts are many, and what they ask for is of no higher rank than there are requests.
    b, a = linalg.low_rank(b.T, a)
    return Delta(known.site, a.float().cpu(), b.float().cpu())


def _free(moment: Tensor, keys: Tensor, config: MassConfig) -> Tensor:
    """Orthonormal ``[d_in, q]`` that the preserved prompts do not use, and the edits do."""
    free = linalg.null_space(moment, config.preserve_share)
    room = (keys @ free).norm(dim=1) / keys.norm(dim=1).clamp_min(1e-12)
    if free.shape[1] == 0 or float(room.min()) < 1e-3:
        raise EditError(
            f"the preserved prompts leave {free.shape[1]} of {len(free)} directions free and no "
            "room for an edit; preserve fewer prompts, or lower preserve_share"
        )
    return free
