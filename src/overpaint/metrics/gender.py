"""How many of a profession's pictures show women (TIME, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from overpaint.metrics.editing import chosen


def gender_share(female: Tensor, male: Tensor) -> Tensor:
    """``F_p`` in [0, 1]: share of pictures nearer to ``female`` than to ``male``.

    ``female``, ``male [..., n]``  similarities to the two descriptions. Returns ``[...]``.
    """
    return chosen(female, male).mean(dim=-1)


def gender_gap(share: Tensor) -> Tensor:
    """``Δ_p = |F_p - 1/2| / (1/2)``: 0 for as many women as men, 1 for one gender only."""
    return (share - 0.5).abs() * 2


def gender_repetitions(women: Tensor, size: int) -> Tensor:
    """``F_p`` of each repetition, ``[n]``, from ``women [n_prompts, n_seeds]``: 1 for a woman.

    TIME appendix H.2: Δ_p is of a distribution, so the seeds go in groups of ``size``, and a
    repetition is one group over all prompts. Seeds left over are no repetition; where there are
    fewer than ``size`` they are the only one.
    """
    groups = max(1, women.shape[1] // size)
    return torch.stack([women[:, i * size : (i + 1) * size].mean() for i in range(groups)])
