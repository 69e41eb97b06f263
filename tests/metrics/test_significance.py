"""The paired test against counting by hand, and against what must come out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from overpaint.metrics import f1
from overpaint.metrics.significance import holm, paired


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_few_cases_are_counted_exactly():
    a, b = rand(7), rand(7, seed=1) - 0.2
    found = paired(a, b)
    difference = (a - b).numpy()
    signs = np.array(list(product([1, -1], repeat=7)))
    exchanged = np.abs((signs * difference).mean(axis=1))
    assert found.difference == pytest.approx(difference.mean())
    assert found.p == pytest.approx((exchanged >= abs(difference.mean()) - 1e-12).mean())


def test_a_statistic_of_several_columns_is_exchanged_row_by_row():
    a, b = rand(6, 2), rand(6, 2, seed=1)
    found = paired(a, b, lambda m: f1(m[:, 0], m[:, 1]))

    def of(rows: np.ndarray) -> float:
        general, specific = rows.mean(axis=0)
        return (general * specific) ** 0.5

    measured = of(a.numpy()) - of(b.numpy())
    count = 0
    for swap in product([False, True], repeat=6):
        where = np.array(swap)[:, None]
        one, two = np.where(where, b.numpy(), a.numpy()), np.where(where, a.numpy(), b.numpy())
        count += abs(of(one) - of(two)) >= abs(measured) - 1e-12
    assert found.difference == pytest.approx(measured)
    assert found.p == pytest.approx(count / 64)


def test_many_cases_are_drawn_and_agree_with_the_normal_approximation():
    a, b = rand(200), rand(200, seed=1) - 0.05
    difference = a - b
    z = difference.mean().item() / (difference.square().mean().sqrt().item() / 200**0.5)
    expected = 2 * (1 - torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(abs(z))).item())
    found = paired(a, b)
    assert found == paired(a, b)
    assert found.p == pytest.approx(expected, abs=0.02)
    assert found.low < found.difference < found.high


def test_equal_methods_are_not_told_apart_and_better_ones_are():
    a = rand(50)
    same = paired(a, a)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    better = paired(a + 0.5, a)
    assert better.p == pytest.approx(1 / 10_001)
    assert paired(a, a + 0.5).difference == -better.difference


def test_it_is_symmetric():
    a, b = rand(9), rand(9, seed=3)
    assert paired(a, b).p == paired(b, a).p


def test_other_cases_are_refused():
    with pytest.raises(ValueError, match="the same cases"):
        paired(torch.zeros(3), torch.zeros(4))


def test_holm_rejects_what_stepping_down_rejects():
    p = [0.011, 0.2, 0.0004, 0.04, 0.013, 0.04]
    corrected = holm(p)
    for level in np.linspace(0.001, 1, 300):
        rejected = set()
        for rank, place in enumerate(np.argsort(p, kind="stable")):
            if p[place] > level / (len(p) - rank):
                break
            rejected.add(int(place))
        assert {i for i, value in enumerate(corrected) if value <= level} == rejected
    assert holm([0.03]) == [0.03]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
