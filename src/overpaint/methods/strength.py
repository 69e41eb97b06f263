"""The strength of an edit, chosen from text alone: no picture is made.

Beyond the papers: TIME (section 7) leaves "automatically adjusting λ on a per-edit basis" to
future work. An edit is as strong as it should be when prompts that it shall reach read like what
they are to mean, and prompts near it read as they did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import ModelError
from overpaint.methods.surroundings import mentions_all, surroundings
from overpaint.models.attended import Reading, attended, squared
from overpaint.models.model import Model
from overpaint.models.weights import with_deltas
from overpaint.types import Change, Edit, Progress

BLUR = 0.5
"""τ: how gradually a reading turns from the old into the new, in units of their distance."""

Make = Callable[[float], Sequence[Change]]
"""The edit's changes at a strength."""


@dataclass(frozen=True)
class Sway:
    """``reach``: how far positives read like what they are to mean; ``hold``: how far neighbours
    read as they did; both in [0, 1]."""

    reach: float
    hold: float

    @property
    def both(self) -> float:
        """Their geometric mean, as F1 is of generality and specificity."""
        return math.sqrt(self.reach * self.hold)


@dataclass(frozen=True)
class Strength:
    """A chosen ``value``, what it does, and whether weaker and stronger ones are worse.

    ``bracketed`` is False where an end of the range is best; then ``value`` is that end.
    """

    value: float
    sway: Sway
    bracketed: bool

    @property
    def info(self) -> dict[str, object]:
        """For a patch's info, as plain JSON values."""
        sway = {"reach": self.sway.reach, "hold": self.sway.hold}
        return {"strength": self.value, **sway, "strength_bracketed": self.bracketed}


class Gauge:
    """How strongly changes of a model act on ``edits``, by what its cross-attention reads.

    ``layers`` are the cross-attention layers to look at, by default all of them. Distances are
    squared, relative to the distance of the old reading to the new one, averaged over layers. A
    positive's new reading is that of the same prompt with the target in it; a neighbour's is that
    of the target itself.
    """

    def __init__(
        self,
        model: Model,
        edits: Sequence[Edit],
        *,
        layers: Sequence[int] | None = None,
        component: str | None = None,
    ) -> None:
        if not model.family.clip_encoders(model):
            raise ModelError(
                f"A strength is chosen with the help of a CLIP text encoder, and {model.name} "
                f"({model.family.name}) has none; give the strength as a number."
            )
        self.model, self.layers = model, layers
        around = [surroundings(model, edit, component=component) for edit in edits]
        self.positives = tuple(p for a in around for p in a.positives)
        near = [
            (prompt, own.target)
            for edit, own in zip(edits, around, strict=True)
            for prompt in own.neighbours
            if not any(mentions_all(prompt, other.subject or other.source) for other in edits)
        ]
        self.neighbours = tuple(prompt for prompt, _ in near)
        self._before = self._read()
        meant = self._of([p for a in around for p in a.meant])
        self._after = meant, self._of([target for _, target in near])
        self._apart = tuple(
            squared(old, new).clamp_min(1e-12)
            for old, new in zip(self._before, self._after, strict=True)
        )

    def __call__(self, changes: Sequence[Change]) -> Sway:
        """What ``changes`` do, put on the model as it stands now and taken off again."""
        with with_deltas(self.model, changes):
            now = self._read()
        (reach_old, hold_old), (reach_new, hold_new) = (
            [(squared(n, t) / a).mean(0) for n, t, a in zip(now, there, self._apart, strict=True)]
            for there in (self._before, self._after)
        )
        return Sway(nearest(reach_new, reach_old), nearest(hold_old, hold_new))

    def _read(self) -> tuple[Reading, Reading]:
        return self._of(self.positives), self._of(self.neighbours)

    def _of(self, prompts: Sequence[str]) -> Reading:
        return attended(self.model, prompts, self.layers)


def nearest(right: Tensor, wrong: Tensor, blur: float = BLUR) -> float:
    """Mean share of the right one among right, wrong and neither, by squared distances ``[n]``.

    ``softmax(-d² / 2τ²)``, where "neither" is at distance 1: as far as right and wrong are from
    each other. It keeps an edit that tears readings away from both from looking like a success.
    """
    distances = torch.stack([right, wrong, torch.ones_like(right)])
    return float((-distances / (2 * blur**2)).softmax(0)[0].mean())


def choose(
    gauge: Callable[[Sequence[Change]], Sway],
    make: Make,
    lowest: float,
    highest: float,
    *,
    points: int = 13,
    refinements: int = 7,
    progress: Progress | None = None,
) -> Strength:
    """The strength between ``lowest`` and ``highest`` whose reach and hold are best together.

    Tries ``points`` values evenly spaced in the logarithm, then narrows down on the best of them
    by golden section.
    """
    tried: dict[float, Sway] = {}

    def score(value: float) -> float:
        tried[value] = gauge(make(value))
        if progress:
            progress(len(tried), points + refinements, "strengths")
        return tried[value].both

    ratio = (highest / lowest) ** (1 / (points - 1))
    grid = [lowest * ratio**i for i in range(points - 1)] + [highest]
    scores = [score(value) for value in grid]
    best = max(range(points), key=lambda i: (scores[i], i))
    bracketed = 0 < best < points - 1
    if bracketed:
        golden(score, grid[best - 1], grid[best + 1], refinements)
    value = max(tried, key=lambda v: tried[v].both)
    return Strength(value, tried[value], bracketed)


def golden(score: Callable[[float], float], low: float, high: float, steps: int) -> None:
    """Call ``score`` at ``steps`` places that close in on its maximum, by the logarithm of x."""
    shrink = (math.sqrt(5) - 1) / 2
    a, b = math.log(low), math.log(high)
    places = [b - shrink * (b - a), a + shrink * (b - a)]
    values = [score(math.exp(x)) for x in places[:steps]]
    for _ in range(steps - 2):
        if values[0] >= values[1]:
            b, places[1], values[1] = places[1], places[0], values[0]
            places[0] = b - shrink * (b - a)
            values[0] = score(math.exp(places[0]))
        else:
            a, places[0], values[0] = places[0], places[1], values[1]
            places[1] = a + shrink * (b - a)
            values[1] = score(math.exp(places[1]))


def settled(
    lam: float | None,
    model: Model,
    edits: Sequence[Edit],
    keys: Tensor,
    make: Make,
    *,
    layers: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[float, dict[str, object]]:
    """``lam``, or where it is None the λ chosen for a ridge edit with ``keys [n, d]``; its info.

    Edits that are solved together share one.
    """
    if lam is not None:
        return lam, {}
    gauge = Gauge(model, edits, layers=layers)
    found = choose(gauge, make, *ridge_range(keys), points=17, progress=progress)
    return found.value, found.info


def choose_scale(
    model: Model,
    edit: Edit,
    make: Make,
    component: str = "text_encoder",
    *,
    progress: Progress | None = None,
) -> Strength:
    """The length of a change that is ``make(1)`` as computed: a quarter of it to four times it."""
    return choose(Gauge(model, [edit], component=component), make, 0.25, 4.0, progress=progress)


def ridge_range(keys: Tensor) -> tuple[float, float]:
    """λ from where it does nothing to where it stops the edit, by the size of ``keys [n, d]``."""
    energy = float(keys.double().square().sum())
    return 1e-7 * energy, 10 * energy
