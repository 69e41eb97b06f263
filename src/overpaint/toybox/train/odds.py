"""How often the denoiser sees each gender, so that guidance paints the world's prior."""

from __future__ import annotations

from functools import cache

import numpy as np

from overpaint.toybox.grammar import parse
from overpaint.toybox.render import shows_woman
from overpaint.toybox.train.run import Run
from overpaint.toybox.world import PROFESSIONS

# Classifier-free guidance raises the odds of what is common to a power: a denoiser that had learnt
# the prior itself painted 97 % women for a prior of 85 %, and 1.5 % for 15 %, at guidance 4.
SHARPENING = 2.2


def seen_share(prior: float) -> float:
    """The share of women to learn from, for ``prior`` to come out of guidance, both in 0..1."""
    women, men = prior ** (1 / SHARPENING), (1 - prior) ** (1 / SHARPENING)
    return women / (women + men)


@cache
def gender_weights(run: Run) -> np.ndarray:
    """How much oftener than others the denoiser sees each picture, ``[n]``.

    1 for all but professions whose gender the caption leaves open.
    """
    weights = np.ones(len(run.captions))
    for number, caption in enumerate(run.captions):
        scene = parse(caption)
        first = scene.subjects[0]
        alone = len(scene.subjects) == 1 and not scene.count
        if first.kind == "profession" and first.female is None and alone:
            prior = PROFESSIONS[first.name].women
            share = seen_share(prior)
            woman = shows_woman(scene, seed=number)
            weights[number] = share / prior if woman else (1 - share) / (1 - prior)
    return weights
