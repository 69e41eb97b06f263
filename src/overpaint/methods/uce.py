"""UCE: concepts read like their guides in cross-attention, preserved ones as they did.

Gandikota, Orgad, Belinkov, Materzynska, Bau, "Unified Concept Editing in Diffusion Models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from overpaint.errors import EditError
from overpaint.methods.closed_form import deltas_at, solve
from overpaint.methods.common import (
    check_edits,
    plain,
    require,
    require_templates,
    settings,
    text_paths,
)
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair, held, rows, subject_pairs
from overpaint.models.arithmetic import exact
from overpaint.models.families import TextPath
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.types import Change, Edit, Patch, Progress, Site

TEMPLATES = (
    "{}",
    "image of {}",
    "photo of {}",
    "portrait of {}",
    "picture of {}",
    "painting of {}",
)
"""The concept itself and five augmentations, those for objects; artists have others."""

ARTIST_TEMPLATES = (
    "{}",
    "painting by {}",
    "art by {}",
    "artwork by {}",
    "picture by {}",
    "style of {}",
)


@dataclass(frozen=True)
class UCEConfig:
    """How :func:`uce` edits. Defaults are those of the authors' code.

    ``lam``       λ, what it costs to move the weights at all; None for one chosen from text.
    ``preserve``  concepts that shall read as they did.
    ``guide``     what a concept without a target (an erased one) shall read like; empty for
        nothing at all, which a prompt reads at its start token.
    ``templates`` augmentations of concepts and preserved concepts; the guide stands alone.
    ``edit_weight``, ``preserve_weight``  of the rows of either kind.
    ``onward``    also pair the positions after the last subject token, to the last padding; the
        paper takes the last subject token alone.
    ``paths``     text paths to edit, ``"sequence"`` or ``"pooled"``; empty for all of the model.
    """

    STRENGTH: ClassVar = ("lam",)

    lam: float | None = 0.5
    preserve: tuple[str, ...] = ()
    guide: str = ""
    templates: tuple[str, ...] = TEMPLATES
    edit_weight: float = 1.0
    preserve_weight: float = 1.0
    onward: bool = False
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        require(self.lam is None or self.lam > 0, "UCE", "a λ above 0", self.lam)
        require(self.edit_weight > 0, "UCE", "an edit_weight above 0", self.edit_weight)
        require(self.preserve_weight > 0, "UCE", "a preserve_weight above 0", self.preserve_weight)
        require_templates("UCE", self.templates)


def uce(
    model: Model,
    edits: Sequence[Edit],
    config: UCEConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch that makes every source read like its target and every preserved concept as ever.

    UCE eq. 7: ``min Σ_E‖W'cᵢ - W c*ᵢ‖² + Σ_P‖W'cⱼ - W cⱼ‖² + λ‖W' - W‖²`` at ``to_k`` and
    ``to_v`` of every cross-attention layer. An edit without a target erases its source. The model
    is left as it is. EditError or PromptError for edits or preserved concepts that make no sense.
    """
    config = config or UCEConfig()
    with exact(model):
        read = [
            part
            for path, pairs in check(model, edits, config).items()
            for part in _read(model, path, pairs, config)
        ]

        def make(lam: float) -> tuple[Change, ...]:
            return tuple(
                change
                for sites, keys, partners, weights, _ in read
                for change in deltas_at(model, sites, *solve(keys, partners, lam, weights))
            )

        wanted, keys = _guided(edits, config), read[0][1]
        lam, chosen = settled(config.lam, model, wanted, keys, make, progress=progress)
        deltas = make(lam)
        if progress:
            progress(len(deltas), len(deltas), "sites")
        preserved = len(keys) - read[0][4]
        info = {"rows": len(keys), "preserved_rows": preserved, "rank": deltas[0].rank}
        mark = origin(model, deltas)
    asked, measured = settings(replace(config, lam=lam)), info | chosen
    return Patch(deltas, "uce", tuple(edits), config=asked, info=measured, **mark)


def check(model: Model, edits: Sequence[Edit], config: UCEConfig) -> dict[TextPath, list[Pair]]:
    """Which rows pair; the errors of :func:`uce` that prompts and settings alone tell."""
    check_edits(model, edits, destination=False, pictures=False, erase=True)
    wanted = _guided(edits, config)
    _check_preserved(wanted, config)
    return {
        path: subject_pairs(model, wanted, config.templates, path, padding=config.onward, bare=True)
        for path in text_paths(model, config.paths)
    }


def _read(
    model: Model, path: TextPath, pairs: Sequence[Pair], config: UCEConfig
) -> list[tuple[tuple[Site, ...], Tensor, Tensor, Tensor, int]]:
    """Of each group of sites: keys, targets ``[n, d]``, weights ``[n]``, number of edited rows."""
    kept = held(model, config.preserve, config.templates, path, padding=config.onward)
    moved = sum(len(pair.here) for pair in pairs)
    found = []
    for sites, (keys, partners) in zip(
        path.groups, rows(model, path, [*pairs, *kept]), strict=True
    ):
        weights = keys.new_full((len(keys),), config.preserve_weight, dtype=torch.float64)
        weights[:moved] = config.edit_weight
        found.append((sites, keys, partners, weights, moved))
    return found


def _guided(edits: Sequence[Edit], config: UCEConfig) -> list[Edit]:
    """``edits``, those without a target led to the guide."""
    return [e if e.target.strip() else replace(e, target=config.guide) for e in edits]


def _check_preserved(edits: Sequence[Edit], config: UCEConfig) -> None:
    """EditError when a concept is both edited and preserved, or is its own guide."""
    sources = {plain(edit.source) for edit in edits}
    for prompt in config.preserve:
        if plain(prompt) in sources:
            raise EditError(f"{prompt!r} cannot be both edited and preserved; leave out one")
    for edit in edits:
        if plain(edit.target) == plain(edit.source):
            raise EditError(f"the guide equals {edit.source!r}: nothing to edit; change the guide")
