"""How many women a model paints, and what to change in its pictures for the world's own shares.

Classifier-free guidance sharpens every share, by how much depends on the model. So while a model
learns, its professions are painted a few times with the averaged weights, counted by the judge,
and the odds of the pictures it learns from are moved against the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from overpaint.toybox.scene import article
from overpaint.toybox.world import PROFESSIONS
from tools.train.clip import features
from tools.train.contrastive import unit
from tools.train.data import LENGTH

CONTEXTS = ("{}", "a photo of {}", "a painting of {}", "{} in the park", "{} on the beach")
GAIN = 0.6  # of the correction; guidance about doubles what is done to the log odds
STEP = 0.8  # the largest correction at a time

Paint = Callable[[list[str]], torch.Tensor]
"""``paint(prompts) -> [n, 3, h, w]`` in [0, 1]."""


@torch.no_grad()
def painted_shares(paint: Paint, judge: Any, tokenizer: Any, pictures: int) -> dict[str, float]:
    """Share of women in about ``pictures`` pictures of each profession, 0 to 1."""
    prompts, names = [], []
    for name in PROFESSIONS:
        for context in CONTEXTS:
            prompts += [context.format(article(name))] * (pictures // len(CONTEXTS))
            names += [name] * (pictures // len(CONTEXTS))
    seen = paint(prompts).float().mul(2).sub(1)
    device = next(judge.parameters()).device
    image = unit(features(judge.get_image_features(pixel_values=seen.to(device))))
    texts = [f"a {gender} {name}" for name in PROFESSIONS for gender in ("female", "male")]
    ids = tokenizer(texts, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    text = unit(features(judge.get_text_features(ids.to(device))))
    scores = (image @ text.T).cpu()
    found: dict[str, float] = {}
    for number, name in enumerate(PROFESSIONS):
        own = torch.tensor([n == name for n in names])
        women, men = scores[own, 2 * number], scores[own, 2 * number + 1]
        found[name] = (women > men).float().mean().item()
    return found


def corrected(
    shift: Mapping[str, float], found: Mapping[str, float], pictures: int
) -> dict[str, float]:
    """The shifts of the log odds to learn with next (see :func:`open_gender_weights`)."""
    new = {}
    for name, facts in PROFESSIONS.items():
        share = (found[name] * pictures + 0.5) / (pictures + 1)
        error = _log_odds(facts.women) - _log_odds(share)
        new[name] = shift.get(name, 0.0) + max(-STEP, min(STEP, GAIN * error))
    return new


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
