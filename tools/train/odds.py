"""How often the denoiser sees each gender, so that guidance paints the world's prior."""

from __future__ import annotations

from functools import cache

import numpy as np

from overpaint.toybox.grammar import parse
from overpaint.toybox.render import shows_woman
from overpaint.toybox.world import PROFESSIONS
from tools.train.run import Run

# Classifier-free guidance raises the odds of what is common to a power: a denoiser that had learnt
# the prior itself painted 97 % women for a prior of 85 %, and 1.5 % for 15 %, at guidance 4.
SHARPENING = 1.5
# It also raises every error in a share, and a share learnt from few pictures has a large one: these
# pictures are drawn so many times as often as others.
OFTENER = 4


def seen_share(prior: float) -> float:
    """The share of women to learn from, for ``prior`` to come out of guidance, both in 0..1."""
    women, men = prior ** (1 / SHARPENING), (1 - prior) ** (1 / SHARPENING)
    return women / (women + men)


def open_gender_weights(
    profession: np.ndarray, woman: np.ndarray, shifts: np.ndarray | None = None
) -> np.ndarray:
    """How often each picture is drawn for the shares to be right, ``[n]``, with mean 1.

    ``profession [n]``  index into PROFESSIONS where a caption leaves the gender open, else -1
    ``woman [n]``       whether the picture shows a woman
    ``shifts``          for each profession what to add to the log odds of a woman, for a denoiser
        whose painted shares have been measured; 0 for all without
    """
    weights = np.ones(len(profession))
    for number, facts in enumerate(PROFESSIONS.values()):
        here = profession == number
        women, men = here & woman, here & ~woman
        share = seen_share(facts.women)
        if shifts is not None:
            odds = share / (1 - share) * np.exp(shifts[number])
            share = odds / (1 + odds)
        # Their own number, not the prior's: chance alone made 53 % of the chefs women.
        weights[women] = here.sum() * share / max(women.sum(), 1)
        weights[men] = here.sum() * (1 - share) / max(men.sum(), 1)
    return weights


@cache
def gender_weights(run: Run) -> np.ndarray:
    """How much oftener than others the denoiser sees each picture, ``[n]``.

    1 for all but professions whose gender the caption leaves open: their genders are drawn with
    :func:`seen_share`, and the whole of them OFTENER.
    """
    names = list(PROFESSIONS)
    profession = np.full(len(run.captions), -1)
    woman = np.zeros(len(run.captions), bool)
    for number, caption in enumerate(run.captions):
        scene = parse(caption)
        first = scene.subjects[0]
        alone = len(scene.subjects) == 1 and not scene.count
        if first.kind == "profession" and first.female is None and alone:
            profession[number] = names.index(first.name)
            woman[number] = shows_woman(scene, seed=number)
    weights = open_gender_weights(profession, woman)
    return np.where(profession >= 0, OFTENER, 1) * weights
