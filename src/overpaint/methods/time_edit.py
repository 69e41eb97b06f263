"""TIME: change what the cross-attention layers read in a prompt, in closed form.

Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from overpaint.errors import EditError, PromptError
from overpaint.methods import closed_form, subjects
from overpaint.methods.closed_form import deltas_at
from overpaint.methods.common import check_edits, filled, fits, settings
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.sites import cross_attention_sites
from overpaint.models.text import align, encode, max_length, tokenize
from overpaint.types import Change, Edit, Patch, Progress

TEMPLATES = ("{}", "A photo of {}", "An image of {}", "A picture of {}")
"""TIME appendix C: the prompt itself and three augmentations."""


@dataclass(frozen=True)
class TIMEConfig:
    """How :func:`time_edit` edits. Defaults are the paper's (section 5.1, appendix C).

    ``lam``          λ, what it costs to move the weights; 1000 for many edits in bulk, and for
        debiasing the λ_p found for the profession, together with ``templates=("{}",)``. None for
        one that is chosen from text (:mod:`overpaint.methods.strength`).
    ``templates``    augmentations; "{}" stands for the prompt.
    ``values_only``  edit ``to_v`` only (appendix D).
    ``end_only``     edit only the end and padding positions: for prompts that do not share their
        words (ReFACT, appendix G.2).
    ``tolerance``    how much of a change may be dropped to keep the patch small, relative to its
        norm; 1e-6 is about the rounding of float32.
    """

    STRENGTH: ClassVar = ("lam",)

    lam: float | None = 0.1
    templates: tuple[str, ...] = TEMPLATES
    values_only: bool = False
    end_only: bool = False
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if self.lam is not None and not self.lam > 0:
            raise EditError(f"TIME expects a λ above 0, got {self.lam}; leave it out for 0.1")
        if not self.templates or any(t.count("{}") != 1 for t in self.templates):
            raise EditError(f"TIME expects templates with one {{}} each, got {self.templates!r}")
        if not 0 <= self.tolerance < 1:
            raise EditError(f"TIME expects a tolerance in [0, 1), got {self.tolerance}")


def time_edit(
    model: Model,
    edits: Sequence[Edit],
    config: TIMEConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch that makes every source prompt read like its destination, all edits at once.

    TIME eq. 4 and 5 and appendix F: ``min Σ‖W' cᵢ - W c*ᵢ‖² + λ‖W' - W‖²`` at ``to_k`` and
    ``to_v`` of every cross-attention layer. With ``V* = W C*`` the solution is ``ΔW = W Dᵀ F``,
    ``D = C* - C``, ``F = (C Cᵀ + λI)⁻¹ C``: one matrix for all sites, factored once. The
    destination is ``edit.destination`` or else ``edit.target``. The model is left as it is.
    EditError or PromptError for an edit that makes no sense, or prompts that cannot be aligned.
    """
    asked = config or TIMEConfig()
    with torch.inference_mode(False), torch.no_grad():
        pairs = check(model, edits, asked)
        keys, wanted = _embedded(model, pairs)

        def make(lam: float) -> tuple[Change, ...]:
            return deltas(model, keys, wanted, replace(asked, lam=lam))

        lam, chosen = settled(asked.lam, model, edits, keys, make, progress=progress)
        config = replace(asked, lam=lam)
        solved = deltas(model, keys, wanted, config, progress=progress)
        info = {"rows": len(keys), "rank": solved[0].rank, **chosen}
        mark = origin(model)
    return Patch(solved, "time", tuple(edits), config=settings(config), info=info, **mark)


def check(model: Model, edits: Sequence[Edit], config: TIMEConfig) -> list[Pair]:
    """Which positions pair; the errors of :func:`time_edit` that the prompts alone tell."""
    check_edits(model, edits, destination=True)
    return pairing(model, edits, config)


def deltas(
    model: Model,
    keys: Tensor,
    wanted: Tensor,
    config: TIMEConfig,
    *,
    progress: Progress | None = None,
) -> tuple[Change, ...]:
    """The change of every site that makes ``keys [n, d]`` read like ``wanted [n, d]``.

    All sites share both factors: ``ΔW = W L A``.
    """
    sites = cross_attention_sites(model, ("to_v",) if config.values_only else ("to_k", "to_v"))
    left, a = solve(keys, wanted, config)
    return deltas_at(model, sites, left, a, progress)


def solve(keys: Tensor, wanted: Tensor, config: TIMEConfig) -> tuple[Tensor, Tensor]:
    """``left [d, r]`` and ``a [r, d]`` such that ``ΔW = W left a`` at every site, float32.

    ``keys [n, d]`` are the embeddings c of the source tokens, ``wanted [n, d]`` the c* of their
    partners. A row whose partner equals it (the start token) is held where it is.
    """
    if config.lam is None:
        raise EditError("expected a λ above 0 for a solve of rows, got none; choose one first")
    return closed_form.solve(keys, wanted, config.lam, tolerance=config.tolerance)


def rows(model: Model, edits: Sequence[Edit], config: TIMEConfig) -> tuple[Tensor, Tensor]:
    """Embeddings of all source tokens and of their partners, both ``[n, d]``: those that pair."""
    return _embedded(model, pairing(model, edits, config))


def _embedded(model: Model, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    states = encode(model, [*(p.source for p in pairs), *(p.target for p in pairs)])
    return subjects.rows(pairs, *states.split(len(pairs)))


def pairing(model: Model, edits: Sequence[Edit], config: TIMEConfig) -> list[Pair]:
    """Which positions of each edit's prompts pair, in every template.

    Every pair has L positions, or those from its end token on with ``end_only``. PromptError for
    a source word without a partner; a template that makes a prompt too long is left out.
    """
    pairs = []
    for edit in edits:
        for template in config.templates:
            texts = [filled(template, t) for t in (edit.source, edit.destination or edit.target)]
            if template != "{}" and not all(fits(model, text) for text in texts):
                continue
            first, partners = _paired(model, texts[0], texts[1], config)
            here = tuple(range(first, first + len(partners)))
            pairs.append(Pair(texts[0], texts[1], here, tuple(partners)))
    return pairs


def _paired(
    model: Model, source: str, destination: str, config: TIMEConfig
) -> tuple[int, list[int]]:
    """The first source position that counts, and the partners of it and all that follow."""
    if not config.end_only:
        try:
            return 0, align(model, source, destination)
        except PromptError as error:
            raise PromptError(
                f"{error} For prompts that share no words set end_only, or use refact."
            ) from error
    first, start = tokenize(model, [source, destination]).end.tolist()
    length = max_length(model)
    return first, [min(start + i - first, length - 1) for i in range(first, length)]
