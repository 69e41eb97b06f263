"""Whether two numbers order the same things alike."""

from __future__ import annotations

from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Places from 1 on of ``values [n]`` in ascending order, ``[n]`` float64; equals share one."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below.double() + (equal.double() + 1) / 2


def spearman(one: Tensor, other: Tensor) -> float:
    """Spearman's ρ of two ``[n]``: Pearson's of their ranks. NaN where one of them is constant."""
    a, b = (ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())
