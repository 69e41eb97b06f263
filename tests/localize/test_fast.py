"""Fast LocoGen: sketches are paintings of few steps, and the search finds what LocoGen finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError
from overpaint.generate import generate
from overpaint.localize.fast import FastConfig, choose, fast_locogen
from overpaint.localize.locogen import locogen
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of
from overpaint.models.clip import Clip, load_clip
from overpaint.models.model import Model

from .conftest import DEPTH, READERS

OURS, THEIRS = ["a rose"], ["two cats"]
CONFIG = LocoGenConfig(window=2, seeds=(0, 1, 2), steps=4, batch_size=4)
FAST = FastConfig(steps=2, trial=1, candidates=3)
Eye = Callable[[torch.Tensor], Clip]


@pytest.mark.parametrize("kind", ["style", "fact"])
def test_candidates_are_the_best_of_the_trial(reader: Model, eye: Eye, kind: str) -> None:
    """The reference: sketches painted window by window, seed by seed."""
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    ours, theirs = [*OURS, "a house"], [*THEIRS, "a red house"]
    painter = Painter(reader, clip, kind, ours, theirs, CONFIG)
    windows = windows_of(DEPTH, 2)
    choice = choose(painter, windows, FAST)
    sketches = (len(windows) * 1 + 3 * 2) * len(ours)
    assert painter.evaluations == sketches * FAST.steps * 2
    scores = torch.cat([painter.scores(painter.pictures([w], (0, 1, 2), steps=2)) for w in windows])
    trial, every = scores[..., 0].mean(1), scores.mean((1, 2))
    ranked = trial.argsort(descending=kind == "fact").tolist()
    # Windows of layers that read nothing differ by rounding alone: compare scores, not numbers.
    chosen = trial[list(choice.candidates)].tolist()
    assert chosen == pytest.approx(trial[ranked[:3]].tolist(), abs=1e-3)
    known = [choice.expected[j] for j in choice.candidates]
    assert known == pytest.approx(every[list(choice.candidates)].tolist(), abs=1e-3)
    assert choice.expected[choice.best] == (max(known) if kind == "fact" else min(known))
    lasting = every[list(choice.candidates)].mean() - trial[list(choice.candidates)].mean()
    for j in set(range(len(windows))) - set(choice.candidates):
        assert choice.expected[j] == pytest.approx(float(trial[j] + lasting), abs=1e-3)


@pytest.mark.parametrize(("seeds", "candidates"), [((5,), 3), ((5, 6), 1)])
def test_nothing_is_sketched_twice_where_it_decides_nothing(
    reader: Model, eye: Eye, seeds: tuple[int, ...], candidates: int
) -> None:
    config = replace(CONFIG, seeds=seeds)
    painter = Painter(reader, eye(torch.zeros(3, 32, 32)), "fact", OURS, THEIRS, config)
    windows = windows_of(DEPTH, 2)
    choose(painter, windows, replace(FAST, candidates=candidates))
    assert painter.evaluations == len(windows) * FAST.steps * 2


def test_finds_what_the_exhaustive_search_finds(toybox: Model) -> None:
    """Or a window that does nearly as much; the embedded model, because it can paint."""
    judge = load_clip("toybox-judge")
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
    assert len(quick.info["candidates"]) == 2  # type: ignore[arg-type]
    assert quick.info["evaluations"] == (15 + 2) * 3 * 2 + 2 * 6 * 2


def test_smallest_window_that_passes(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    config = LocoGenConfig(seeds=(0,), steps=2, batch_size=4, share=0.999)
    found = fast_locogen(reader, clip, "fact", OURS, THEIRS, config, FAST)
    assert found.layers == READERS
    assert found.info["passed"] is True


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"trial": 0}, {"candidates": 0}])
def test_bad_settings_are_named_errors(wrong: dict[str, int]) -> None:
    with pytest.raises(EditError, match="expected settings of at least 1"):
        FastConfig(**wrong)
