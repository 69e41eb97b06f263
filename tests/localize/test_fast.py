"""Fast LocoGen: tries and sketches are paintings of few steps; it finds what LocoGen finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError
from overpaint.generate import generate
from overpaint.localize.fast import FastConfig, changes_of, choose, fast_locogen
from overpaint.localize.locogen import LocoGenConfig, locogen, windows_of
from overpaint.localize.painter import Painter
from overpaint.models.clip import Clip
from overpaint.models.model import Model

from .conftest import DEPTH, READERS

OURS, THEIRS = ["a rose"], ["two cats"]
CONFIG = LocoGenConfig(window=2, seeds=(0, 1, 2), steps=4, batch_size=4)
FAST = FastConfig(candidates=3, trial=1, steps=2, finalists=2, closer=3)
WINDOWS = windows_of(DEPTH, 2)
Eye = Callable[[torch.Tensor], Clip]


def test_only_windows_that_read_change_a_picture(reader: Model, eye: Eye) -> None:
    """A picture of one evaluation a window and prompt; as many more unchanged ones."""
    painter = Painter(
        reader, eye(torch.zeros(3, 32, 32)), "fact", [*OURS, "a house"], [*THEIRS, "a cup"], CONFIG
    )
    changes = changes_of(painter, WINDOWS)
    assert painter.evaluations == (len(WINDOWS) + 1) * 2
    reading = [j for j, window in enumerate(WINDOWS) if set(window) & set(READERS)]
    assert min(changes[j] for j in reading) > 100 * max(
        changes[j] for j in range(len(WINDOWS)) if j not in reading
    )


@pytest.mark.parametrize("kind", ["style", "fact"])
def test_best_is_that_of_its_sketches_on_all_seeds(reader: Model, eye: Eye, kind: str) -> None:
    """The reference: every window that was tried, sketched alone."""
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4, output_type="pt")[0, 0])
    painter = Painter(reader, clip, kind, [*OURS, "a house"], [*THEIRS, "a red house"], CONFIG)
    choice = choose(painter, WINDOWS, FAST)
    sketches = (3 + 1) * 1 * FAST.steps + 2 * 2 * FAST.closer
    assert painter.evaluations == 2 * (len(WINDOWS) + 1 + 2 * sketches)
    ranked = sorted(range(15), key=lambda j: -choice.changes[j])
    assert choice.candidates == tuple(ranked[:3])
    tried = [*ranked[:3], ranked[-1]]  # the last one stands for all that are left out

    def alone(j: int, seeds: tuple[int, ...], steps: int) -> float:
        pictures = painter.pictures([WINDOWS[j]], seeds, steps=steps)
        return float(painter.scores(pictures).mean())

    sign = painter.rule.sign
    trial = {j: alone(j, (0,), FAST.steps) for j in tried}
    final = sorted(trial, key=lambda j: -sign * trial[j])[:2]
    scores = {j: (trial[j] + 2 * alone(j, (1, 2), FAST.closer)) / 3 for j in final}
    assert choice.best == max(final, key=lambda j: sign * scores[j])
    assert choice.expected[choice.best] == pytest.approx(scores[choice.best], abs=1e-3)
    left_out = {choice.expected[j] for j in set(range(15)) - {*choice.candidates, *final}}
    assert len(left_out) == 1


def test_no_second_round_where_one_window_is_left(reader: Model, eye: Eye) -> None:
    painter = Painter(reader, eye(torch.zeros(3, 32, 32)), "fact", OURS, THEIRS, CONFIG)
    choice = choose(painter, WINDOWS, replace(FAST, candidates=99, finalists=1))
    assert len(choice.candidates) == len(WINDOWS)
    assert painter.evaluations == len(WINDOWS) + 1 + len(WINDOWS) * FAST.steps * 2


def test_finds_what_the_exhaustive_search_finds(toybox: Model, judge: Clip) -> None:
    """Or a window that does nearly as much; the embedded model, because it can paint."""
    config = LocoGenConfig(window=2, seeds=(0, 1), steps=6)
    pair = ["a cat in the style of zorvan"], ["a cat"]
    exact = locogen(toybox, judge, "style", *pair, config)
    quick = fast_locogen(toybox, judge, "style", *pair, config)
    chosen, best, clean = quick.layers[0], exact.layers[0], exact.info["clean"]
    assert isinstance(clean, float)
    assert quick.window == 2
    assert quick.scores[chosen] == pytest.approx(exact.scores[chosen], abs=0.05)
    assert clean - quick.scores[chosen] > 0.7 * (clean - exact.scores[best])
    assert chosen in quick.info["candidates"]  # type: ignore[operator]
    assert len(quick.info["candidates"]) == 5  # type: ignore[arg-type]
    assert quick.info["evaluations"] == 16 + 6 * 4 * 2 + 2 * 1 * 6 * 2 + 2 * 6 * 2


def test_smallest_window_that_passes(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4, output_type="pt")[0, 0])
    config = LocoGenConfig(seeds=(0,), steps=2, batch_size=4, share=0.999)
    found = fast_locogen(reader, clip, "fact", OURS, THEIRS, config, FAST)
    assert found.layers == READERS
    assert found.info["passed"] is True


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"trial": 0}, {"finalists": 0}, {"closer": 0}])
def test_bad_settings_are_named_errors(wrong: dict[str, int]) -> None:
    with pytest.raises(EditError, match="expected settings of at least 1"):
        FastConfig(**wrong)
