"""TIME: change what the cross-attention layers read in a prompt, in closed form.

Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from overpaint.errors import EditError, PromptError
from overpaint.methods import closed_form, subjects
from overpaint.methods.closed_form import deltas_at
from overpaint.methods.common import check_edits, filled, fits, settings, text_paths
from overpaint.methods.strength import settled
from overpaint.methods.subjects import Pair
from overpaint.models.arithmetic import exact
from overpaint.models.families import TextPath
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.text import align, end_rows, prompt_tokens
from overpaint.types import Change, Edit, Patch, Progress, Site

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
    ``paths``        text paths to edit, ``"sequence"`` or ``"pooled"``; empty for all of the model.
    """

    STRENGTH: ClassVar = ("lam",)

    lam: float | None = 0.1
    templates: tuple[str, ...] = TEMPLATES
    values_only: bool = False
    end_only: bool = False
    tolerance: float = 1e-6
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if self.lam is not None and not self.lam > 0:
            raise EditError(
                f"TIME expects a λ above 0, got {self.lam}; leave it out for the usual one"
            )
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
    ``to_v`` of every cross-attention layer, or whatever layers of the model read text. With
    ``V* = W C*`` the solution is ``ΔW = W Dᵀ F``, ``D = C* - C``, ``F = (C Cᵀ + λI)⁻¹ C``: one
    matrix for all sites that read the same, factored once. The destination is
    ``edit.destination`` or else ``edit.target``. The model is left as it is.
    EditError or PromptError for an edit that makes no sense, or prompts that cannot be aligned.
    """
    asked = config or TIMEConfig()
    with exact(model):
        read = rows(model, edits, asked, check(model, edits, asked))

        def make(lam: float) -> tuple[Change, ...]:
            return deltas(model, read, replace(asked, lam=lam))

        lam, chosen = settled(asked.lam, model, edits, read[0].keys, make, progress=progress)
        config = replace(asked, lam=lam)
        solved = deltas(model, read, config, progress=progress)
        info = {"rows": len(read[0].keys), "rank": solved[0].rank, **chosen}
        mark = origin(model, solved)
    return Patch(solved, "time", tuple(edits), config=settings(config), info=info, **mark)


def check(model: Model, edits: Sequence[Edit], config: TIMEConfig) -> dict[TextPath, list[Pair]]:
    """Which rows pair on each path; the errors of :func:`time_edit` that prompts alone tell."""
    check_edits(model, edits, destination=True)
    return pairing(model, edits, config)


@dataclass(frozen=True, eq=False)
class Read:
    """What some sites read of the sources, ``keys [n, d]``, and of their partners, ``wanted``."""

    sites: tuple[Site, ...]
    keys: Tensor
    wanted: Tensor


def rows(
    model: Model,
    edits: Sequence[Edit],
    config: TIMEConfig,
    pairs: dict[TextPath, list[Pair]] | None = None,
) -> list[Read]:
    """Embeddings of all source tokens and of their partners, for every group of sites."""
    found = []
    for path, own in (pairs or pairing(model, edits, config)).items():
        for sites, (keys, wanted) in zip(path.groups, subjects.rows(model, path, own), strict=True):
            chosen = tuple(s for s in sites if s in path.values) if config.values_only else sites
            found.append(Read(chosen, keys, wanted))
    return found


def deltas(
    model: Model,
    read: Sequence[Read],
    config: TIMEConfig,
    *,
    progress: Progress | None = None,
) -> tuple[Change, ...]:
    """The change of every site that makes its keys read like what is wanted.

    Sites that read the same share both factors: ``ΔW = W L A``.
    """
    made: list[Change] = []
    for part in read:
        left, a = solve(part.keys, part.wanted, config)
        made += deltas_at(model, part.sites, left, a, progress)
    return tuple(made)


def solve(keys: Tensor, wanted: Tensor, config: TIMEConfig) -> tuple[Tensor, Tensor]:
    """``left [d, r]`` and ``a [r, d]`` such that ``ΔW = W left a`` at every site, float32.

    ``keys [n, d]`` are the embeddings c of the source tokens, ``wanted [n, d]`` the c* of their
    partners. A row whose partner equals it (the start token) is held where it is.
    """
    if config.lam is None:
        raise EditError("expected a λ above 0 for a solve of rows, got none; choose one first")
    return closed_form.solve(keys, wanted, config.lam, tolerance=config.tolerance)


def pairing(model: Model, edits: Sequence[Edit], config: TIMEConfig) -> dict[TextPath, list[Pair]]:
    """Which rows of each edit's prompts pair, in every template, on every path.

    On a path with a row for each token, every row pairs, or those from the end token on with
    ``end_only``; pooled text has one row for each prompt.

    Raises:
        PromptError: If a source word has no partner. A template that makes a prompt too long is
            left out.
    """
    paths = text_paths(model, config.paths)
    if config.values_only and not all(path.values for path in paths):
        raise EditError(
            f"values_only needs layers with keys and values; {model.name} reads text through other "
            "projections: leave values_only out"
        )
    return {path: _pairs(model, edits, config, path) for path in paths}


def _pairs(model: Model, edits: Sequence[Edit], config: TIMEConfig, path: TextPath) -> list[Pair]:
    pairs = []
    components = [segment.component for segment in path.segments]
    for edit in edits:
        for template in config.templates:
            texts = [filled(template, t) for t in (edit.source, edit.destination or edit.target)]
            fit = all(fits(model, text, c) for text in texts for c in components)
            if template != "{}" and not fit:
                continue
            if not path.segments:
                pairs.append(Pair(texts[0], texts[1], (0,), (0,)))
            for segment in path.segments:
                here, there = _paired(model, texts[0], texts[1], segment.component, config)
                pairs.append(
                    Pair(
                        texts[0],
                        texts[1],
                        tuple(segment.offset + row for row in here),
                        tuple(segment.offset + row for row in there),
                    )
                )
    return pairs


def _paired(
    model: Model, source: str, destination: str, component: str, config: TIMEConfig
) -> tuple[list[int], list[int]]:
    """Rows of the source that count, and their partners."""
    if config.end_only:
        return end_rows(*(prompt_tokens(model, p, component) for p in (source, destination)))
    try:
        return align(model, source, destination, component)
    except PromptError as error:
        raise PromptError(
            f"{error} For prompts that share no words set end_only, or use refact."
        ) from error
