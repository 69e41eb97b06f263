"""How sure a number is: over seeds as the papers say it, and over cases by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def over_seeds(hits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over seeds of the mean over all else: two scalars.

    ``hits [..., n_seeds]``: the papers' "± over seeds". The deviation is that of a sample (n - 1),
    and 0 for one seed.
    """
    per_seed = hits.double().flatten(0, -2).mean(dim=0) if hits.dim() > 1 else hits.double()
    spread = per_seed.std() if len(per_seed) > 1 else torch.zeros((), dtype=torch.float64)
    return per_seed.mean(), spread


def bootstrap(
    table: Tensor,
    statistic: Callable[[Tensor], Tensor] | None = None,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic of the means over cases (Efron and Tibshirani 1993, 13.3).

    ``table [n_cases]`` or ``[n_cases, k]``: a row of k numbers for each case, resampled together.
    ``statistic([resamples, k]) -> [resamples]`` is applied to the means, e.g.
    ``lambda m: f1(m[:, 0], m[:, 1])``; by default the first column is taken as it is. The same
    seed gives the same interval.
    """
    rows = table.double().reshape(len(table), -1)
    draw = torch.Generator().manual_seed(seed)
    index = torch.randint(len(rows), (resamples, len(rows)), generator=draw)
    means = rows[index].mean(dim=1)
    values = means[:, 0] if statistic is None else statistic(means)
    tail = (1 - level) / 2
    low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=values.dtype)).tolist()
    return low, high
