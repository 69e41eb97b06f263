"""Scores of edits against element by element counting and the papers' own numbers."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from overpaint.metrics import chosen, efficacy, f1, generality, harmonic, specificity

SHARE = st.floats(0, 1, allow_subnormal=False)


@pytest.fixture
def similarities() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.rand(4, 5, 7, generator=draw), torch.rand(4, 5, 7, generator=draw)


def test_chosen_keeps_the_shape_and_a_tie_is_no_choice():
    new, old = torch.tensor([[0.3, 0.2], [0.1, 0.5]]), torch.tensor([[0.2, 0.3], [0.1, 0.4]])
    assert chosen(new, old).tolist() == [[1, 0], [0, 1]]


def test_shares_are_what_counting_gives(similarities):
    new, old = similarities
    pairs = list(zip(new.flatten().tolist(), old.flatten().tolist(), strict=True))
    reached = sum(n > o for n, o in pairs) / len(pairs)
    assert efficacy(new, old).item() == pytest.approx(reached)
    assert generality(new, old).item() == pytest.approx(reached)
    assert specificity(new, old).item() == pytest.approx(1 - reached)


@pytest.mark.parametrize(
    ("general", "specific", "printed"),
    [(6.21, 95.68, 24.37), (93.26, 95.68, 94.46), (64.08, 75.95, 69.76), (88.02, 79.18, 83.48)],
)
def test_f1_is_the_column_of_refact_table_1(general, specific, printed):
    assert 100 * f1(general / 100, specific / 100).item() == pytest.approx(printed, abs=0.01)


@given(SHARE, SHARE)
def test_means_are_those_of_the_standard_library(a, b):
    # statistics' geometric mean goes over logarithms, so zeros are left to the next test
    if a > 1e-6 and b > 1e-6:
        assert f1(a, b).item() == pytest.approx(statistics.geometric_mean([a, b]), rel=1e-5)
    assert harmonic(a, b).item() == pytest.approx(statistics.harmonic_mean([a, b]), abs=1e-6)


def test_means_of_nothing_are_zero():
    assert f1(0.0, 0.7).item() == 0
    assert harmonic(0.0, 0.0).item() == 0


def test_means_take_tensors():
    a, b = torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.25])
    assert torch.allclose(f1(a, b), torch.tensor([0.5, 0.5]))
    assert torch.allclose(harmonic(a, b), torch.tensor([0.5, 0.4]))
