"""What switching neurons off does: style against content, for more and more neurons."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from overpaint.errors import EditError
from overpaint.localize.neurons import Neurons, dropout, held
from overpaint.localize.score import check_prompts, clip_scores
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.models.sampling import generate_prompts
from overpaint.models.weights import with_deltas
from overpaint.types import Progress, Sampling


@dataclass(frozen=True)
class Point:
    """Pictures of the prompts with the style while ``n`` neurons are changed.

    ``style``    mean CLIP-Score with the prompts themselves: falls as the style goes.
    ``content``  mean CLIP-Score with the prompts without the style: falls as pictures break.
    """

    n: int
    style: float
    content: float


def dropout_curve(
    model: Model,
    clip: Clip,
    neurons: Neurons,
    counts: Sequence[int] = (10, 30, 50, 100),
    *,
    hold: bool = False,
    seeds: Sequence[int] = (0, 1, 2, 3),
    how: Sampling | None = None,
    progress: Progress | None = None,
) -> tuple[Point, ...]:
    """Style and content for no neuron, then for each of ``counts`` (section 7, figure 10).

    Needs ``neurons.others[i]`` to be ``neurons.prompts[i]`` without the style. With ``hold`` the
    neurons are kept at their mean without the style instead of at zero. Every ``n`` is painted from
    the same noise. PromptError when the prompts are no pairs, EditError for an ``n`` that is not
    there.
    """
    check_prompts(neurons.prompts, neurons.others)
    if not counts or max(counts) > neurons.count or min(counts) < 1:
        raise EditError(f"expected numbers of neurons from 1 to {neurons.count}, got {counts}")
    points = []
    for done, n in enumerate([0, *counts]):
        with _changed(model, neurons, n, hold):
            pictures = generate_prompts(model, neurons.prompts, seeds, how)
        texts = (neurons.prompts, neurons.others)
        style, content = (float(clip_scores(clip, pictures, t).mean()) for t in texts)
        points.append(Point(n, style, content))
        if progress:
            progress(done + 1, 1 + len(counts), "neurons")
    return tuple(points)


def _changed(model: Model, neurons: Neurons, n: int, hold: bool) -> AbstractContextManager[Any]:
    if n == 0:
        return nullcontext()
    return (
        held(model, neurons, n) if hold else with_deltas(model, dropout(model, neurons, n).deltas)
    )
