"""Painting: a picture depends on its prompt and seed, and on nothing else that was painted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from overpaint.errors import ModelError, PromptError
from overpaint.generate import generate, sample
from overpaint.models.families import FLUX
from overpaint.models.hooks import record, replace_input
from overpaint.models.model import Model
from overpaint.models.sites import cross_attention_sites, module_at
from overpaint.models.text import encode

PROMPTS = ["a rose", "a blue rose", "two cats"]


def test_shape_and_type(sd1: Model) -> None:
    pictures = generate(sd1, PROMPTS, [0, 1], steps=2)
    assert pictures.shape == (3, 2, 3, 32, 32)
    assert pictures.dtype == torch.uint8
    assert pictures.float().std() > 1
    assert generate(sd1, ["a rose"], [0], steps=2, size=48).shape[-2:] == (48, 48)


def test_each_prompt_and_seed_gives_its_own_picture(toybox: Model) -> None:
    flat = generate(toybox, PROMPTS[:2], [0, 1], steps=3).flatten(0, 1)
    for i in range(4):
        for j in range(i):
            assert not torch.equal(flat[i], flat[j])


def test_a_picture_does_not_depend_on_its_batch(toybox: Model) -> None:
    """One batch and a half, permuted and alone: equal to the last byte."""
    seeds = [5, 3, 9]
    together = generate(toybox, PROMPTS, seeds, steps=4, batch_size=6)
    again = generate(toybox, PROMPTS[::-1], [3, 9, 5], steps=4, batch_size=6)
    assert torch.equal(again.flip(0), together[:, [1, 2, 0]])
    alone = generate(toybox, [PROMPTS[1]], [9], steps=4, batch_size=6)
    assert torch.equal(alone[0, 0], together[1, 2])


def test_same_call_same_pictures_without_touching_the_global_generator(sd1: Model) -> None:
    state = torch.get_rng_state()
    first = generate(sd1, PROMPTS, [0], steps=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(generate(sd1, PROMPTS, [0], steps=2), first)


@pytest.mark.parametrize(("name", "steps"), [("sd1", 5), ("sdxl", 3)])
def test_pictures_are_those_of_the_pipeline(
    request: pytest.FixtureRequest, name: str, steps: int
) -> None:
    """The reference: diffusers' own loop with the same scheduler and the same noise."""
    from diffusers import DPMSolverMultistepScheduler

    model: Model = request.getfixturevalue(name)
    ours = generate(model, ["a rose"], [3], steps=steps, guidance=4.0, batch_size=1)[0, 0]
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    pipeline = model.pipeline
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a rose", num_inference_steps=steps, guidance_scale=4.0, latents=noise, output_type="pt"
    ).images[0]
    assert (ours.float() - theirs * 255).abs().max() <= 1


def test_guidance_one_leaves_the_unconditional_branch_out(sd1: Model) -> None:
    conv: torch.nn.Module = sd1.denoiser.conv_in  # pyright: ignore
    rows = []
    for guidance in (1.0, 1.0001):
        with record(conv) as (inputs,):
            pictures = generate(sd1, ["a rose"], [0], steps=2, guidance=guidance, batch_size=3)
        rows.append((len(inputs[0]), pictures))
    assert (rows[0][0], rows[1][0]) == (3, 6)
    assert (rows[0][1].int() - rows[1][1].int()).abs().max() <= 1


def test_sample_paints_from_embeddings(sd1: Model) -> None:
    states = torch.cat([encode(sd1, [p]) for p in PROMPTS])
    assert torch.equal(
        sample(sd1, states, [0, 1], steps=2), generate(sd1, PROMPTS, [0, 1], steps=2)
    )
    swapped = sample(sd1, states[:1], [0], steps=2, unconditional=states[2])
    assert not torch.equal(swapped, generate(sd1, PROMPTS[:1], [0], steps=2))


def test_each_prompt_may_have_its_own_unconditional_embedding(sd1: Model) -> None:
    states = torch.cat([encode(sd1, [p]) for p in PROMPTS[:2]])
    away = torch.cat([encode(sd1, [p]) for p in ("", "two cats")])
    together = sample(sd1, states, [0, 1], steps=2, unconditional=away)
    for own, row, painted in zip(away, states, together, strict=True):
        alone = sample(sd1, row[None], [0, 1], steps=2, unconditional=own)
        assert torch.equal(painted[None], alone)


def test_layers_may_read_different_halves_of_a_longer_row(sd1: Model) -> None:
    """How a layer gets another prompt than the rest: both in one row, each takes its half."""
    rose, cats, empty = (encode(sd1, [p])[0] for p in ("a rose", "two cats", ""))
    both = torch.cat([rose, cats])[None]
    handles = [
        module_at(sd1, site).register_forward_pre_hook(lambda _, args: (args[0][:, 32:],))
        for site in cross_attention_sites(sd1)
    ]
    painted = sample(sd1, both, [0], steps=2, unconditional=torch.cat([empty, empty]))
    for handle in handles:
        handle.remove()
    assert torch.equal(painted, generate(sd1, ["two cats"], [0], steps=2))
    with replace_input(module_at(sd1, cross_attention_sites(sd1)[0]), torch.zeros_like):
        assert not torch.equal(painted, generate(sd1, ["two cats"], [0], steps=2))


def test_progress_counts_steps_of_all_batches(sd1: Model) -> None:
    seen: list[tuple[int, int, str]] = []
    generate(sd1, PROMPTS, [0], steps=3, batch_size=2, progress=lambda *a: seen.append(a))
    assert [done for done, _, _ in seen] == list(range(1, 7))
    assert {total for _, total, _ in seen} == {6}


def test_result_can_be_used_where_gradients_flow(sd1: Model) -> None:
    pictures = generate(sd1, ["a rose"], [0], steps=1)
    scale = torch.ones(1, requires_grad=True)
    (pictures.float() * scale).sum().backward()
    assert scale.grad is not None


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: generate(m, [], [0]), PromptError, "no prompts"),
        (lambda m: generate(m, ["a rose"], []), PromptError, "Expected prompts and seeds"),
        (lambda m: generate(m, "a rose", [0]), PromptError, r"put it in \[\]"),
        (lambda m: generate(m, ["a rose", " "], [0]), PromptError, "empty"),
        (lambda m: generate(m, ["rose " * 40], [0]), PromptError, "42 tokens"),
        (lambda m: generate(m, ["a rose"], [0], size=33), ModelError, "multiple of 2, got 33"),
        (lambda m: generate(m, ["a rose"], [0], steps=0), ModelError, "steps must be at least 1"),
        (
            lambda m: sample(m, torch.zeros(1, 5, 32), [0], unconditional=torch.zeros(4, 32)),
            ModelError,
            r"\[5, 32\] like the prompts', got \[4, 32\]",
        ),
    ],
)
def test_bad_calls_are_named_errors(
    sd1: Model, call: Callable[[Model], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(sd1)


def test_other_families_are_refused(sd1: Model, sdxl: Model) -> None:
    with pytest.raises(ModelError, match="FLUX is not written yet"):
        generate(Model(sd1.pipeline, FLUX, "flux"), ["a rose"], [0])
    with pytest.raises(ModelError, match="pooled_conditioning"):
        sample(sdxl, torch.zeros(1, 32, 64), [0])
