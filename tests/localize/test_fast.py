"""Fast LocoGen: foresight is what it says, and the search finds what LocoGen finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError
from overpaint.generate import generate
from overpaint.localize.fast import FastConfig, choose, fast_locogen
from overpaint.localize.foresee import foreseen
from overpaint.localize.locogen import locogen
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of
from overpaint.models.clip import Clip, load_clip
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sampling import clean_estimate, scheduler_of
from overpaint.models.text import encode

from .conftest import DEPTH, READERS, half_and_half

OURS, THEIRS = ["a rose"], ["two cats"]
CONFIG = LocoGenConfig(window=2, seeds=(0, 1), steps=4, batch_size=4)
FAST = FastConfig(steps=2, looks=1, trial=1, candidates=3, sketch=2, sketches=2)
Eye = Callable[[torch.Tensor], Clip]


@pytest.fixture
def latents(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The clean latents that are foreseen, in place of their scores: the effects are small here."""
    caught: list[torch.Tensor] = []

    def catch(_painter: Painter, latents: torch.Tensor, _prompt: int) -> torch.Tensor:
        caught.append(latents)
        return torch.zeros(len(latents))

    monkeypatch.setattr("overpaint.localize.foresee._scores", catch)
    return caught


def guided(
    model: Model, noisy: torch.Tensor, time: torch.Tensor, text: torch.Tensor, scale: float
) -> torch.Tensor:
    """The denoiser's output, by two evaluations; ``text [1, L, d]`` of one prompt or of two."""
    empty = encode(model, [""])
    empty = empty.repeat(1, text.shape[1] // empty.shape[1], 1)
    without, towards = (model.denoiser(noisy, time, each)[0] for each in (empty, text))
    return without + scale * (towards - without)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_foresight_is_a_brute_force_step(
    deep: Model, eye: Eye, latents: list[torch.Tensor], scale: float
) -> None:
    """The reference: both prompts in one row, hooks, and the formulas written out."""
    deep.pipeline.to(torch.float64)
    config = replace(CONFIG, guidance=scale)
    painter = Painter(deep, eye(torch.zeros(3, 32, 32)), "fact", OURS, THEIRS, config)
    windows = [range(0), range(5, 7), range(6, 8), range(DEPTH)]
    foreseen(painter, windows, [7], steps=3, looks=2)
    assert len(latents) == 2
    assert painter.evaluations == 2 * (3 + len(windows) if painter.guided else 1 + len(windows))

    ours, theirs = encode(deep, OURS), encode(deep, THEIRS)
    scheduler = scheduler_of(deep, 3)
    noisy = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(7)).double()
    for look in range(2):
        before, time = scheduler.timesteps[look : look + 2]
        output = guided(deep, noisy, before, ours, scale)
        noisy = scheduler.step(output, before, noisy, return_dict=False)[0]
        kept = scheduler.alphas_cumprod[time].double()
        for found, window in zip(latents[look], windows, strict=True):
            with half_and_half(deep, window, ours.shape[1]):
                output = guided(deep, noisy, time, torch.cat([ours, theirs], dim=1), scale)
            expected = (noisy - (1 - kept).sqrt() * output) / kept.sqrt()
            effect = (found - latents[look][0]).norm() if window else found.norm()
            assert effect > 0
            assert (found - expected[0]).norm() < 1e-5 * effect


def test_each_prompt_and_seed_is_foreseen_on_its_own(
    reader: Model, eye: Eye, latents: list[torch.Tensor]
) -> None:
    """Windows that read nothing do nothing."""
    reader.pipeline.to(torch.float64)
    clip = eye(torch.zeros(3, 32, 32))
    two = Painter(reader, clip, "fact", [*OURS, "a house"], THEIRS * 2, CONFIG)
    ahead = foreseen(two, [range(0), *windows_of(DEPTH, 1)], [0, 1], steps=2, looks=1)
    assert ahead.shape == (DEPTH + 1, 2, 2)
    blind = [layer for layer in range(DEPTH) if layer not in READERS]
    for found in latents:
        effects = (found[1:] - found[0]).flatten(1).norm(dim=1)
        assert effects[blind].max() < 1e-6 * effects[list(READERS)].min()
    alone = Painter(reader, clip, "fact", ["a house"], THEIRS, CONFIG)
    foreseen(alone, [range(0), *windows_of(DEPTH, 1)], [1], steps=2, looks=1)
    assert torch.allclose(latents[4], latents[3], atol=1e-9)
    for other in latents[:3]:
        assert not torch.allclose(latents[4], other, atol=1e-6)


def test_sdxl_reads_the_pooled_features_of_both_branches(
    sdxl: Model, eye: Eye, latents: list[torch.Tensor]
) -> None:
    """Without a window, what is foreseen is what the second step of painting foresees."""
    painter = Painter(sdxl, eye(torch.zeros(3, 32, 32)), "fact", OURS, THEIRS, CONFIG)
    foreseen(painter, [range(0)], [3], steps=2, looks=1)
    with record(sdxl.denoiser) as (noisy,), record(sdxl.denoiser, outputs=True) as (outputs,):
        generate(sdxl, OURS, [3], steps=2, batch_size=1)
    without, towards = outputs[1].chunk(2)
    output = without + painter.guidance * (towards - without)
    scheduler = scheduler_of(sdxl, 2)
    expected = clean_estimate(scheduler, output, noisy[1][:1], int(scheduler.timesteps[1]))
    assert torch.allclose(latents[0], expected, rtol=1e-4, atol=1e-4)
    assert (without - towards).abs().max() > 1e-2


def test_finds_what_the_exhaustive_search_finds(toybox: Model) -> None:
    """Or a window that does nearly as much; the embedded model, because it can paint."""
    judge = load_clip("toybox-judge")
    config = LocoGenConfig(window=2, seeds=(0, 1), steps=4)
    pair = ["a cat in the style of zorvan"], ["a cat"]
    exact = locogen(toybox, judge, "style", *pair, config)
    fast = FastConfig(steps=6, looks=1, trial=1, candidates=5, sketch=3, sketches=2)
    quick = fast_locogen(toybox, judge, "style", *pair, config, fast)
    chosen, best, clean = quick.layers[0], exact.layers[0], exact.info["clean"]
    assert isinstance(clean, float)
    assert quick.window == 2
    assert quick.scores[chosen] == pytest.approx(exact.scores[chosen], abs=0.05)
    assert clean - quick.scores[chosen] > 0.8 * (clean - exact.scores[best])
    assert chosen in quick.info["sketched"]  # type: ignore[operator]
    assert len(quick.info["sketched"]) == 5  # type: ignore[arg-type]
    foresight, sketches, last = 3 + len(exact.scores), 5 * 2 * 3 * 2, 2 * 4 * 2
    assert quick.info["evaluations"] == foresight + sketches + last


def test_estimates_of_sketched_windows_are_their_sketches(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    painter = Painter(reader, clip, "style", OURS, THEIRS, CONFIG)
    windows = windows_of(DEPTH, 2)
    choice = choose(painter, windows, FAST)
    sketched = [windows[j] for j in choice.sketched]
    expected = painter.scores(painter.pictures(sketched, CONFIG.seeds, steps=2)).mean((1, 2))
    known = [choice.expected[j] for j in choice.sketched]
    assert known == pytest.approx(expected.tolist(), abs=0.01)
    assert choice.expected[choice.best] == min(known)
    assert len(choice.expected) == DEPTH - 1


def test_smallest_window_that_passes(reader: Model, eye: Eye) -> None:
    clip = eye(generate(reader, THEIRS, [0], steps=2, batch_size=4)[0, 0])
    config = LocoGenConfig(seeds=(0,), steps=2, batch_size=4, share=0.999)
    every = replace(FAST, candidates=DEPTH)  # what is foreseen here tells nothing
    found = fast_locogen(reader, clip, "fact", OURS, THEIRS, config, every)
    assert found.layers == READERS
    assert found.info["passed"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"trial": 0},
        {"candidates": 0},
        {"sketch": 0},
        {"sketches": 0},
        {"looks": 0},
        {"looks": 6},
    ],
)
def test_bad_settings_are_named_errors(wrong: dict[str, int]) -> None:
    with pytest.raises(EditError, match="expected"):
        FastConfig(**wrong)
