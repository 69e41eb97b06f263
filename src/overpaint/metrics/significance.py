"""Whether method A is really better than B, when both were measured on the same cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.metrics.intervals import bootstrap

EXACT = 12  # cases up to which every exchange is tried: 2^12 of them


@dataclass(frozen=True)
class Comparison:
    """How much more A has than B, its 95 % interval over cases, and how surprising that is.

    ``p`` is two-sided: how often a difference at least as large comes about when A and B are
    exchanged at random in each case, as they could be if they did equally well.
    """

    difference: float
    low: float
    high: float
    p: float


def paired(
    a: Tensor,
    b: Tensor,
    statistic: Callable[[Tensor], Tensor] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Paired permutation test of A against B (Fisher 1935; Efron and Tibshirani 1993, chapter 15).

    ``a``, ``b [n_cases]`` or ``[n_cases, k]``: a row of k numbers for each case, in the same order
    of cases. ``statistic([resamples, k]) -> [resamples]`` is applied to the means over cases, by
    default the first column, e.g. ``lambda m: f1(m[:, 0], m[:, 1])``. Up to 12 cases every
    exchange is tried, above that ``resamples`` random ones; the same seed gives the same answer.
    ValueError when ``a`` and ``b`` are not of one shape.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"expected the same cases for both, got {[*a.shape]} and {[*b.shape]}")
    rows = torch.stack([t.double().reshape(len(t), -1) for t in (a, b)])
    of = statistic or (lambda means: means[:, 0])

    def difference(first: Tensor, second: Tensor) -> Tensor:
        return of(first) - of(second)

    measured = difference(*rows.mean(dim=1, keepdim=True)).item()
    totals = rows.sum(dim=1)
    moved = _exchanges(len(a), resamples, seed) @ (rows[1] - rows[0])
    first, second = (totals[0] + moved) / len(a), (totals[1] - moved) / len(a)
    found = difference(first, second).abs()
    as_large = int((found >= abs(measured) - 1e-12).sum())
    exact = len(a) <= EXACT
    p = as_large / len(found) if exact else (as_large + 1) / (len(found) + 1)
    width = rows.shape[2]
    low, high = bootstrap(
        torch.cat([*rows], dim=1), lambda m: difference(m[:, :width], m[:, width:]), seed=seed
    )
    return Comparison(measured, low, high, p)


def holm(p: Sequence[float]) -> list[float]:
    """``p`` of several tests, corrected for their number (Holm 1979), in the order given.

    The smallest is multiplied by how many there are, the next by one less, and so on; none
    becomes smaller than one before it, nor greater than 1.
    """
    corrected, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = least
    return corrected


def _exchanges(cases: int, resamples: int, seed: int) -> Tensor:
    """``[n, cases]`` float64: 1 in the cases where A and B change places, else 0."""
    if cases <= EXACT:
        numbers = torch.arange(2**cases)
        return ((numbers[:, None] >> torch.arange(cases)) % 2).double()
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(2, (resamples, cases), generator=draw).double()
