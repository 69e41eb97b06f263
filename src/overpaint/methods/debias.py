"""TIME debiasing: edits just strong enough that a profession is painted as women half the time.

Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models",
section 6 and appendix H.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from overpaint.errors import EditError
from overpaint.methods.common import check_edits, filled, require, require_templates, settings
from overpaint.methods.time_edit import TIMEConfig, deltas, rows
from overpaint.models.arithmetic import exact
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.weights import with_deltas
from overpaint.types import Change, Edit, Patch, Progress

Measure = Callable[[str], float]
"""``measure(prompt)``: share of women, in [0, 1], in what the model paints for it as it is now."""


@dataclass(frozen=True)
class DebiasConfig:
    """How :func:`debias` searches. Defaults are the paper's where it gives them (appendix H.2).

    ``tolerance``  a profession is done once Δ_p, twice the distance from one half, is below it.
    ``lowest``, ``highest``  the range of λ; the paper's Table 7 goes up to 40000.
    ``steps``      how many λ are tried at most, the ends included.
    ``validation`` where the share is measured; "{}" stands for the profession.
    ``time``       TIME's other settings; the paper uses no augmentations.
    """

    tolerance: float = 0.1
    lowest: float = 1e-2
    highest: float = 1e6
    steps: int = 14
    validation: str = "A photo of {}"
    time: TIMEConfig = field(default_factory=lambda: TIMEConfig(templates=("{}",)))

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        name = "debiasing"
        require(0 < self.tolerance <= 1, name, "a tolerance in (0, 1]", self.tolerance)
        ends = (self.lowest, self.highest)
        require(0 < self.lowest < self.highest, name, "0 < lowest < highest", ends)
        require(self.steps >= 2, name, "steps of at least 2", self.steps)
        require_templates(name, (self.validation,))


@dataclass(frozen=True)
class Bias:
    """``share`` is F_p in [0, 1]; ``gap`` is Δ_p: 0 for as many women as men, 1 for one gender."""

    share: float
    gap: float


def debias(
    model: Model,
    edits: Sequence[Edit],
    measure: Measure,
    config: DebiasConfig | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[Patch, ...]:
    """One patch for each profession, each with the λ_p that a binary search found for it.

    TIME section 6.2. An edit leads away from the stereotype: ``Edit("a nurse", "a male nurse")``.
    Smaller λ steer further. ``measure`` is called with the validation prompt while the model
    wears the patch of each λ tried; the model is left as it is, also when it raises. The info of
    each patch has ``lam``, ``share`` and ``gap`` there, the ``trail`` of all that was tried, and
    ``within``: whether the gap is below the tolerance. Where both ends of the range lie on one
    side of one half, ``bracketed`` is False and the better end is returned. EditError when a
    share is no number in [0, 1].
    """
    config = config or DebiasConfig()
    _check(model, edits)
    made = []
    for number, edit in enumerate(edits):
        worn = _Worn(model, [edit], measure, config)
        found, bracketed = _search(worn, config)
        info = _info(found, worn, config) | {"bracketed": bracketed, "share": found.shares[0]}
        made.append(worn.patch(found.lam, info))
        if progress:
            progress(number + 1, len(edits), f"{edit.source}: λ {found.lam:.3g}")
    return tuple(made)


def debias_bulk(
    model: Model,
    edits: Sequence[Edit],
    measure: Measure,
    config: DebiasConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Patch:
    """One patch for all professions with one λ: the one with the least mean Δ_p on validation.

    TIME section 6.4, "TIME (Multi)". ``steps`` values of λ, evenly spaced in its logarithm, are
    tried. The info has ``lam``, ``gap`` (their mean), ``shares`` of each profession and the
    ``trail``. Errors as for :func:`debias`.
    """
    config = config or DebiasConfig()
    _check(model, edits)
    worn = _Worn(model, edits, measure, config)
    ratio = config.highest / config.lowest
    for number in range(config.steps):
        worn.at(config.lowest * ratio ** (number / (config.steps - 1)))
        if progress:
            progress(number + 1, config.steps, f"mean Δ {worn.tried[-1].gap:.2f}")
    found = min(reversed(worn.tried), key=lambda tried: tried.gap)  # the gentlest of equals
    return worn.patch(found.lam, _info(found, worn, config) | {"shares": list(found.shares)})


def assess(
    model: Model,
    prompts: Sequence[str],
    measures: Sequence[Measure],
    patch: Patch | None = None,
) -> Bias:
    """F_p and Δ_p over a profession's test ``prompts``, with ``patch`` on the model or without.

    TIME appendix H.2: F_p over all pictures, Δ_p averaged over repetitions; each of ``measures``
    is one repetition, over pictures of its own seeds. EditError when there is nothing to measure.
    """
    if not prompts or not measures:
        raise EditError("expected prompts and measures, got none; give at least one of each")
    with with_deltas(model, patch.deltas if patch else ()):
        shares = [
            math.fsum(_share(measure, prompt) for prompt in prompts) / len(prompts)
            for measure in measures
        ]
    gaps = [2 * abs(share - 0.5) for share in shares]
    return Bias(math.fsum(shares) / len(shares), math.fsum(gaps) / len(gaps))


@dataclass(frozen=True)
class _Tried:
    """One λ and the share of women of each profession under it."""

    lam: float
    shares: tuple[float, ...]

    @property
    def gap(self) -> float:
        return math.fsum(2 * abs(share - 0.5) for share in self.shares) / len(self.shares)


class _Worn:
    """The edits' patches for any λ, put on and measured; ``tried`` keeps what was found."""

    def __init__(
        self, model: Model, edits: Sequence[Edit], measure: Measure, config: DebiasConfig
    ) -> None:
        self.model, self.edits, self.measure, self.config = model, edits, measure, config
        self.prompts = [filled(config.validation, edit.source) for edit in edits]
        self.tried: list[_Tried] = []
        with exact(model):
            self.rows = rows(model, edits, config.time)

    def deltas(self, lam: float) -> tuple[Change, ...]:
        with exact(self.model):
            return deltas(self.model, self.rows, replace(self.config.time, lam=lam))

    def at(self, lam: float) -> _Tried:
        with with_deltas(self.model, self.deltas(lam)):
            shares = tuple(_share(self.measure, prompt) for prompt in self.prompts)
        self.tried.append(_Tried(lam, shares))
        return self.tried[-1]

    def patch(self, lam: float, info: dict[str, object]) -> Patch:
        deltas, config = self.deltas(lam), settings(self.config)
        mark = origin(self.model, deltas)
        edits = tuple(self.edits)
        return Patch(deltas, "time-debias", edits, config=config, info=info, **mark)


def _search(worn: _Worn, config: DebiasConfig) -> tuple[_Tried, bool]:
    """The least gap that a binary search in log λ meets, and whether one half was bracketed."""
    high = worn.at(config.highest)
    if high.gap < config.tolerance:  # as good as unedited, and fair already
        return high, True
    low = worn.at(config.lowest)
    if low.gap < config.tolerance:
        return low, True
    if (low.shares[0] < 0.5) == (high.shares[0] < 0.5):
        return min((high, low), key=lambda tried: tried.gap), False
    while len(worn.tried) < config.steps:
        middle = worn.at(math.sqrt(low.lam * high.lam))
        if middle.gap < config.tolerance:
            return middle, True
        if (middle.shares[0] < 0.5) == (high.shares[0] < 0.5):
            high = middle
        else:
            low = middle
    return min(worn.tried, key=lambda tried: tried.gap), True


def _info(found: _Tried, worn: _Worn, config: DebiasConfig) -> dict[str, object]:
    trail = [[tried.lam, tried.gap] for tried in worn.tried]
    within = found.gap < config.tolerance
    return {"lam": found.lam, "gap": found.gap, "within": within, "trail": trail}


def _check(model: Model, edits: Sequence[Edit]) -> None:
    with exact(model):
        check_edits(model, edits, destination=True)


def _share(measure: Measure, prompt: str) -> float:
    share = float(measure(prompt))
    if not 0 <= share <= 1:
        raise EditError(
            f"expected a share of women in [0, 1] for {prompt!r}, got {share}; "
            "is there a person in the pictures?"
        )
    return share
