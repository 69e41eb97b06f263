"""What holds for every family: pictures are the pipeline's own, and rows are its tokens.

On tiny random pipelines of the true classes, with the weights of nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

import overpaint as op
import random_models
from overpaint.methods.registry import METHODS
from overpaint.models.families import FAMILIES, Family, Segment, TextPath, register
from overpaint.models.families.base import as_tensor
from overpaint.models.families.unets import key_value_layers
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.sites import module_at
from overpaint.models.text import (
    encode,
    is_cut,
    last_subject_token,
    prompt_tokens,
    subject_span,
    text_transformer,
    tokenize,
)
from overpaint.models.weights import written_out
from overpaint.types import Edit, Sampling
from random_models.registry import RECIPES

PROMPT, NEGATIVE = "a red rose", "a green cat"
SEED = 3

PLAIN = ("SD1", "SD1-rectangular", "SD2", "SDXL", "SDXL-upcast", "SDXL-turbo", "Playground-2.5",
         "SD3", "SD3-no-T5", "SD3.5", "PixArt-alpha", "PixArt-Sigma")  # fmt: skip
"""Random models with classifier-free guidance of scale ``guidance_scale``."""

STANDARD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "guidance 0": ({"guidance": 0.0}, {"guidance_scale": 0.0}),
    "guidance 1": ({"guidance": 1.0}, {"guidance_scale": 1.0}),
    "guided": ({"guidance": 4.0}, {"guidance_scale": 4.0}),
    "negative": (
        {"guidance": 4.0, "negative_prompt": NEGATIVE},
        {"guidance_scale": 4.0, "negative_prompt": NEGATIVE},
    ),
}
"""Settings of Overpaint, and what they are in the pipeline's own call."""

OTHERS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "LCM": {
        "default": ({}, {}),
        "guidance 0": ({"guidance": 0.0}, {"guidance_scale": 0.0}),
        "guided": ({"guidance": 8.0}, {"guidance_scale": 8.0}),
    },
    "FLUX-dev": {
        "default": ({}, {}),
        "guidance 0": ({"guidance": 0.0}, {"guidance_scale": 0.0}),
        "guidance 7": ({"guidance": 7.0}, {"guidance_scale": 7.0}),
        "true guidance": (
            {"guidance": 3.5, "true_cfg": 4.0, "negative_prompt": NEGATIVE},
            {"guidance_scale": 3.5, "true_cfg_scale": 4.0, "negative_prompt": NEGATIVE},
        ),
    },
    "FLUX-schnell": {
        "default": ({}, {}),
        "guidance 0": ({"guidance": 0.0}, {"true_cfg_scale": 0.0}),
        "negative": (
            {"guidance": 4.0, "negative_prompt": NEGATIVE},
            {"true_cfg_scale": 4.0, "negative_prompt": NEGATIVE},
        ),
    },
}

CASES = [(name, how) for name in PLAIN for how in STANDARD]
CASES += [(name, how) for name, known in OTHERS.items() for how in known]

GENERATING = tuple(
    name
    for name in random_models.NAMES
    if any(RECIPES[name].pipeline in family.pipelines for family in FAMILIES)
)
"""Random models that generate from text alone."""


def sampling_of(name: str, **settings: Any) -> Sampling:
    """Few steps, and the size of a small picture."""
    call = random_models.call_arguments(name)
    given = {"steps": call["num_inference_steps"], "batch_size": 1}
    given |= {side: call[side] for side in ("height", "width") if side in call}
    if "guidance_scale" in call:
        given["guidance"] = call["guidance_scale"]
    if "negative_prompt" in call:
        given["negative_prompt"] = call["negative_prompt"]
    return Sampling(**{**given, **settings})


def own_picture(name: str, pipeline: Any, prompt: str = PROMPT, **options: Any) -> Tensor:
    """The picture ``[3, H, W]`` of the pipeline's own call, in levels from 0 to 255."""
    call = {**random_models.call_arguments(name), **options}
    generator = torch.Generator().manual_seed(SEED)
    return as_tensor(pipeline(prompt=prompt, generator=generator, **call).images)[0].float() * 255


def our_picture(model: Model, sampling: Sampling, prompt: str = PROMPT) -> Tensor:
    """The same by Overpaint, ``[3, H, W]``."""
    return op.generate(model, prompt, [SEED], sampling, output_type="pt")[0, 0].float()


def test_every_family_has_a_random_model() -> None:
    built = {recipe.pipeline for recipe in RECIPES.values()}
    for family in FAMILIES:
        assert built & {*family.pipelines, *family.others}, family.name
        assert built & {*family.pipelines} or not family.pipelines, family.name


@pytest.mark.parametrize(("name", "how"), CASES)
def test_a_picture_is_that_of_the_pipelines_own_call(
    random_model: Callable[[str], Model], name: str, how: str
) -> None:
    model = random_model(name)
    ours, theirs = OTHERS.get(name, STANDARD)[how]
    expected = own_picture(name, model.pipeline, **theirs)
    found = our_picture(model, sampling_of(name, **ours))
    assert found.shape == expected.shape
    assert found.std() > 1
    assert (found - expected).abs().max() <= 1


@pytest.mark.parametrize("name", GENERATING)
def test_pictures_may_be_wider_than_high(random_model: Callable[[str], Model], name: str) -> None:
    model = random_model(name)
    size: dict[str, Any] = {"height": 64, "width": 128}
    expected = own_picture(name, model.pipeline, **size)
    found = our_picture(model, sampling_of(name, **size))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1


@pytest.mark.parametrize("name", ["SD1", "SD2", "SDXL", "SD3", "PixArt-Sigma"])
def test_guidance_and_negative_prompts_change_pictures(
    random_model: Callable[[str], Model], name: str
) -> None:
    found = [
        our_picture(random_model(name), sampling_of(name, **STANDARD[how][0]))
        for how in ("guidance 0", "guided", "negative")
    ]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("SD1", torch.float16),
        ("SDXL-upcast", torch.float16),
        ("SD1", torch.bfloat16),
        ("SDXL", torch.bfloat16),
        ("SD3", torch.bfloat16),
        ("FLUX-dev", torch.bfloat16),
        ("PixArt-Sigma", torch.bfloat16),
    ],
    ids=str,
)
def test_so_it_is_in_half_precision(name: str, dtype: torch.dtype) -> None:
    pipeline = random_models.build(name, dtype=dtype)
    guided: dict[str, Any] = {} if name == "FLUX-dev" else {"guidance_scale": 4.0}
    expected = own_picture(name, pipeline, **guided)
    sampling = sampling_of(name, **{"guidance": 4.0} if guided else {})
    found = our_picture(load(pipeline), sampling)
    assert found.std() > 1
    assert (found - expected).abs().max() <= 1


@pytest.mark.parametrize("name", ["SDXL", "SD3"])
def test_layers_of_clip_may_be_left_out(random_model: Callable[[str], Model], name: str) -> None:
    model = random_model(name)
    found = [our_picture(model, sampling_of(name, clip_skip=skip)) for skip in (None, 1)]
    assert not torch.equal(*found)
    assert (found[1] - own_picture(name, model.pipeline, clip_skip=1)).abs().max() <= 1


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_so_they_may_of_sd1_whatever_the_version_of_transformers(
    random_model: Callable[[str], Model], skip: int
) -> None:
    """The hidden states ``skip`` layers before the last, under the final norm.

    Of the negative prompt the pipeline reads the last ones nevertheless.
    """
    model = random_model("SD1")
    how = sampling_of("SD1", clip_skip=skip, guidance=4.0, negative_prompt=NEGATIVE)
    (found,) = encode(model, [PROMPT], how)
    tower: Any = text_transformer(model.component("text_encoder"))
    with torch.no_grad():
        for words, states, left_out in (
            (PROMPT, found["prompt_embeds"], skip),
            (NEGATIVE, found["negative_prompt_embeds"], 0),
        ):
            ids = tokenize(model, [words]).ids
            every = tower(ids, output_hidden_states=True).hidden_states
            torch.testing.assert_close(states, tower.final_layer_norm(every[-1 - left_out]))
    assert not hasattr(tower, "text_model")
    assert not torch.equal(our_picture(model, how), our_picture(model, sampling_of("SD1")))


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_a_picture_does_not_depend_on_its_batch(
    random_model: Callable[[str], Model], name: str
) -> None:
    """Bit for bit: of prompts of several lengths and seeds, each is the one that it is alone."""
    model, sampling = random_model(name), sampling_of(name, batch_size=2)
    prompts = ["a rose", "a blue rose on a table near the window", PROMPT]
    together = op.generate(model, prompts, [5, 6], sampling, output_type="pt")
    assert len({picture.numpy().tobytes() for row in together for picture in row}) == 6
    for number, seed in ((0, 6), (1, 5), (2, 6)):
        alone = op.generate(model, prompts[number], [seed], sampling, output_type="pt")[0, 0]
        assert torch.equal(alone, together[number, seed - 5])


# -- tokens and rows -----------------------------------------------------------------------------


class _Reached(Exception):
    """Ends a call of a pipeline once the prompt is encoded."""


def given_ids(model: Model, name: str, prompt: str) -> dict[str, list[int]]:
    """The token ids that the pipeline's own call feeds each text encoder first, of ``prompt``."""
    seen: dict[str, list[int]] = {}

    def keep(component: str) -> Callable[..., None]:
        def hook(_module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            ids = args[0] if args else kwargs["input_ids"]
            seen.setdefault(component, ids[0].tolist())

        return hook

    def stop(_module: Any, _args: Any, _kwargs: dict[str, Any]) -> None:
        raise _Reached

    with ExitStack() as stack:
        for component in model.text_encoders:
            handle = model.component(component).register_forward_pre_hook(
                keep(component), with_kwargs=True
            )
            stack.callback(handle.remove)
        handle = model.denoiser.register_forward_pre_hook(stop, with_kwargs=True)
        stack.callback(handle.remove)
        with pytest.raises(_Reached):
            model.pipeline(prompt=prompt, **random_models.call_arguments(name))
    return seen


def readers(model: Model) -> list[str]:
    """The text encoders whose tokens edits speak of: those of a path, and CLIP towers."""
    segments = [s.component for path in model.family.paths(model) for s in path.segments]
    return list(dict.fromkeys([*segments, *model.family.clip_encoders(model)]))


@pytest.mark.parametrize("length", ["short", "mixed", "long"])
@pytest.mark.parametrize("name", random_models.NAMES)
def test_tokens_are_those_that_the_pipeline_gives_its_text_encoders(
    random_model: Callable[[str], Model], name: str, length: str
) -> None:
    """Token ``i`` of a prompt stands where its row says, also where the prompt's end is cut off."""
    model = random_model(name)
    for component in readers(model):
        limit = model.family.max_length(model, component)
        prompt = {
            "short": PROMPT,
            "mixed": "A photo of a Rose, (red): canada's caf\u00e9",
            "long": "a rose and a cat in the park " * (limit // 6),
        }[length]
        assert is_cut(model, prompt, component) == (length == "long")
        ids = given_ids(model, name, prompt)[component]
        ids = ids[: limit + model.family.dropped(model, component)]  # some leave out rows later
        read = prompt_tokens(model, prompt, component)
        tokenizer, dropped = model.tokenizer(component), model.family.dropped(model, component)
        start = read.first + dropped
        expected = tokenizer.convert_tokens_to_ids(list(read.tokens))
        assert ids[start : start + len(expected)] == expected
        others = {*ids[:start], *ids[start + len(read.tokens) :]}
        assert len(others) <= 1  # nothing but padding
        assert read.length <= len(ids) - dropped
        if component in model.family.clip_encoders(model):
            assert tokenize(model, [prompt], component).ids[0].tolist() == ids


@pytest.mark.parametrize("name", GENERATING)
def test_a_subject_that_is_cut_off_is_an_error_and_any_other_is_not(
    random_model: Callable[[str], Model], name: str
) -> None:
    model = random_model(name)
    for component in readers(model):
        limit = model.family.max_length(model, component)
        long = f"a rose {'and a cat ' * (limit // 2)}"
        first, short = (
            subject_span(model, prompt, "rose", component).start
            - prompt_tokens(model, prompt, component).first
            for prompt in (long, "a rose and a cat")
        )
        assert first == short
        with pytest.raises(op.OverpaintError, match=f"{component} reads .*'tulip' is cut off"):
            last_subject_token(model, f"{long} tulip", "tulip", component)


def test_the_vectors_of_a_textual_inversion_are_tokens() -> None:
    """A word of three vectors stands for three tokens, all of which are its subject."""
    pipeline = random_models.build("SD1")
    width = pipeline.text_encoder.config.hidden_size
    pipeline.load_textual_inversion(torch.randn(3, width), token="<thing>")
    model, prompt = load(pipeline), "a photo of <thing> in the park"
    read = prompt_tokens(model, prompt)
    ids = given_ids(model, "SD1", prompt)["text_encoder"]
    assert model.pipeline.tokenizer.convert_ids_to_tokens(ids[: len(read.tokens)]) == [*read.tokens]
    assert tokenize(model, [prompt]).ids[0].tolist() == ids
    span = subject_span(model, prompt, "<thing>")
    assert [read.tokens[i] for i in span] == ["<thing>", "<thing>_1", "<thing>_2"]
    after = subject_span(model, prompt, "park")
    assert list(after) == [
        i + 2 for i in subject_span(model, "a photo of rose in the park", "park")
    ]
    found = our_picture(model, sampling_of("SD1"), prompt)
    assert (found - own_picture("SD1", pipeline, prompt)).abs().max() <= 1
    patch = op.time_edit(model, [Edit("a <thing>", "a blue <thing>")])
    assert any(delta.dense().norm() > 0 for delta in written_out(model, patch.deltas))


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_sites_read_what_the_family_says(random_model: Callable[[str], Model], name: str) -> None:
    """The rows without running the denoiser are those that its layers are given in a run."""
    model = random_model(name)
    prompts = [PROMPT, "a blue rose on a table near the window"]
    for path in model.family.paths(model):
        said = model.family.inputs(model, prompts, path)
        recorded = Family.inputs(model.family, model, prompts, path)
        assert len(said) == len(recorded) == len(path.groups)
        for one, other in zip(said, recorded, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_every_site_of_a_path_reads_the_same(
    random_model: Callable[[str], Model], name: str
) -> None:
    """What belongs to one group is one tensor for all of its sites, in a run of the pipeline."""
    model = random_model(name)
    for path in model.family.paths(model):
        (rows,) = model.family.inputs(model, [PROMPT], path)
        with _inputs_of(model, path.sites) as seen:
            model.pipeline(prompt=PROMPT, **random_models.call_arguments(name))
        assert all(any(_has(call, rows[0]) for call in calls) for calls in seen)


@contextmanager
def _inputs_of(model: Model, sites: Sequence[op.Site]) -> Iterator[list[list[Tensor]]]:
    """What each site is called with inside the ``with`` block."""
    seen: list[list[Tensor]] = [[] for _ in sites]
    with ExitStack() as stack:
        for site, calls in zip(sites, seen, strict=True):
            handle = module_at(model, site).register_forward_pre_hook(_keep_in(calls))
            stack.callback(handle.remove)
        yield seen


def _keep_in(calls: list[Tensor]) -> Callable[..., None]:
    def hook(_module: Any, args: Any) -> None:
        calls.append(args[0].detach())

    return hook


def _has(call: Tensor, rows: Tensor) -> bool:
    """Whether one row of the batch ``call`` is ``rows [L, d]``."""
    batch = call.unsqueeze(1) if call.dim() == 2 else call
    return any(row.shape == rows.shape and torch.allclose(row, rows, 1e-4, 1e-4) for row in batch)


# -- a family of one's own -----------------------------------------------------------------------


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    """``own(**attributes) -> Model`` of a family that is registered for this test."""
    from diffusers import StableDiffusionPipeline

    class MyPipeline(StableDiffusionPipeline):
        """Somebody's own pipeline."""

    class Mine(Family):
        """All that has to be said of it."""

        name = "Mine"
        pipelines = ("MyPipeline",)
        towers = ("text_encoder",)

        def paths(self, model: Model) -> tuple[TextPath, ...]:
            return (TextPath("sequence", key_value_layers(model), (Segment("text_encoder"),)),)

    def make(**attributes: Any) -> Model:
        register(type("Mine", (Mine,), attributes)())
        parts = random_models.build("SD1").components
        pipeline = MyPipeline(**parts, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        return load(pipeline)

    monkeypatch.setattr("overpaint.models.families.FAMILIES", list(FAMILIES))
    return make


QUICK: dict[str, Any] = {
    "layer": 1,
    "steps": 5,
    "contrast": 4,
    "learning_rate": 0.5,
    "covariance_weight": 0,
    "padding": False,
    "mentions": 0,
    "penalty": 0.0,
    "corpus": Corpus("few", tuple(f"a {n} {t}" for n in ("big", "old") for t in ("car", "cat"))),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_a_family_of_ones_own(own: Callable[..., Model], method: str) -> None:
    model = own()
    assert model.family.name == "Mine"
    config = METHODS[method].config
    known = {k: v for k, v in QUICK.items() if k in config.__dataclass_fields__}
    edit = Edit("a rose", "a blue rose")
    before = our_picture(model, sampling_of("SD1"), edit.source)
    assert (before - own_picture("SD1", model.pipeline, edit.source)).abs().max() <= 1
    patch = METHODS[method].function(model, [edit], config(**known))
    assert patch.family == "Mine"
    with op.applied(model, patch):
        after = our_picture(model, sampling_of("SD1"), edit.source)
        assert (after - own_picture("SD1", model.pipeline, edit.source)).abs().max() <= 1
    assert not torch.equal(before, after)
    assert torch.equal(our_picture(model, sampling_of("SD1"), edit.source), before)


def test_layers_that_read_rows_of_their_own_are_solved_one_by_one(
    own: Callable[..., Model],
) -> None:
    """Here they all read the same, so that the changes are those of layers solved together."""
    edit = Edit("a rose", "a blue rose")
    together = own()

    def paths(_self: Family, model: Model) -> tuple[TextPath, ...]:
        layers = key_value_layers(model)
        return (TextPath("sequence", layers, (Segment("text_encoder"),), shared=False),)

    apart = own(paths=paths)
    assert len(apart.family.path(apart, "sequence").groups) == 16
    for method in ("time", "uce", "locoedit"):
        one, other = (METHODS[method].function(model, [edit]) for model in (together, apart))
        pairs = zip(
            written_out(together, one.deltas), written_out(apart, other.deltas), strict=True
        )
        for a, b in pairs:
            assert a.site == b.site
            torch.testing.assert_close(a.dense(), b.dense(), rtol=1e-3, atol=1e-6)


def test_a_family_may_claim_pipelines_of_another(own: Callable[..., Model]) -> None:
    model = own(pipelines=("StableDiffusionPipeline",))
    assert model.family.name == "Mine"
    assert load(random_models.build("SD1")).family.name == "Mine"
