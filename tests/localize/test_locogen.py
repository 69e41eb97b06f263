"""LocoGen finds the layers that read the text, in a model where it is known which these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.generate import generate
from overpaint.localize.locogen import (
    LocoGenConfig,
    goal_score,
    locogen,
    passes,
    windows_of,
    winner,
)
from overpaint.localize.painter import Painter
from overpaint.localize.reading import reading
from overpaint.localize.score import KINDS
from overpaint.models.clip import Clip
from overpaint.models.conditioning import Conditioning, join
from overpaint.models.fingerprint import fingerprint
from overpaint.models.model import Model
from overpaint.models.sampling import sample
from overpaint.models.sites import module_at
from overpaint.models.text import encode

from .conftest import DEPTH, READERS, half_and_half, output_sites

OURS, THEIRS = ["a rose"], ["two cats"]
QUICK = LocoGenConfig(seeds=(0, 1), steps=2, batch_size=8)
Eye = Callable[[torch.Tensor], Clip]


@pytest.mark.parametrize("kind", ["style", "fact"])
def test_finds_the_layers_that_read_the_text(reader: Model, eye: Eye, kind: str) -> None:
    """The whole way must be gone, so one layer alone is not enough, and two are."""
    target = generate(reader, THEIRS, [0], steps=2, batch_size=8, output_type="pt")[0, 0]
    clip = eye(target if kind == "fact" else 255 - target)
    config = LocoGenConfig(seeds=(0,), steps=2, batch_size=8, share=0.999)
    found = locogen(reader, clip, kind, OURS, THEIRS, config)
    assert found.layers == READERS
    assert found.window == 2
    assert found.info["passed"] is True
    assert set(found.info["tried"]) == {"1", "2"}  # type: ignore[call-overload]
    assert found.images is not None
    assert found.clean is not None
    assert found.images.shape == (DEPTH - 1, 1, 1, 3, 32, 32)
    for first in range(DEPTH - 1):
        blind = not {first, first + 1} & set(READERS)
        assert torch.equal(found.images[first], found.clean) == blind


def test_each_row_reads_what_a_brute_force_intervention_gives_it(deep: Model, eye: Eye) -> None:
    """Every layer alone, in one batch: off by less than a millionth of what the layer does."""
    deep.pipeline.to(torch.float64)  # what the deep layers of an untrained model do is small
    painter = Painter(deep, eye(torch.zeros(3, 32, 32)), "style", OURS, THEIRS, QUICK)
    windows = [range(0), *windows_of(DEPTH, 1)]
    generator = torch.Generator().manual_seed(0)
    noisy, time = torch.randn(1, 4, 16, 16, generator=generator).double(), 500
    given = encode(deep, OURS)
    ours, theirs = given[0]["prompt_embeds"], encode(deep, THEIRS)[0]["prompt_embeds"]
    both, rows = torch.cat([ours, theirs], dim=1), len(windows)
    with reading(painter.texts, join(given * rows), painter.table(windows)[:, 0]):
        read = deep.denoiser(noisy.repeat(rows, 1, 1, 1), time, ours.repeat(rows, 1, 1))[0]
    for window, output in zip(windows, read, strict=True):
        with half_and_half(deep, window, ours.shape[1]):
            expected = deep.denoiser(noisy, time, both)[0][0]
        effect = float((output - read[0]).norm()) if window else float(output.norm())
        assert effect > 0
        assert float((output - expected).norm()) < 1e-6 * effect


def test_pictures_are_those_of_a_brute_force_intervention(deep: Model, eye: Eye) -> None:
    """In the last layers: what the deep ones of an untrained model do is no level of a pixel."""
    for site in output_sites(deep):
        module_at(deep, site).weight.mul_(3)
    painter = Painter(deep, eye(torch.zeros(3, 32, 32)), "style", OURS, THEIRS, QUICK)
    windows = [range(0), range(13, 15), range(14, 16), range(DEPTH)]
    painted = painter.pictures(windows, [0])[:, 0].int()
    ours, theirs = encode(deep, [*OURS, *THEIRS], painter.how)
    both = Conditioning(
        {name: torch.cat([ours[name], theirs[name]], dim=1) for name in ours.tensors}
    )
    for window, pictures in zip(windows, painted, strict=True):
        with half_and_half(deep, window, ours["prompt_embeds"].shape[1]):
            expected = sample(deep, [both], [0], painter.how)[0]
        assert (pictures - expected.int()).abs().max() <= 1
        others = painted[[other != window for other in windows]]
        assert (others - pictures).abs().flatten(1).amax(1).min() > 10


def test_target_equal_to_the_original_changes_nothing(deep: Model, eye: Eye) -> None:
    clip = eye(torch.full((3, 32, 32), 200))
    config = LocoGenConfig(window=3, seeds=(0,), steps=2, batch_size=8)
    found = locogen(deep, clip, "object", OURS, OURS, config)
    assert found.images is not None
    assert found.clean is not None
    assert all(torch.equal(images, found.clean) for images in found.images)
    assert set(found.scores) == {found.info["clean"]}
    assert found.info["passed"] is False
    with pytest.raises(EditError, match="even in all layers"):
        locogen(deep, clip, "object", OURS, OURS, QUICK)


def test_sdxl_and_several_prompts_share_batches(sdxl: Model, eye: Eye) -> None:
    """A picture does not depend on the windows, prompts and seeds painted beside it."""
    clip = eye(torch.full((3, 32, 32), 200))
    ours, theirs = ["a rose", "a blue rose"], ["two cats", "a house"]
    painter = Painter(sdxl, clip, "fact", ours, theirs, QUICK)
    together = painter.pictures([range(1), range(1, 2), range(4)], [3, 7])
    assert painter.evaluations == 3 * 2 * 2 * 2 * 2
    alone = Painter(sdxl, clip, "fact", ours[1:], theirs[1:], QUICK).pictures([range(1, 2)], [7])
    assert (together[1, 1, 1].int() - alone[0, 0, 0].int()).abs().max() <= 1
    assert not torch.equal(together[0], together[1])


def test_guidance_one_has_no_unconditional_branch(deep: Model, eye: Eye) -> None:
    config = LocoGenConfig(seeds=(0,), steps=2, guidance=1.0, batch_size=4)
    painter = Painter(deep, eye(torch.zeros(3, 32, 32)), "style", OURS, THEIRS, config)
    painted = painter.pictures([range(DEPTH)], [0])[0]
    expected = generate(deep, THEIRS, [0], steps=2, guidance=1.0, batch_size=4, output_type="pt")
    assert (painted.int() - expected.int()).abs().max() <= 1
    assert painter.evaluations == 2


def test_model_is_left_as_it_was_also_after_an_exception(deep: Model, eye: Eye) -> None:
    clip, before = eye(torch.zeros(3, 32, 32)), fingerprint(deep)
    picture = generate(deep, OURS, [0], steps=1, batch_size=2, output_type="pt")

    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locogen(deep, clip, "style", OURS, THEIRS, QUICK, progress=stop)
    assert fingerprint(deep) == before
    assert torch.equal(generate(deep, OURS, [0], steps=1, batch_size=2, output_type="pt"), picture)


def test_direction_and_threshold_of_each_kind() -> None:
    scores = [20.0, 12.0, 25.0, 12.0]
    assert winner(KINDS["style"], scores) == winner(KINDS["object"], scores) == 1
    assert winner(KINDS["fact"], scores) == 2
    config = LocoGenConfig(share=0.5)
    assert goal_score(KINDS["style"], config, 30.0, 10.0) == 20.0
    assert goal_score(KINDS["fact"], config, 10.0, 30.0) == 20.0
    assert goal_score(KINDS["fact"], LocoGenConfig(threshold=3.0), 30.0, 10.0) == 3.0
    assert passes(KINDS["style"], 20.0, 20.0, 30.0)
    assert not passes(KINDS["style"], 20.1, 20.0, 30.0)
    assert not passes(KINDS["fact"], 30.0, 20.0, 30.0)
    assert [*map(list, windows_of(4, 3))] == [[0, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("colour", OURS, THEIRS, QUICK), EditError, "style, object, fact, got 'colour'"),
        (("style", OURS, THEIRS * 2, QUICK), PromptError, "got 2 and 1"),
        (("style", [], [], QUICK), PromptError, "got 0 and 0"),
        (("style", "a rose", "a cat", QUICK), PromptError, r"put it in \[\]"),
        (("style", OURS, [" "], QUICK), PromptError, "empty"),
        (("style", OURS, THEIRS, LocoGenConfig(window=5)), SiteError, "4 cross.*window 5"),
        (("style", OURS, THEIRS, LocoGenConfig(widest=9)), SiteError, "4 cross.*widest 9"),
    ],
)
def test_bad_calls_are_named_errors(
    sd1: Model, eye: Eye, arguments: Any, error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        locogen(sd1, eye(torch.zeros(3, 32, 32)), *arguments)


@pytest.mark.parametrize("wrong", [{"window": 0}, {"widest": 0}, {"share": 0.0}, {"seeds": ()}])
def test_bad_settings_are_named_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(EditError, match="expected"):
        LocoGenConfig(**wrong)
