"""Causal tracing: what is restored is the clean run's, and the effects are what that brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import torch

import random_models
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
from overpaint.models.components import (
    KINDS,
    UNET_KINDS,
    Component,
    denoiser_components,
    text_components,
)
from overpaint.models.hooks import record, replace
from overpaint.models.load import load
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


OTHERS = ("IF-I", "PixArt-Sigma", "SANA", "HunyuanDiT", "SD3.5", "FLUX-dev", "FLUX2-klein")
OTHERS = (*OTHERS, "Chroma", "AuraFlow", "Qwen-Image", "Lumina2", "Z-Image", "HiDream")


def small(name: str) -> tuple[Model, TraceConfig]:
    """A random model, and how to trace it with small pictures."""
    options: dict[str, Any] = {"sample_size": 8} if name == "PixArt-Sigma" else {}
    model = load(random_models.build(name, **options))
    call = random_models.call_arguments(name)
    size = {side: call[side] for side in ("height", "width") if side in call}
    steps = model.family.fewest_steps(model.pipeline)
    return model, TraceConfig(seeds=(0,), steps=steps, batch_size=6, **size)


@pytest.mark.parametrize("name", OTHERS)
def test_a_part_of_any_family_is_restored_to_the_clean_run(name: str, judge: Clip) -> None:
    """The last part of each kind; the reference puts what was recorded into a run of its own."""
    model, config = small(name)
    how = Sampling(batch_size=1).over(sampling_for(model, config))
    (clean,) = encode(model, [PROMPT], how)
    with corrupted(model, PROMPT, SUBJECT, 0, config.noise):
        (broken,) = encode(model, [PROMPT])
    broken = broken.replace(**clean.negative)
    last = {part.kind: part for part in denoiser_components(model)}
    with recorded(last.values()) as kept:
        pictures = [sample(model, [clean], [0], how)]
    pictures.append(sample(model, [broken], [0], how))
    ends = clip_scores(judge, torch.stack(pictures), [PROMPT])[:, 0, 0]
    trace = trace_denoiser(model, judge, [PROMPT], [SUBJECT], config)
    assert trace.rows == tuple(kind for kind in KINDS if kind in last)
    assert trace.clean == pytest.approx(float(ends[0]), abs=0.05)
    assert trace.corrupted == pytest.approx(float(ends[1]), abs=0.05)
    assert abs(trace.clean - trace.corrupted) > 0.05
    for kind, part in last.items():
        calls = iter(kept[part])
        with replace(part.module, lambda _, calls=calls: next(calls), part.output):
            restored = sample(model, [broken], [0], how)
        score = float(clip_scores(judge, restored, [PROMPT])[0, 0])
        effect = trace.effects[trace.rows.index(kind), trace.columns.index(part.place)]
        assert float(effect) == pytest.approx(score - trace.corrupted, abs=0.05), kind


@contextmanager
def recorded(parts: Iterable[Component]) -> Iterator[dict[Component, list[torch.Tensor]]]:
    """What each part gives, call by call."""
    kept: dict[Component, list[torch.Tensor]] = {part: [] for part in parts}

    def keep(part: Component, output: torch.Tensor) -> torch.Tensor:
        kept[part].append(output.clone())
        return output

    with ExitStack() as stack:
        for part in kept:
            change = partial(keep, part)
            stack.enter_context(replace(part.module, change, part.output))
        yield kept


@pytest.mark.parametrize(
    ("name", "component", "rows"),
    [
        ("PixArt-Sigma", "text_encoder", ("a", "red", "rose", "</s>")),
        ("SD3", "text_encoder_3", ("a", "red", "rose", "</s>")),
        ("HunyuanDiT", "text_encoder", ("[CLS]", "a", "red", "rose", "[SEP]")),
        ("SANA", "text_encoder", ("rose",)),
        ("Qwen-Image", "text_encoder", ("rose", "<|im_end|>")),
        ("HiDream", "text_encoder_4", ("rose",)),
    ],
)
def test_text_encoders_of_all_kinds(
    name: str, component: str, rows: tuple[str, ...], judge: Clip
) -> None:
    """T5 and BERT see all tokens; language models, like CLIP, only those before."""
    model, config = small(name)
    maps = trace_text(model, judge, "a red rose", "rose", config, component=component)
    layers = len(text_components(model, component)) // 2
    for trace in maps:
        assert trace.rows[: len(rows)] == rows
        assert trace.columns == tuple(str(layer) for layer in range(layers))
        assert trace.effects.shape == (len(trace.rows), layers)
        assert trace.effects.isfinite().all()
        assert trace.effects.abs().max() > 0
    assert maps[0].corrupted != maps[0].clean


def test_text_is_traced_in_batches_of_bounded_size(
    reader: Model, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trace_text(reader, clip, PROMPT, SUBJECT, CONFIG)
    monkeypatch.setattr("overpaint.localize.causal_trace.TOGETHER", 5 * 32)
    parts = trace_text(reader, clip, PROMPT, SUBJECT, CONFIG)
    for one, other in zip(whole, parts, strict=True):
        assert one.clean == other.clean
        torch.testing.assert_close(one.effects, other.effects, rtol=0, atol=0.01)


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
