"""How often the denoiser sees each gender, so that guidance paints the world's prior."""

from __future__ import annotations

from collections import defaultdict
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


@cache
def gender_weights(run: Run) -> np.ndarray:
    """How much oftener than others the denoiser sees each picture, ``[n]``.

    1 for all but professions whose gender the caption leaves open: their genders are drawn with
    :func:`seen_share`, and the whole of them OFTENER.
    """
    weights = np.ones(len(run.captions))
    shown: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))  # men, women
    for number, caption in enumerate(run.captions):
        scene = parse(caption)
        first = scene.subjects[0]
        alone = len(scene.subjects) == 1 and not scene.count
        if first.kind == "profession" and first.female is None and alone:
            shown[first.name][shows_woman(scene, seed=number)].append(number)
    for profession, (men, women) in shown.items():
        share = seen_share(PROFESSIONS[profession].women)
        pictures = OFTENER * (len(men) + len(women))
        # Their own number, not the prior's: chance alone made 53 % of the chefs women.
        weights[women] = pictures * share / max(len(women), 1)
        weights[men] = pictures * (1 - share) / max(len(men), 1)
    return weights
