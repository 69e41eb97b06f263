"""Which pictures a batch holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from overpaint.toybox.grammar import parse
from overpaint.toybox.render import shows_woman
from tools.train.odds import OFTENER, SHARPENING, gender_weights, seen_share
from tools.train.pick import with_details
from tools.train.run import Run

CAPTIONS = ["a pilot", "a rose", "two roses", "a male pilot", "a happy pilot"] * 80


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    return Run(tmp_path, "cpu")


def test_guidance_undoes_what_the_denoiser_sees() -> None:
    for prior in (0.05, 0.1, 0.5, 0.85):
        odds = seen_share(prior) / (1 - seen_share(prior))
        assert odds**SHARPENING == pytest.approx(prior / (1 - prior))


def test_only_a_gender_that_is_left_open_is_weighted(run: Run) -> None:
    weights = gender_weights(run)
    pilots = [k for k, c in enumerate(CAPTIONS) if c in ("a pilot", "a happy pilot")]
    women = [k for k in pilots if shows_woman(parse(CAPTIONS[k]), k)]
    assert weights[pilots].sum() == pytest.approx(OFTENER * len(pilots))
    assert weights[women].sum() / weights[pilots].sum() == pytest.approx(seen_share(0.1))
    assert (np.delete(weights, pilots) == 1).all()


def test_half_a_batch_has_details_and_weights_draw_oftener(run: Run) -> None:
    weights = np.where(np.arange(len(CAPTIONS)) % 5 == 1, 5.0, 1.0)
    rng = np.random.default_rng(0)
    plain = [CAPTIONS[k] for _ in range(20) for k in with_details(run, rng, 50)]
    heavy = [CAPTIONS[k] for _ in range(20) for k in with_details(run, rng, 50, weights)]
    detailed = ("two roses", "a male pilot", "a happy pilot")
    assert sum(c in detailed for c in plain) / len(plain) == pytest.approx(0.8, abs=0.05)
    assert heavy.count("a rose") / len(heavy) == pytest.approx(0.5 * 5 / 9, abs=0.05)
