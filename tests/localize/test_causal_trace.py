"""Causal tracing: what is restored is the clean run's, and the effects are what that brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError
from overpaint.generate import generate
from overpaint.localize.causal_trace import (
    Trace,
    TraceConfig,
    corrupted,
    trace_denoiser,
    trace_text,
)
from overpaint.localize.score import clip_scores
from overpaint.models.clip import Clip
from overpaint.models.components import UNET_KINDS, denoiser_components, text_components
from overpaint.models.hooks import record, replace
from overpaint.models.model import Model
from overpaint.models.sampling import sample, sampling_for
from overpaint.models.text import encode
from overpaint.types import Sampling

from .conftest import READERS

PROMPT, SUBJECT = "a red rose in the park", "red rose"
CONFIG = TraceConfig(seeds=(0,), steps=2, batch_size=8)
Eye = Callable[[torch.Tensor], Clip]


@pytest.fixture
def clip(reader: Model, eye: Eye) -> Clip:
    return eye(generate(reader, [PROMPT], [0], steps=2, batch_size=8, output_type="pt")[0, 0])


def test_components_of_sd1_in_forward_order(deep: Model) -> None:
    parts = denoiser_components(deep)
    count = {kind: sum(part.kind == kind for part in parts) for kind in UNET_KINDS}
    assert count == dict(zip(UNET_KINDS, (22, 16, 16, 16), strict=True))
    assert [p.place for p in parts[:4]] == ["down 0.0"] * 4
    middle = [(p.place, p.kind) for p in parts if p.place.startswith("mid")]
    assert middle[0] == ("mid 0", "ResNet")
    assert middle[-1] == ("mid 1", "ResNet")
    assert len(text_components(deep)) == 4


def test_corruption_is_seeded_and_spares_what_comes_before(deep: Model) -> None:
    clean = encode(deep, [PROMPT])[0]["prompt_embeds"]
    states = []
    for seed in (0, 0, 1):
        with corrupted(deep, PROMPT, SUBJECT, seed, 3.0):
            states.append(encode(deep, [PROMPT])[0]["prompt_embeds"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert torch.equal(states[0][:, :2], clean[:, :2])  # start, "a"
    assert ((states[0] - clean)[0, 2:].abs().amax(-1) > 0).all()
    assert torch.equal(encode(deep, [PROMPT])[0]["prompt_embeds"], clean)


def test_only_readers_of_the_text_can_restore(reader: Model, clip: Clip) -> None:
    """Where the text enters at two layers only, no other cross-attention has any effect."""
    trace = trace_denoiser(reader, clip, [PROMPT], [SUBJECT], CONFIG)
    assert trace.clean == pytest.approx(100, abs=0.1)
    assert trace.corrupted < trace.clean - 1e-3
    cross = trace.effects[UNET_KINDS.index("cross-attention")]
    effects = cross[~cross.isnan()]
    assert len(effects) == 16
    blind = [layer for layer in range(16) if layer not in READERS]
    # They write nothing, so what they restore is nothing: the corrupted picture, to the last bit.
    assert effects[blind].abs().max() < 1e-4
    assert effects[list(READERS)].abs().max() > 1e-3
    assert trace.best[0] in UNET_KINDS


def test_an_effect_is_that_of_a_run_on_its_own(reader: Model, clip: Clip, eye: Eye) -> None:
    """The reference: record the clean run's outputs, then put them into a run of their own."""
    parts = denoiser_components(reader)
    part = next(p for p in parts if p.place == "up 2.1" and p.kind == "ResNet")
    alone = Sampling(batch_size=1).over(sampling_for(reader, CONFIG))
    (clean,) = encode(reader, [PROMPT], alone)
    with corrupted(reader, PROMPT, SUBJECT, 0, CONFIG.noise):
        (broken,) = encode(reader, [PROMPT])
    broken = broken.replace(**clean.negative)
    with record(part.module, outputs=True) as (kept,):
        sample(reader, [clean], [0], alone)
    calls = iter(kept)
    with replace(part.module, lambda _: next(calls)):
        restored = sample(reader, [broken], [0], alone)
    plain = sample(reader, [broken], [0], alone)
    scores = clip_scores(clip, torch.stack([restored, plain]), [PROMPT])[:, 0, 0]
    trace = trace_denoiser(reader, clip, [PROMPT], [SUBJECT], CONFIG)
    effect = trace.effects[UNET_KINDS.index("ResNet"), trace.columns.index("up 2.1")]
    assert float(effect) == pytest.approx(float(scores[0] - scores[1]), abs=0.02)


def test_text_encoder_by_layer_and_token(reader: Model, clip: Clip) -> None:
    attention, mlp = trace_text(reader, clip, PROMPT, SUBJECT, CONFIG)
    for trace in (attention, mlp):
        assert isinstance(trace, Trace)
        assert trace.rows == ("red", "rose", "in", "the", "park", "<|endoftext|>")
        assert trace.columns == ("0", "1")
        assert trace.effects.shape == (6, 2)
        assert trace.clean == pytest.approx(100, abs=0.1)
        assert trace.corrupted < trace.clean - 1e-3
        assert trace.effects.abs().max() > 0
    assert not torch.equal(attention.effects, mlp.effects)


def test_sdxl_traces(sdxl: Model, eye: Eye) -> None:
    clip = eye(generate(sdxl, [PROMPT], [0], steps=1, batch_size=8, output_type="pt")[0, 0])
    config = TraceConfig(seeds=(0,), steps=1, batch_size=8)
    seen: list[tuple[int, int, str]] = []
    trace = trace_denoiser(
        sdxl, clip, [PROMPT], [SUBJECT], config, progress=lambda *a: seen.append(a)
    )
    assert trace.clean == pytest.approx(100, abs=0.1)
    assert seen[-1][0] == seen[-1][1]
    first, _ = trace_text(sdxl, clip, PROMPT, SUBJECT, config, component="text_encoder_2")
    assert first.corrupted == pytest.approx(trace.corrupted, abs=0.05)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, c: trace_denoiser(m, c, [PROMPT], ["cat"]), PromptError, "'cat'"),
        (lambda m, c: trace_denoiser(m, c, [PROMPT], []), PromptError, "expected 1 subjects"),
        (lambda m, c: trace_denoiser(m, c, PROMPT), PromptError, "list of prompts"),
        (lambda m, c: trace_text(m, c, PROMPT, "cat"), PromptError, "'cat'"),
        (lambda m, c: TraceConfig(noise=0), EditError, "noise above 0"),
        (lambda m, c: TraceConfig(batch_size=1), EditError, "at least 2 pictures"),
    ],
)
def test_bad_calls_are_named_errors(
    sd1: Model, eye: Eye, call: Any, error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(sd1, eye(torch.zeros(3, 32, 32)))
