"""Generating: a picture depends on its prompt and seed, and on nothing else beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from overpaint.errors import ConfigError, ModelError, PromptError
from overpaint.generate import generate
from overpaint.models.card import Card
from overpaint.models.conditioning import Conditioning, join
from overpaint.models.hooks import record, replace_input
from overpaint.models.model import Model
from overpaint.models.sampling import checked_seeds, sample, sample_pairs, sampling_for
from overpaint.models.sites import module_at
from overpaint.models.text import encode
from overpaint.types import Sampling

PROMPTS = ["a rose", "a blue rose", "two cats"]
TWO = Sampling(steps=2)
GUIDED = Sampling(steps=2, guidance=7.5)


def pixels(model: Model, prompts: list[str], seeds: Any, **settings: Any) -> Tensor:
    """uint8 ``[n_prompts, n_seeds, 3, H, W]``."""
    return generate(model, prompts, seeds, output_type="pt", **settings)


def test_shape_and_type(sd1: Model) -> None:
    pictures = pixels(sd1, PROMPTS, [0, 1], steps=2)
    assert pictures.shape == (3, 2, 3, 32, 32)
    assert pictures.dtype == torch.uint8
    assert pictures.float().std() > 1


def test_pictures_are_pillows_unless_asked_otherwise(sd1: Model) -> None:
    found = generate(sd1, PROMPTS, [0, 1], steps=1)
    assert [len(row) for row in found] == [2, 2, 2]
    assert all(isinstance(picture, Image.Image) for row in found for picture in row)
    exact = pixels(sd1, PROMPTS, [0, 1], steps=1).permute(0, 1, 3, 4, 2).numpy()
    for row, levels in zip(found, exact, strict=True):
        for picture, own in zip(row, levels, strict=True):
            assert (np.asarray(picture) == own).all()


def test_one_prompt_and_a_number_of_seeds(sd1: Model) -> None:
    (row,) = generate(sd1, "a rose", 3, steps=1)
    assert row == generate(sd1, ["a rose"], range(3), steps=1)[0]
    assert generate(sd1, "a rose", steps=1) == [row[:1]]


@pytest.mark.parametrize(("height", "width"), [(48, 48), (48, 32), (16, 64)])
def test_pictures_may_have_any_size(sd1: Model, height: int, width: int) -> None:
    found = generate(sd1, "a rose", [0], Sampling(steps=1, height=height, width=width))
    assert found[0][0].size == (width, height)


def test_settings_go_over_the_sampling(sd1: Model) -> None:
    small = Sampling(steps=1, height=16, width=16)
    assert pixels(sd1, ["a rose"], [0], sampling=small, width=48).shape[-2:] == (16, 48)


def test_each_prompt_and_seed_gives_its_own_picture(toybox: Model) -> None:
    flat = pixels(toybox, PROMPTS[:2], [0, 1], steps=3).flatten(0, 1)
    for i in range(4):
        for j in range(i):
            assert not torch.equal(flat[i], flat[j])


def test_a_picture_does_not_depend_on_its_batch(toybox: Model) -> None:
    """One batch and a half, permuted and alone: equal to the last byte."""
    seeds = [5, 3, 9]
    together = pixels(toybox, PROMPTS, seeds, steps=4, batch_size=6)
    again = pixels(toybox, PROMPTS[::-1], [3, 9, 5], steps=4, batch_size=6)
    assert torch.equal(again.flip(0), together[:, [1, 2, 0]])
    alone = pixels(toybox, [PROMPTS[1]], [9], steps=4, batch_size=6)
    assert torch.equal(alone[0, 0], together[1, 2])


def test_pairs_are_some_of_all_pictures(sd1: Model) -> None:
    texts = encode(sd1, PROMPTS, GUIDED)
    every = sample(sd1, texts, [4, 7], GUIDED)
    chosen = [texts[2], texts[0], texts[2]]
    assert torch.equal(sample_pairs(sd1, chosen, [7, 4, 4], GUIDED), every[[2, 0, 2], [1, 0, 0]])


def test_same_call_same_pictures_without_touching_the_global_generator(sd1: Model) -> None:
    state = torch.get_rng_state()
    first = pixels(sd1, PROMPTS, [0], steps=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(pixels(sd1, PROMPTS, [0], steps=2), first)


def test_nothing_that_the_caller_holds_is_changed(sd1: Model) -> None:
    """The scheduler keeps its state, the pipeline its progress bar and configuration."""
    pipeline = sd1.pipeline
    pipeline.scheduler.set_timesteps(7)
    scheduler, config = pipeline.scheduler, dict(pipeline.config)
    steps = scheduler.timesteps.clone()
    names = set(vars(pipeline))
    generate(sd1, "a rose", steps=2, scheduler="DPMSolverMultistepScheduler")
    assert pipeline.scheduler is scheduler
    assert torch.equal(scheduler.timesteps, steps)
    assert dict(pipeline.config) == config
    assert set(vars(pipeline)) == names


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance_there_is_no_unconditional_branch(sd1: Model, guidance: float) -> None:
    conv: torch.nn.Module = sd1.denoiser.conv_in  # pyright: ignore
    rows = []
    for scale in (guidance, 1.0001):
        with record(conv) as (inputs,):
            pictures = pixels(sd1, ["a rose"], [0], steps=2, guidance=scale, batch_size=3)
        rows.append((len(inputs[0]), pictures))
    assert (rows[0][0], rows[1][0]) == (3, 6)
    assert (rows[0][1].int() - rows[1][1].int()).abs().max() <= 1


def test_a_negative_prompt_is_what_guidance_leads_away_from(sd1: Model) -> None:
    plain, without, other = (
        pixels(sd1, ["a rose"], [0], sampling=GUIDED, negative_prompt=negative)
        for negative in (None, "", "two cats")
    )
    assert torch.equal(plain, without)
    assert not torch.equal(plain, other)
    with pytest.raises(ConfigError, match="no effect without guidance above 1"):
        pixels(sd1, ["a rose"], [0], steps=1, guidance=1.0, negative_prompt="two cats")


def test_another_scheduler_on_the_models_noise_schedule(sd1: Model) -> None:
    from diffusers import EulerDiscreteScheduler

    ours = pixels(sd1, ["a rose"], [3], steps=3, scheduler="EulerDiscreteScheduler", batch_size=1)
    pipeline = sd1.pipeline
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(3)
    own = pipeline("a rose", num_inference_steps=3, generator=generator, output_type="pt").images
    assert (ours[0].float() - own * 255).abs().max() <= 1


def test_sampling_comes_from_the_caller_the_card_and_the_pipeline(sd1: Model) -> None:
    assert sampling_for(sd1) == Sampling(steps=50, guidance=7.5, batch_size=4)
    card = Card(steps=4, guidance=1.5, width=64)
    model = Model(sd1.pipeline, sd1.family, "with a card", card=card)
    found = sampling_for(model, Sampling(guidance=3.0))
    assert found == Sampling(steps=4, guidance=3.0, batch_size=4, width=64)


def test_sample_generates_from_embeddings(sd1: Model) -> None:
    texts = encode(sd1, PROMPTS, GUIDED)
    assert torch.equal(
        sample(sd1, texts, [0, 1], GUIDED), pixels(sd1, PROMPTS, [0, 1], sampling=GUIDED)
    )
    away = texts[0].replace(negative_prompt_embeds=texts[2]["prompt_embeds"])
    swapped = sample(sd1, [away], [0], GUIDED)
    wanted = pixels(sd1, PROMPTS[:1], [0], sampling=GUIDED, negative_prompt="two cats")
    assert torch.equal(swapped, wanted)


def test_each_prompt_may_have_its_own_unconditional_embedding(sd1: Model) -> None:
    how = [Sampling(negative_prompt=words).over(GUIDED) for words in ("", "two cats")]
    texts = [encode(sd1, [p], own)[0] for p, own in zip(PROMPTS, how, strict=False)]
    together = sample(sd1, texts, [0, 1], GUIDED)
    for text, painted in zip(texts, together, strict=True):
        assert torch.equal(painted[None], sample(sd1, [text], [0, 1], GUIDED))


def test_rows_of_several_lengths_are_generated_in_batches_of_their_own(sd1: Model) -> None:
    texts = encode(sd1, PROMPTS, GUIDED)
    longer = Conditioning({k: torch.cat([v, v], dim=1) for k, v in texts[1].tensors.items()})
    mixed = sample(sd1, [texts[0], longer, texts[2]], [0, 1], GUIDED)
    plain = sample(sd1, texts, [0, 1], GUIDED)
    assert torch.equal(mixed[[0, 2]], plain[[0, 2]])
    assert torch.equal(mixed[1:2], sample(sd1, [longer], [0, 1], GUIDED))


def test_layers_may_read_different_halves_of_a_longer_row(sd1: Model) -> None:
    """How a layer gets another prompt than the rest: both in one row, each takes its half."""
    rose, cats = encode(sd1, ["a rose", "two cats"], GUIDED)
    both = Conditioning({k: torch.cat([v, cats[k]], dim=1) for k, v in rose.tensors.items()})
    sites = sd1.family.path(sd1, "sequence").sites
    handles = [
        module_at(sd1, site).register_forward_pre_hook(lambda _, args: (args[0][:, 32:],))
        for site in sites
    ]
    painted = sample(sd1, [both], [0], GUIDED)
    for handle in handles:
        handle.remove()
    assert torch.equal(painted, pixels(sd1, ["two cats"], [0], sampling=GUIDED))
    with replace_input(module_at(sd1, sites[0]), torch.zeros_like):
        assert not torch.equal(painted, pixels(sd1, ["two cats"], [0], sampling=GUIDED))


def test_interventions_are_told_who_is_in_each_batch(sd1: Model) -> None:
    seen: list[list[int]] = []
    inside = 0

    @contextmanager
    def around(numbers: Tensor) -> Iterator[None]:
        nonlocal inside
        seen.append(numbers.tolist())
        inside += 1
        yield
        inside -= 1

    how = Sampling(batch_size=4).over(GUIDED)
    texts = encode(sd1, PROMPTS, how)
    found = sample(sd1, texts, [0, 1], how, around=around)
    assert seen == [[0, 0, 1, 1], [2, 2, 2, 2]]
    assert inside == 0
    assert torch.equal(found, sample(sd1, texts, [0, 1], how))


def test_interventions_act_in_a_compiled_network(sd1: Model) -> None:
    """A compiled graph calls no hooks that came later, so that it is put aside meanwhile."""
    module = module_at(sd1, sd1.family.path(sd1, "sequence").sites[0])
    texts = encode(sd1, ["a rose"], TWO)
    plain = sample(sd1, texts, [0], TWO)

    def around(_: Tensor) -> Any:
        return replace_input(module, torch.zeros_like)

    wanted = sample(sd1, texts, [0], TWO, around=around)
    assert not torch.equal(plain, wanted)
    compiled = torch.compile(sd1.pipeline.unet, backend="eager")
    sd1.pipeline.unet = compiled
    assert torch.equal(sample(sd1, texts, [0], TWO, around=around), wanted)
    assert sd1.pipeline.unet is compiled
    assert torch.equal(sample(sd1, texts, [0], TWO), plain)


def test_progress_counts_steps_of_all_batches(sd1: Model) -> None:
    seen: list[tuple[int, int, str]] = []
    generate(sd1, PROMPTS, [0], steps=3, batch_size=2, progress=lambda *a: seen.append(a))
    assert [done for done, _, _ in seen] == list(range(1, 7))
    assert {total for _, total, _ in seen} == {6}


def test_result_can_be_used_where_gradients_flow(sd1: Model) -> None:
    pictures = pixels(sd1, ["a rose"], [0], steps=1)
    scale = torch.ones(1, requires_grad=True)
    (pictures.float() * scale).sum().backward()
    assert scale.grad is not None


def test_prompts_that_are_too_long_are_cut_as_the_pipeline_cuts_them(sd1: Model) -> None:
    long, cut = ("rose " * count for count in (40, 30))
    assert torch.equal(pixels(sd1, [long], [0], steps=1), pixels(sd1, [cut], [0], steps=1))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (3, [0, 1, 2]),
        (np.int64(2), [0, 1]),
        (range(2), [0, 1]),
        ([np.int64(5), 2**63 - 1], [5, 2**63 - 1]),
        (torch.tensor([1, 2]), [1, 2]),
        (np.array([4, 0]), [4, 0]),
    ],
)
def test_seeds_are_whole_numbers_of_any_kind(given: Any, wanted: list[int]) -> None:
    found = checked_seeds(given)
    assert found == wanted
    assert {type(seed) for seed in found} == {int}


@pytest.mark.parametrize(
    "seeds",
    [
        [-1],
        [2**63],
        [1.5],
        [True],
        ["1"],
        "12",
        [None],
        None,
        1.5,
        True,
        10**7,
        [[1]],
        torch.tensor([0.5]),
    ],
)
def test_other_seeds_are_named_errors(sd1: Model, seeds: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"expected (seeds as whole|a list of seeds or|at most 1,000,000)"
    ):
        checked_seeds(seeds)
    with pytest.raises(
        ConfigError, match=r"expected (seeds as whole|a list of seeds or|at most 1,000,000)"
    ):
        generate(sd1, "a rose", seeds)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: generate(m, [], [0]), PromptError, "no prompts"),
        (lambda m: generate(m, ["a rose"], []), ConfigError, "at least one seed"),
        (lambda m: generate(m, ["a rose"], 0), ConfigError, "at least one seed"),
        (lambda m: generate(m, ["a rose", " "], [0]), PromptError, "empty"),
        (
            lambda m: generate(m, ["a rose", 3], [0]),  # pyright: ignore
            PromptError,
            "prompts as text, got 3",
        ),
        (lambda m: generate(m, ["a rose"], [0], steps=0), ConfigError, "steps as a whole number"),
        (lambda m: generate(m, ["a rose"], [0], steps=2.5), ConfigError, "steps .* got 2.5"),
        (lambda m: generate(m, ["a rose"], [0], height=0), ConfigError, "height as a whole"),
        (lambda m: generate(m, ["a rose"], [0], batch_size=True), ConfigError, "batch_size"),
        (lambda m: generate(m, ["a rose"], [0], guidance=-1), ConfigError, "guidance as a number"),
        (
            lambda m: generate(m, ["a rose"], [0], guidance=float("nan")),
            ConfigError,
            "guidance as a number",
        ),
        (lambda m: generate(m, ["a rose"], [0], negative_prompt=3), ConfigError, "as text, got 3"),
        (lambda m: generate(m, ["a rose"], [0], size=32), ConfigError, "'size'.*Sampling"),
        (
            lambda m: generate(m, ["a rose"], [0], output_type="np"),  # pyright: ignore
            ConfigError,
            "'pil' or 'pt'",
        ),
        (
            lambda m: generate(m, ["a rose"], [0], scheduler="Nobody"),
            ConfigError,
            "diffusers scheduler, got 'Nobody'",
        ),
        (
            lambda m: generate(m, ["a rose"], [0], scheduler="UNet2DModel"),
            ConfigError,
            "diffusers scheduler, got 'UNet2DModel'",
        ),
        (
            lambda m: generate(m, ["a rose"], [0], scheduler="FlowMatchEulerDiscreteScheduler"),
            ConfigError,
            "scheduler that the pipeline .* got FlowMatchEulerDiscreteScheduler",
        ),
        (
            lambda m: generate(m, ["a rose"], [0], scheduler="UnCLIPScheduler"),
            ConfigError,
            "scheduler that the pipeline .* got UnCLIPScheduler",
        ),
        (
            lambda m: generate(m, ["a rose"], [0], steps=5000),
            ConfigError,
            "a number of steps .*5000",
        ),
        (lambda m: generate(m, ["a rose"], [0], clip_skip=4), ConfigError, "clip_skip from 0 to 1"),
        (lambda m: generate(m, ["a rose"], [0], true_cfg=3.0), ConfigError, "SD1 has no true_cfg"),
        (lambda m: sample(m, [], [0]), PromptError, "at least one prompt"),
        (
            lambda m: sample_pairs(m, encode(m, ["a rose"]), [0, 1]),
            PromptError,
            "a seed for each prompt, got 2 for 1",
        ),
    ],
)
def test_bad_calls_are_named_errors(
    sd1: Model, call: Callable[[Model], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(sd1)


def test_settings_may_be_numpys_numbers(sd1: Model) -> None:
    given = {"steps": np.int64(2), "guidance": np.float32(3), "height": np.int32(48), "width": 64}
    plain = generate(
        sd1, "a rose", [0], output_type="pt", steps=2, guidance=3.0, height=48, width=64
    )
    assert torch.equal(generate(sd1, "a rose", [0], output_type="pt", **given), plain)


def test_an_error_of_the_callers_own_is_not_taken_for_the_pipelines(sd1: Model) -> None:
    def stop(*_: object) -> None:
        raise ValueError("num_inference_steps: enough")

    with pytest.raises(ValueError, match="enough"):
        generate(sd1, "a rose", [0], steps=2, progress=stop)


def test_sizes_that_the_pipeline_refuses_are_named_errors(sd1: Model) -> None:
    with pytest.raises(ConfigError, match=r"size that the pipeline can make.*33 and 48"):
        generate(sd1, "a rose", [0], steps=1, height=33, width=48)
    with pytest.raises(ConfigError, match="height and width together, got height 48, width None"):
        generate(sd1, "a rose", [0], steps=1, height=48)


def test_pipelines_that_need_more_than_text_are_refused(sd1: Model) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    parts = {**sd1.pipeline.components, "requires_safety_checker": False}
    model = Model(StableDiffusionImg2ImgPipeline(**parts), sd1.family, "from pictures")
    assert len(encode(model, ["a rose"])) == 1  # it can be read and edited
    with pytest.raises(ModelError, match=r"Img2ImgPipeline needs more than text.*overpaint.apply"):
        generate(model, "a rose")


def test_conditionings_join_and_split(sd1: Model) -> None:
    texts = encode(sd1, PROMPTS, GUIDED)
    whole = join(texts)
    assert (len(whole), whole.guided) == (3, True)
    assert not whole.positive.guided
    for one, other in zip(whole.split(), texts, strict=True):
        assert one.layout == other.layout
        assert all(torch.equal(one[name], other[name]) for name in other.tensors)
    assert torch.equal(whole.rows([2, 0])["prompt_embeds"][1], texts[0]["prompt_embeds"][0])
