"""How many of a profession's pictures show women (TIME, section 6)."""

from __future__ import annotations

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
