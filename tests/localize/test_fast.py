"""Fast LocoGen: its gradients are those of finite differences, and it finds what LocoGen finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError
from overpaint.generate import generate
from overpaint.localize.fast import FastConfig, fast_locogen, layer_effects
from overpaint.localize.locogen import locogen
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig
from overpaint.models.clip import Clip, see
from overpaint.models.model import Model

from .conftest import DEPTH, READERS

OURS, THEIRS = ["a rose"], ["two cats"]
CONFIG = LocoGenConfig(window=2, seeds=(0, 0), steps=2, batch_size=4)
FAST = FastConfig(steps=2, times=1, candidates=3, trial=1)
Eye = Callable[[torch.Tensor], Clip]


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_only_layers_that_read_have_an_effect(reader: Model, eye: Eye, guidance: float) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    config = replace(CONFIG, guidance=guidance)
    painter = Painter(reader, clip, "fact", OURS, THEIRS, config)
    effects = layer_effects(painter, [0], FAST)[0]
    blind = [layer for layer in range(DEPTH) if layer not in READERS]
    assert effects[blind].abs().max() == 0
    assert effects[list(READERS)].abs().min() > 0
    assert painter.evaluations == (1 + painter.guided) * FAST.steps + 3


def unit(pixels: torch.Tensor) -> torch.Tensor:
    """``pixels`` as a vector of length 1, in double precision: some effects are small."""
    return torch.nn.functional.normalize(pixels.double().flatten(), dim=0)


@pytest.mark.parametrize("layer", READERS)
def test_an_effect_is_a_central_difference(
    reader: Model, eye: Eye, monkeypatch: pytest.MonkeyPatch, layer: int
) -> None:
    """Move what one layer reads a little way towards the target, and look at the score."""
    wanted = generate(reader, THEIRS, [0], steps=1)[0, 0]
    clip, like = eye(wanted), unit(wanted / 127.5 - 1)
    painter = Painter(reader, clip, "fact", OURS, THEIRS, LocoGenConfig(window=1, batch_size=2))
    scores: list[float] = []

    def watched(clip: Clip, images: torch.Tensor) -> torch.Tensor:
        scores.append(100 * float(unit(images[0].detach() * 2 - 1) @ like))
        return see(clip, images)

    monkeypatch.setattr("overpaint.localize.fast.see", watched)
    once = FastConfig(steps=1, times=1)  # at the first step the latents are noise in any case
    effect = float(layer_effects(painter, [0], once)[0, layer])
    ours, theirs, step = int(painter.ours), int(painter.theirs), 0.2
    kept = [kept for number, _, kept in painter.texts.projected if number == layer]
    start = [each[ours].clone() for each in kept]
    for sign in (-1, 1):
        for each, base in zip(kept, start, strict=True):
            each[ours] = base + sign * step * (each[theirs] - base)
        layer_effects(painter, [0], once)
    slope = (scores[2] - scores[1]) / (2 * step)
    assert abs(slope) > 1e-5
    assert effect == pytest.approx(slope, rel=0.05)


def test_finds_what_the_exhaustive_search_finds(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    exact = locogen(reader, clip, "fact", OURS, THEIRS, CONFIG)
    quick = fast_locogen(reader, clip, "fact", OURS, THEIRS, CONFIG, FAST)
    assert quick.layers == exact.layers == READERS
    assert quick.window == 2
    assert len(quick.scores) == DEPTH - 1
    assert quick.scores[5] == pytest.approx(exact.scores[5], abs=0.05)
    verified = quick.info["verified"]
    assert isinstance(verified, list)
    assert len(verified) == 3
    ratio = exact.info["evaluations"] / quick.info["evaluations"]  # type: ignore[operator]
    assert ratio > 3


def test_smallest_window_that_passes(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    config = LocoGenConfig(seeds=(0,), steps=2, batch_size=4, share=0.999)
    found = fast_locogen(reader, clip, "fact", OURS, THEIRS, config, FAST)
    assert found.layers == READERS
    assert found.info["passed"] is True


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"times": 0}, {"candidates": 0}, {"trial": 0}, {"steps": 2, "times": 3}]
)
def test_bad_settings_are_named_errors(wrong: dict[str, int]) -> None:
    with pytest.raises(EditError, match="expected"):
        FastConfig(**wrong)
