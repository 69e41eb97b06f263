"""What every family promises, on tiny random pipelines of the true classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import overpaint as op
import random_models
from overpaint.errors import ConfigError, ModelError
from overpaint.methods.diffquickfix import diffquickfix
from overpaint.methods.finetune import finetune
from overpaint.methods.locoedit import LocoEditConfig, locoedit
from overpaint.methods.mass import mass
from overpaint.methods.refact import refact
from overpaint.methods.subjects import subject_pairs
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.methods.uce import UCEConfig, uce
from overpaint.models.families.base import TextPath, as_tensor
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import empty_prompt, prompt_tokens, read_rows, subject_span
from overpaint.types import Edit, Patch, Sampling


@dataclass(frozen=True)
class Case:
    """A random model, and what is special about its family.

    Attributes:
        name: Name of the random model.
        guidance: The argument of the pipeline's call that scales guidance.
        scale: A scale at which guidance is on.
        negative: Whether there are negative prompts.
        default_negative: What must be given so that the pipeline's own call is guided.
        embedded_negative: Whether the pipeline's call takes negative prompts encoded only.
        generates: Whether it generates from text alone.
        functional: Paths whose projections the model reads by their weights, so that no hook runs.
        clip: Whether one of its text encoders is a CLIP.
    """

    name: str
    guidance: str = "guidance_scale"
    scale: float = 3.5
    negative: bool = True
    default_negative: str | None = None
    embedded_negative: bool = False
    generates: bool = True
    functional: tuple[str, ...] = ()
    clip: bool = False


CASES = (
    Case("SD3", clip=True),
    Case("FLUX-dev", negative=False, clip=True),
    Case("FLUX-schnell", guidance="true_cfg_scale", default_negative="", clip=True),
    Case("IF-I"),
    Case("IF-II", generates=False),
    Case("Kandinsky3"),
    Case("AuraFlow"),
    Case("Chroma"),
    Case("HunyuanDiT", functional=("pooling",)),
    Case("SANA"),
    Case("Lumina2"),
    Case("HiDream", clip=True),
    Case("Qwen-Image", guidance="true_cfg_scale", default_negative=" "),
    Case("Z-Image"),
    Case("FLUX2", negative=False),
    Case("FLUX2-klein", embedded_negative=True),
)
GENERATING = tuple(case for case in CASES if case.generates)
WITHOUT_CLIP = tuple(case for case in CASES if not case.clip)
PROMPT, OTHER = "a red rose", "a blue rose on a table near the window"
EDIT = Edit("a rose", "a blue tulip", subject="rose", destination="a blue rose")

all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
generating = pytest.mark.parametrize("case", GENERATING, ids=lambda case: case.name)


@cache
def model_of(name: str) -> Model:
    """A random model, shared by all tests: none may leave it changed."""
    return load(random_models.build(name))


def small(name: str, **settings: Any) -> Sampling:
    """Small pictures in few steps."""
    given = random_models.call_arguments(name)
    return Sampling(
        steps=given["num_inference_steps"],
        height=given.get("height"),
        width=given.get("width"),
        batch_size=1,
        **settings,
    )


def pictures(model: Model, prompts: Sequence[str], sampling: Sampling, seeds: int = 1) -> Tensor:
    """uint8 ``[n_prompts, seeds, 3, H, W]``."""
    return op.generate(model, prompts, range(seeds), sampling, output_type="pt")


def own_picture(
    case: Case,
    model: Model,
    seed: int,
    *,
    guidance: float | None = None,
    negative_prompt: str | None = None,
) -> Tensor:
    """What the pipeline's own call gives: uint8 ``[3, H, W]``."""
    given = random_models.call_arguments(case.name) | {"prompt": PROMPT, "output_type": "pil"}
    given.pop("negative_prompt", None)
    if guidance is not None:
        given[case.guidance] = guidance
    if negative_prompt is not None and case.embedded_negative:
        given["negative_prompt_embeds"] = model.pipeline.encode_prompt(negative_prompt)[0]
    elif negative_prompt is not None:
        given["negative_prompt"] = negative_prompt
    found = model.pipeline(**given, generator=torch.Generator("cpu").manual_seed(seed)).images
    return (as_tensor(found)[0] * 255).round().to(torch.uint8)


@contextmanager
def recording(model: Model, path: TextPath) -> Iterator[list[list[Tensor]]]:
    """What the first site of every group of ``path`` is called with."""
    seen: list[list[Tensor]] = [[] for _ in path.groups]

    def keep(number: int) -> Callable[..., None]:
        return lambda _module, args: seen[number].append(args[0].detach().clone())

    with ExitStack() as stack:
        for number, group in enumerate(path.groups):
            hook = module_at(model, group[0]).register_forward_pre_hook(keep(number))
            stack.callback(hook.remove)
        yield seen


def weights(model: Model) -> dict[str, Tensor]:
    """All weights of the denoiser and the text encoders."""
    parts = (model.family.denoiser, *model.text_encoders)
    return {
        f"{part}.{name}": value.clone()
        for part in parts
        for name, value in model.component(part).state_dict().items()
    }


def same_weights(model: Model, before: dict[str, Tensor]) -> bool:
    now = weights(model)
    return now.keys() == before.keys() and all(torch.equal(now[k], before[k]) for k in before)


# -- pictures ------------------------------------------------------------------------------------


@generating
def test_a_picture_is_the_one_that_the_pipeline_itself_generates(case: Case) -> None:
    model, seed = model_of(case.name), 3
    asked: list[dict[str, Any]] = [{}, {"guidance": 0.0}, {"guidance": case.scale}]
    if case.default_negative is not None:
        asked[2]["negative_prompt"] = case.default_negative
    if case.negative:
        asked.append({"guidance": case.scale, "negative_prompt": "a green cat"})
    found = []
    for settings in asked:
        sampling = small(case.name, **settings)
        (picture,) = op.generate(model, [PROMPT], [seed], sampling, output_type="pt")[0]
        expected = own_picture(case, model, seed, **settings)
        assert picture.shape == expected.shape
        assert (picture.int() - expected.int()).abs().max() <= 1, settings
        found.append(picture)
    assert not torch.equal(found[1], found[2]), "guidance changes nothing"
    if case.negative:
        assert not torch.equal(found[2], found[3]), "the negative prompt changes nothing"


@generating
def test_a_picture_does_not_depend_on_its_batch(case: Case) -> None:
    model = model_of(case.name)
    negative = {} if case.default_negative is None else {"negative_prompt": case.default_negative}
    sampling = replace(small(case.name, guidance=case.scale, **negative), batch_size=2)
    prompts = [PROMPT, OTHER, "a rose"]
    together = op.generate(model, prompts, [5, 6], sampling, output_type="pt")
    assert len({picture.numpy().tobytes() for row in together for picture in row}) == 6
    for row, prompt in zip(together, prompts, strict=True):
        for picture, seed in zip(row, (5, 6), strict=True):
            alone = op.generate(model, [prompt], [seed], sampling, output_type="pt")[0, 0]
            assert torch.equal(picture, alone)


def test_a_pipeline_that_needs_a_picture_says_so() -> None:
    for case in CASES:
        if not case.generates:
            with pytest.raises(ModelError, match="needs more than text"):
                pictures(model_of(case.name), [PROMPT], Sampling(steps=1))


@generating
def test_a_negative_prompt_that_nothing_reads_is_refused(case: Case) -> None:
    model = model_of(case.name)
    with pytest.raises(ConfigError, match="negative prompt"):
        pictures(model, [PROMPT], small(case.name, guidance=0.0, negative_prompt="a cat"))


# -- tokens and rows -----------------------------------------------------------------------------


def encoders_of(model: Model) -> tuple[str, ...]:
    """The text encoders whose tokens are rows of some path."""
    segments = [s.component for path in model.family.paths(model) for s in path.segments]
    return tuple(dict.fromkeys(segments))


@all_cases
@pytest.mark.parametrize("prompt", ["a red rose", "A photo of a Rose, red"])
def test_tokens_are_those_that_the_text_encoder_is_given(case: Case, prompt: str) -> None:
    model = model_of(case.name)
    for component in encoders_of(model):
        with _given_ids(model, component) as seen:
            model.family.encode(model, [prompt])
        ids, mask = seen[0]
        read = prompt_tokens(model, prompt, component)
        tokenizer = model.tokenizer(component)
        expected = tokenizer.convert_tokens_to_ids(list(read.tokens))
        real = ids[0][mask[0].bool()].tolist() if mask is not None else ids[0].tolist()
        assert real[: len(expected)] == expected
        assert mask is None or len(real) == len(expected)


@contextmanager
def _given_ids(model: Model, component: str) -> Iterator[list[tuple[Tensor, Tensor | None]]]:
    """Token ids and attention masks that a text encoder is called with."""
    seen: list[tuple[Tensor, Tensor | None]] = []

    def keep(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else kwargs["input_ids"]
        seen.append((ids, kwargs.get("attention_mask")))

    hook = model.component(component).register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@all_cases
def test_the_rows_of_a_word_are_those_that_its_tokens_become(case: Case) -> None:
    model, prompt = model_of(case.name), "a photo of a rose in the garden"
    for path in model.family.paths(model):
        clean = model.family.inputs(model, [prompt], path)
        for segment in path.segments:
            span = subject_span(model, prompt, "rose", segment.component)
            with _given_ids(model, segment.component) as seen:
                model.family.encode(model, [prompt])
            places = _places(model, seen[0][0][0], " rose", segment.component)
            assert len(places) == len(span)
            for place, row in zip(places, span, strict=True):
                with _disturbed(model, segment.component, place):
                    moved = model.family.inputs(model, [prompt], path)
                for before, after in zip(clean, moved, strict=True):
                    change = (after - before).float().norm(dim=-1)[0]
                    assert change.argmax() == segment.offset + row


def _places(model: Model, ids: Tensor, word: str, component: str) -> list[int]:
    """Where in ``ids`` the only occurrence of ``word`` stands, found by decoding runs of tokens."""
    tokenizer, length = model.tokenizer(component), len(ids)
    for size in range(1, 9):
        found = [
            list(range(start, start + size))
            for start in range(length - size + 1)
            if tokenizer.decode(ids[start : start + size]).strip() == word.strip()
        ]
        if found:
            return found[-1]
    raise AssertionError(f"{word!r} is not in {tokenizer.decode(ids)!r}")


@contextmanager
def _disturbed(model: Model, component: str, place: int) -> Iterator[None]:
    """Inside, the text encoder's output at token ``place`` is another one."""

    def disturb(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(disturb(item) for item in value)
        if isinstance(value, Tensor) and value.dim() == 3:
            value = value.clone()
            noise = torch.randn(value.shape[-1], generator=torch.Generator().manual_seed(0))
            value[:, place] += 10 * noise.to(value)
        return value

    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        for name in output.keys():
            output[name] = disturb(output[name])
        return output

    handle = model.component(component).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@all_cases
def test_the_empty_prompt_is_read_where_a_prompt_would_begin(case: Case) -> None:
    model = model_of(case.name)
    for path in model.family.paths(model):
        for segment in path.segments:
            read = empty_prompt(model, segment.component)
            states = model.family.inputs(model, [""], path)[0]
            assert 0 <= read.start_row < read.length <= states.shape[1]
            assert read.end_row < read.length


@all_cases
def test_sites_read_what_the_family_says(case: Case) -> None:
    model = model_of(case.name)
    for path in model.family.paths(model):
        expected = model.family.inputs(model, [PROMPT], path)
        assert len(expected) == len(path.groups)
        if path.name in case.functional:
            continue
        with recording(model, path) as seen:
            model.pipeline(prompt=PROMPT, **random_models.call_arguments(case.name))
        for mine, theirs in zip(expected, seen, strict=True):
            assert theirs, "the site was never called"
            assert any(_contains(call, mine[0]) for call in theirs)


def _contains(call: Tensor, rows: Tensor) -> bool:
    """Whether ``call`` has the ``rows [L, d]`` one after another."""
    flat = call.reshape(-1, call.shape[-1])
    size = len(rows)
    return any(
        torch.allclose(flat[start : start + size], rows, rtol=1e-4, atol=1e-4)
        for start in range(len(flat) - size + 1)
    )


@all_cases
def test_prompts_together_read_as_they_do_alone(case: Case) -> None:
    model = model_of(case.name)
    for path in model.family.paths(model):
        rows = range(2) if path.segments else range(1)
        together = read_rows(model, path, [(PROMPT, rows), (OTHER, rows)])
        alone = [read_rows(model, path, [(prompt, rows)]) for prompt in (PROMPT, OTHER)]
        for group, found in enumerate(together):
            expected = torch.cat([part[group] for part in alone])
            assert torch.allclose(found, expected, atol=1e-5)


# -- methods -------------------------------------------------------------------------------------

LAM = 1e-4
METHODS: dict[str, Callable[[Model], Patch]] = {
    "time": lambda m: time_edit(m, [EDIT], TIMEConfig(lam=LAM)),
    "time end": lambda m: time_edit(m, [EDIT], TIMEConfig(lam=LAM, end_only=True)),
    "uce": lambda m: uce(m, [EDIT], UCEConfig(lam=LAM, preserve=("a cat",))),
    "erase": lambda m: uce(m, [Edit("a rose", "")], UCEConfig(lam=LAM)),
    "locoedit": lambda m: locoedit(m, [EDIT], LocoEditConfig(lam_k=LAM, lam_v=LAM)),
}


@all_cases
@pytest.mark.parametrize("method", METHODS)
def test_an_edit_changes_pictures_and_comes_off_bit_for_bit(
    case: Case, method: str, tmp_path: Path
) -> None:
    model = model_of(case.name)
    before = weights(model)
    patch = METHODS[method](model)
    assert same_weights(model, before)
    assert patch.deltas
    again = op.load_patch(op.save_patch(patch, tmp_path / "patch.safetensors"))
    clean = painted(case, model)
    with op.applied(model, patch):
        fresh = weights(model)
    with op.applied(model, again):
        assert same_weights(model, fresh), "the file says something else than the patch"
        assert not same_weights(model, before)
        change = painted(case, model) - clean
    assert same_weights(model, before)
    assert change.abs().mean() > 0.05, "the picture stays"
    assert (painted(case, model) - clean).abs().max() == 0


def painted(case: Case, model: Model) -> Tensor:
    """A picture of the source as float levels, by the pipeline's own call where it needs more."""
    if case.generates:
        return pictures(model, ["a rose"], small(case.name))[0, 0].float()
    given = random_models.call_arguments(case.name)
    generator = torch.Generator("cpu").manual_seed(0)
    found = model.pipeline(prompt="a rose", generator=generator, output_type="pil", **given)
    return as_tensor(found.images)[0] * 255


@all_cases
def test_the_edited_sites_give_of_the_source_what_they_gave_of_the_target(case: Case) -> None:
    model, config = model_of(case.name), UCEConfig(lam=1e-7, templates=("{}",))
    patch = uce(model, [EDIT], config)
    for path in model.family.paths(model):
        pairs = subject_pairs(model, [EDIT], config.templates, path, bare=True)
        sources = read_rows(model, path, [(p.source, p.here) for p in pairs])
        wanted = read_rows(model, path, [(p.target, p.there) for p in pairs])
        for sites, source, target in zip(path.groups, sources, wanted, strict=True):
            for site in sites:
                weight = module_at(model, site).weight.detach().clone()
                with op.applied(model, patch):
                    edited = module_at(model, site).weight.detach().clone()
                goal = target @ weight.T
                left = (source @ edited.T - goal).norm()
                moved = (source @ weight.T - goal).norm()
                assert left < 0.01 * moved, site.name


@pytest.mark.parametrize("case", WITHOUT_CLIP, ids=lambda case: case.name)
def test_methods_for_clip_say_what_works_instead(case: Case) -> None:
    model = model_of(case.name)
    assert not model.family.clip_encoders(model)
    for method in (refact, mass, finetune, diffquickfix):
        with pytest.raises(ModelError, match="use time, uce or locoedit"):
            method(model, [EDIT])
