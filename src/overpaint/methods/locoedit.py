"""LocoEdit: a closed-form edit of the few cross-attention layers that hold the knowledge.

Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi, "On Mechanistic Knowledge
Localization in Text-to-Image Generative Models", section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from overpaint.errors import SiteError
from overpaint.methods.closed_form import deltas_at, solve
from overpaint.methods.common import check_edits, require, require_templates, settings
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair, rows, subject_pairs
from overpaint.models.arithmetic import exact
from overpaint.models.families import TextPath
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
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
    with exact(model):
        path, layers = _layers(model, config)
        read = rows(model, path, check(model, edits, config))
        keys = read[0][0]

        def make(lam_k: float, lam_v: float | None = None) -> list[Change]:
            return _deltas(model, path, layers, read, (lam_k, lam_k if lam_v is None else lam_v))

        lam_k, chosen = settled(
            config.lam_k, model, edits, keys, make, layers=layers, progress=progress
        )
        lam_v = lam_k if config.lam_v is None else config.lam_v
        deltas = make(lam_k, lam_v)
        if progress:
            progress(len(deltas), len(deltas), "sites")
        info = {"rows": len(keys), "layers": layers, "rank": deltas[0].rank}
        mark = origin(model, deltas)
    asked, measured = settings(replace(config, lam_k=lam_k, lam_v=lam_v)), info | chosen
    return Patch(tuple(deltas), "locoedit", tuple(edits), config=asked, info=measured, **mark)


def _deltas(
    model: Model,
    path: TextPath,
    layers: Sequence[int],
    read: Sequence[tuple[Tensor, Tensor]],
    lams: tuple[float, float],
) -> list[Change]:
    """The changes of ``layers``, solved for once where layers read alike."""
    known: dict[tuple[int, float], tuple[Tensor, Tensor]] = {}
    made: dict[Site, Change] = {}
    for projection in (0, 1):
        for group in range(len(read)):
            sites = [
                path.layers[layer][projection]
                for layer in layers
                if projection < len(path.layers[layer]) and (path.shared or layer == group)
            ]
            if sites:
                key = group, lams[projection]
                if key not in known:
                    known[key] = solve(*read[group], lams[projection])
                made |= zip(sites, deltas_at(model, sites, *known[key]), strict=True)
    return [made[site] for layer in layers for site in path.layers[layer]]


def check(model: Model, edits: Sequence[Edit], config: LocoEditConfig) -> list[Pair]:
    """Which rows pair; the errors of :func:`locoedit` that prompts and settings alone tell."""
    path, _ = _layers(model, config)
    check_edits(model, edits, destination=False, pictures=False)
    return subject_pairs(model, edits, config.templates, path, padding=config.onward)


def _layers(model: Model, config: LocoEditConfig) -> tuple[TextPath, list[int]]:
    """The path whose layers are edited, and which of them."""
    path = model.family.path(model, "sequence")
    count = len(path.layers)
    given = config.layers if config.localization is None else config.localization.layers
    layers = sorted(set(given)) or list(range(count))
    if given and model.family.joint_attention and count < len(model.family.text_layers(model)):
        raise SiteError(
            f"the layers that LocoGen finds in {model.name} read text that is mixed with the "
            "picture, so they cannot be edited one by one; leave the layers out to edit what reads "
            "the prompt itself, or use time or uce"
        )
    for layer in layers:
        if not 0 <= layer < count:
            raise SiteError(
                f"{model.name} has layers 0 to {count - 1} that read text, "
                f"got layer {layer}; choose one of those"
            )
    return path, layers
