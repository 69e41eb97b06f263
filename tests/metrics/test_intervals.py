"""Intervals and gender shares against numpy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from overpaint.metrics import bootstrap, f1, gender_gap, gender_share, over_seeds


def test_over_seeds_is_numpys_mean_and_sample_deviation():
    hits = torch.rand(6, 5, 8, generator=torch.Generator().manual_seed(0)) > 0.4
    per_seed = hits.numpy().reshape(30, 8).mean(axis=0)
    mean, spread = over_seeds(hits)
    assert mean.item() == pytest.approx(per_seed.mean())
    assert spread.item() == pytest.approx(np.std(per_seed, ddof=1))


def test_over_seeds_of_one_seed_has_no_spread():
    mean, spread = over_seeds(torch.tensor([[1.0], [0.0]]))
    assert (mean.item(), spread.item()) == (0.5, 0.0)


def test_bootstrap_agrees_with_the_normal_interval_of_many_cases():
    values = torch.rand(400, generator=torch.Generator().manual_seed(1))
    low, high = bootstrap(values, resamples=4000)
    half = 1.96 * values.std().item() / 400**0.5
    assert low == pytest.approx(values.mean().item() - half, abs=0.003)
    assert high == pytest.approx(values.mean().item() + half, abs=0.003)


def test_bootstrap_of_f1_agrees_with_a_loop_over_numpy():
    draw = torch.Generator().manual_seed(2)
    table = torch.rand(30, 2, generator=draw).double()
    low, high = bootstrap(table, lambda m: f1(m[:, 0], m[:, 1]), resamples=3000)
    rng, rows, values = np.random.default_rng(5), table.numpy(), []
    for _ in range(3000):
        general, specific = rows[rng.integers(0, 30, 30)].mean(axis=0)
        values.append((general * specific) ** 0.5)
    assert (low, high) == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.01)


def test_bootstrap_is_the_same_every_time_and_keeps_rows_together():
    table = torch.stack([torch.arange(5.0), -torch.arange(5.0)], dim=1)
    assert bootstrap(table) == bootstrap(table)
    assert bootstrap(table, resamples=50) != bootstrap(table, resamples=50, seed=1)
    assert bootstrap(table, lambda m: m.sum(dim=1)) == (0.0, 0.0)


def test_gender_share_and_gap_per_profession():
    female = torch.tensor([[0.9, 0.1, 0.8, 0.7], [0.1, 0.1, 0.1, 0.1]])
    male = torch.full((2, 4), 0.5)
    share = gender_share(female, male)
    assert share.tolist() == [0.75, 0.0]
    assert gender_gap(share).tolist() == [0.5, 1.0]
