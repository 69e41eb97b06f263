"""Spearman's rank correlation, against torchmetrics and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torchmetrics.functional import spearman_corrcoef

from overpaint.metrics.rank import ranks, spearman


def test_equals_share_their_places() -> None:
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_torchmetrics(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one = torch.randint(0, 6, (30,), generator=generator).float()  # with ties
    other = one + 2 * torch.randn(30, generator=generator)
    assert spearman(one, other) == pytest.approx(float(spearman_corrcoef(one, other)), abs=1e-5)


def test_order_is_all_that_counts() -> None:
    values = torch.tensor([0.1, 5.0, 2.0, 9.0])
    assert spearman(values, values.exp()) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    assert math.isnan(spearman(values, torch.ones(4)))
