"""UCE debiasing: targets moved step by step until every attribute is painted as often as wanted.

Gandikota, Orgad, Belinkov, Materzynska, Bau, "Unified Concept Editing in Diffusion Models".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import EditError, ModelError
from overpaint.methods.closed_form import deltas_at, solve
from overpaint.methods.common import check_edits, plain, require, settings
from overpaint.methods.subjects import held
from overpaint.models.arithmetic import exact
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.text import read_rows
from overpaint.models.weights import with_deltas
from overpaint.types import Change, Edit, Patch, Progress

Shares = Callable[[str], Sequence[float]]
"""``measure(prompt)``: share of each attribute, in [0, 1], in what the model paints now."""


@dataclass(frozen=True)
class UCEDebiasConfig:
    """How :func:`uce_debias` moves its targets. Defaults are those of the authors' code.

    ``lam``         λ, what it costs to move the weights.
    ``tolerance``   a concept rests once every share is this near to the wanted one.
    ``steps``       how often the pictures are looked at, at most.
    ``step``        how far a target moves along an attribute for a share that is missing.
    ``preserve``    concepts that shall read as they did.
    ``wanted``      share of each attribute; empty for equal shares.
    """

    lam: float = 0.5
    tolerance: float = 0.05
    steps: int = 30
    step: float = 1.0
    preserve: tuple[str, ...] = ()
    wanted: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        name = "UCE debiasing"
        require(self.lam > 0, name, "a λ above 0", self.lam)
        require(0 < self.tolerance < 1, name, "a tolerance in (0, 1)", self.tolerance)
        require(self.steps >= 1, name, "steps of at least 1", self.steps)
        require(self.step > 0, name, "a step above 0", self.step)
        fair = not self.wanted or (min(self.wanted) >= 0 and abs(sum(self.wanted) - 1) < 1e-6)
        require(fair, name, "wanted shares that sum to 1", self.wanted)


def uce_debias(
    model: Model,
    concepts: Sequence[str],
    attributes: Sequence[str],
    measure: Shares,
    config: UCEDebiasConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch under which each concept is painted with each attribute as often as wanted.

    UCE section 4.3: the target of concept c is ``W (c + Σ_p α_p a_p)``; from 0 on, each ``α_p``
    moves by ``step`` times the share that attribute p still lacks in the pictures of c, and eq. 7
    is solved anew. ``measure`` is called while the model wears the patch so far; the model is left
    as it is, also when it raises. The info has the best ``shares`` seen and the ``scales`` α they
    belong to, ``gaps`` of every step, and ``within``. Where all is fair already the patch is
    empty. EditError for shares that are none.
    """
    config = config or UCEDebiasConfig()
    targets = _check(model, concepts, attributes, config)
    edits = tuple(Edit(concept, " or ".join(attributes)) for concept in concepts)
    rows = _Rows(model, concepts, attributes, config)
    scales = torch.zeros(len(concepts), len(attributes), dtype=torch.float64)
    tried: list[tuple[float, Tensor, Tensor]] = []
    for number in range(config.steps):
        with with_deltas(model, rows.deltas(scales)):
            shares = torch.stack([_shares(measure, c, len(attributes)) for c in concepts])
        missing = targets - shares
        tried.append((float(missing.abs().max()), scales.clone(), shares))
        if progress:
            progress(number + 1, config.steps, f"largest gap {tried[-1][0]:.2f}")
        resting = missing.abs().amax(dim=1) <= config.tolerance
        if resting.all():
            break
        scales = scales + config.step * torch.where(resting[:, None], 0.0, missing)
    gap, best, shares = min(tried, key=lambda step: step[0])
    info = {
        "shares": shares.tolist(),
        "scales": best.tolist(),
        "gaps": [step[0] for step in tried],
        "within": gap <= config.tolerance,
    }
    made = rows.deltas(best)
    mark = origin(model, made)
    return Patch(made, "uce-debias", edits, config=settings(config), info=info, **mark)


class _Rows:
    """Embeddings of concepts ``[n, d]``, attributes ``[p, d]`` and preserved ones; made once."""

    def __init__(
        self,
        model: Model,
        concepts: Sequence[str],
        attributes: Sequence[str],
        config: UCEDebiasConfig,
    ) -> None:
        self.model, self.lam = model, config.lam
        with exact(model):
            path = model.family.path(model, "sequence")
            if not path.shared or len(path.segments) != 1:
                raise ModelError(
                    f"UCE debiasing needs layers that all read the same tokens, as in Stable "
                    f"Diffusion 1, 2 and XL; {model.name} is of family {model.family.name}."
                )
            prompts = [*concepts, *attributes, *config.preserve]
            pairs = held(model, prompts, ("{}",), path, padding=False)
            wanted = [(pair.source, pair.here) for pair in pairs]
            (ends,) = read_rows(model, path, wanted)
        self.sites = path.sites
        sizes = [len(concepts), len(attributes), len(config.preserve)]
        self.concepts, self.attributes, self.preserved = ends.double().split(sizes)

    def deltas(self, scales: Tensor) -> tuple[Change, ...]:
        """The change for ``scales [n, p]``; none at all while they are all 0."""
        if not scales.any():
            return ()
        wanted = self.concepts + scales.to(self.concepts) @ self.attributes
        with exact(self.model):
            keys = torch.cat([self.concepts, self.preserved])
            left, a = solve(keys, torch.cat([wanted, self.preserved]), self.lam)
            return deltas_at(self.model, self.sites, left, a)


def _check(
    model: Model, concepts: Sequence[str], attributes: Sequence[str], config: UCEDebiasConfig
) -> Tensor:
    """The wanted share of each attribute, ``[p]`` float64; refuses what makes no sense."""
    with exact(model):
        check_edits(
            model, [Edit(c, "") for c in concepts], destination=False, pictures=False, erase=True
        )
    if len(attributes) < 2:
        raise EditError(f"expected two attributes or more, got {list(attributes)}; e.g. man, woman")
    both = {plain(c) for c in concepts} & {plain(p) for p in config.preserve}
    if both:
        raise EditError(f"{min(both)!r} cannot be both edited and preserved; leave out one")
    wanted = config.wanted or (1 / len(attributes),) * len(attributes)
    if len(wanted) != len(attributes):
        raise EditError(
            f"expected a wanted share for each of {len(attributes)} attributes, got {len(wanted)}"
        )
    return torch.tensor(wanted, dtype=torch.float64)


def _shares(measure: Shares, prompt: str, count: int) -> Tensor:
    shares = torch.tensor([float(share) for share in measure(prompt)], dtype=torch.float64)
    if len(shares) != count or not ((shares >= 0) & (shares <= 1)).all():
        raise EditError(
            f"expected {count} shares in [0, 1] for {prompt!r}, got {shares.tolist()}; "
            "is there anything to classify in the pictures?"
        )
    return shares
