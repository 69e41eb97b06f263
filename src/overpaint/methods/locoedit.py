"""LocoEdit: a closed-form edit of the few cross-attention layers that hold the knowledge.

Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi, "On Mechanistic Knowledge
Localization in Text-to-Image Generative Models", section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from overpaint.errors import SiteError
from overpaint.methods.closed_form import deltas_at, solve
from overpaint.methods.common import check_edits, require, require_templates, settings
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair, rows, subject_pairs
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.sites import cross_attention_layers, cross_attention_sites
from overpaint.models.text import encode
from overpaint.types import Change, Edit, Localization, Patch, Progress, Site


@dataclass(frozen=True)
class LocoEditConfig:
    """How :func:`locoedit` edits. Defaults are the paper's (appendix H).

    ``layers``        cross-attention layers to edit, numbered in forward order from 0.
    ``localization``  or what LocoGen found, whose layers are taken. With neither, all layers: what
        the paper compares with (appendix F).
    ``lam_k``, ``lam_v``  λ of the keys and of the values; None in both for one chosen from text.
    ``templates``     augmentations; the paper gives sets of prompts instead, as several edits.
    ``onward``        also pair the positions after the last subject token, to the last padding;
        the paper takes the last subject token alone.
    """

    STRENGTH: ClassVar = ("lam_k", "lam_v")

    layers: tuple[int, ...] = ()
    localization: Localization | None = None
    lam_k: float | None = 0.01
    lam_v: float | None = 0.01
    templates: tuple[str, ...] = ("{}",)
    onward: bool = False

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        both = bool(self.layers) and self.localization is not None
        require(not both, "LocoEdit", "layers or a localization", "both")
        lams = (self.lam_k, self.lam_v)
        require((None in lams) == (lams == (None, None)), "LocoEdit", "both λ or neither", lams)
        require(self.lam_k is None or self.lam_k > 0, "LocoEdit", "a λ above 0 for keys", lams[0])
        require(self.lam_v is None or self.lam_v > 0, "LocoEdit", "a λ above 0 for values", lams[1])
        require_templates("LocoEdit", self.templates)


def locoedit(
    model: Model,
    edits: Sequence[Edit],
    config: LocoEditConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch that makes the sources' subjects read like the targets' in the given layers.

    LocoEdit section 6.1, for the keys and the values of each layer:
    ``min ‖X_orig W - X_target Ŵ‖² + λ‖W - Ŵ‖²``, with one row for each prompt, the embedding at
    the last token of its subject. The model is left as it is. SiteError for layers outside the
    model, EditError or PromptError for an edit that makes no sense.
    """
    config = config or LocoEditConfig()
    with torch.inference_mode(False), torch.no_grad():
        layers, sites = _chosen(model, config)
        pairs = check(model, edits, config)
        states = encode(model, [*(p.source for p in pairs), *(p.target for p in pairs)])
        keys, wanted = rows(pairs, *states.split(len(pairs)))

        def make(lam_k: float, lam_v: float | None = None) -> list[Change]:
            key_factors = value_factors = solve(keys, wanted, lam_k)
            if lam_v is not None and lam_v != lam_k:
                value_factors = solve(keys, wanted, lam_v)
            of_keys = deltas_at(model, sites[::2], *key_factors)
            of_values = deltas_at(model, sites[1::2], *value_factors)
            return [d for pair in zip(of_keys, of_values, strict=True) for d in pair]

        lam_k, chosen = settled(
            config.lam_k, model, edits, keys, make, layers=layers, progress=progress
        )
        lam_v = lam_k if config.lam_v is None else config.lam_v
        deltas = make(lam_k, lam_v)
        if progress:
            progress(len(sites), len(sites), "sites")
        info = {"rows": len(keys), "layers": layers, "rank": deltas[0].rank}
        mark = origin(model)
    asked, measured = settings(replace(config, lam_k=lam_k, lam_v=lam_v)), info | chosen
    return Patch(tuple(deltas), "locoedit", tuple(edits), config=asked, info=measured, **mark)


def check(model: Model, edits: Sequence[Edit], config: LocoEditConfig) -> list[Pair]:
    """Which positions pair; the errors of :func:`locoedit` that prompts and settings alone tell."""
    _chosen(model, config)
    check_edits(model, edits, destination=False, pictures=False)
    return subject_pairs(model, edits, config.templates, onward=config.onward)


def _chosen(model: Model, config: LocoEditConfig) -> tuple[list[int], list[Site]]:
    """The layers to edit, and their sites: key before value of each layer."""
    names = cross_attention_layers(model)
    given = config.layers if config.localization is None else config.localization.layers
    layers = sorted(set(given)) or list(range(len(names)))
    for layer in layers:
        if not 0 <= layer < len(names):
            raise SiteError(
                f"{model.name} has cross-attention layers 0 to {len(names) - 1}, "
                f"got layer {layer}; choose one of those"
            )
    sites = cross_attention_sites(model)
    return layers, [sites[2 * layer + i] for layer in layers for i in (0, 1)]
