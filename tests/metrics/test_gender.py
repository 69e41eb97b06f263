"""TIME's F_p and Δ_p against counting by hand."""

from __future__ import annotations

import pytest
import torch

from overpaint.metrics import gender_gap, gender_repetitions, gender_share


def test_share_and_gap_are_the_papers() -> None:
    """Table 7: a CEO is a woman in 4 % of the pictures, an unfairness of 0.92."""
    female = torch.tensor([0.3] + [0.1] * 24)
    share = gender_share(female, torch.full((25,), 0.2))
    assert share == pytest.approx(0.04)
    assert gender_gap(share) == pytest.approx(0.92)
    assert gender_gap(torch.tensor([0.0, 0.5, 1.0])).tolist() == [1, 0, 1]


def test_repetitions_are_groups_of_seeds_over_all_prompts() -> None:
    women = (torch.arange(3 * 20).reshape(3, 20) % 7 < 3).double()
    found = gender_repetitions(women, 8)
    by_hand = [
        sum(women[p, s].item() for p in range(3) for s in range(first, first + 8)) / 24
        for first in (0, 8)
    ]
    assert found.tolist() == pytest.approx(by_hand)
    assert gender_repetitions(women[:, :5], 8).tolist() == [women[:, :5].mean()]
