"""Edits of layer after layer: what is scored is what the patched model paints."""

from __future__ import annotations

import pytest
import torch

from overpaint.benchmark.datasets.emotions import emotion_cases
from overpaint.benchmark.layers import editable_layers, layer_scores
from overpaint.generate import generate
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.models.model import Model
from overpaint.models.weights import with_deltas
from overpaint.types import Sampling

QUICK = ReFACTConfig(covariance_weight=0, steps=3, templates=("{}",))


def test_last_layer_is_not_among_them(toybox: Model) -> None:
    assert editable_layers(toybox) == tuple(range(11))


def test_scores_are_those_of_the_patched_model(toybox: Model, judge: Clip) -> None:
    cases = emotion_cases(toybox=True)[:2]
    how = Sampling(steps=1, batch_size=2)
    ticks: list[tuple[int, int]] = []
    found = layer_scores(
        toybox, judge, cases, (3,), (2,), QUICK, how, progress=lambda d, t, _: ticks.append((d, t))
    )
    assert found.scores.shape == (1, 2, 1)
    assert found.pictures.shape[:2] == (3, 2)
    assert ticks == [(1, 3), (2, 3), (3, 3)]
    edit, words = cases[1].edit, text_features(judge, [cases[1].source.new])
    made = refact(toybox, [edit], ReFACTConfig(2, covariance_weight=0, steps=3, templates=("{}",)))
    pictures = {
        "clean": generate(toybox, [edit.source], [3], how, output_type="pt"),
        "oracle": generate(toybox, [edit.target], [3], how, output_type="pt"),
    }
    with with_deltas(toybox, made.deltas):
        pictures["edited"] = generate(toybox, [edit.source], [3], how, output_type="pt")
    scores = {
        name: 100 * float(image_features(judge, own[:, 0]) @ words[0])
        for name, own in pictures.items()
    }
    assert float(found.clean[1, 0]) == pytest.approx(scores["clean"], abs=0.05)
    assert float(found.oracle[1, 0]) == pytest.approx(scores["oracle"], abs=0.05)
    assert float(found.scores[0, 1, 0]) == pytest.approx(scores["edited"], abs=0.5)
    assert torch.equal(found.pictures[0, 1], pictures["clean"][0, 0])
    assert torch.equal(found.pictures[2, 1], pictures["oracle"][0, 0])
