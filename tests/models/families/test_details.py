"""What is particular to single families."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import overpaint as op
import random_models
from overpaint.errors import ConfigError, ModelError, PatchError
from overpaint.methods.diffquickfix import DiffQuickFixConfig, diffquickfix
from overpaint.methods.finetune import FinetuneConfig, finetune
from overpaint.methods.mass import MassConfig, mass
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.methods.uce import UCEConfig, uce
from overpaint.models.families.base import as_tensor, chat
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.text import align, empty_prompt, prompt_tokens
from overpaint.types import Edit, Patch

EDIT = Edit("a rose", "a blue tulip", subject="rose", destination="a blue rose")
SHORT: dict[str, Any] = {"layer": 1, "learning_rate": 0.5, "contrast": 4}
CLIP_METHODS: dict[str, Callable[[Model], Patch]] = {
    "refact": lambda m: refact(m, [EDIT], ReFACTConfig(steps=3, covariance_weight=0, **SHORT)),
    "mass": lambda m: mass(
        m,
        [EDIT],
        MassConfig(steps=3, covariance_weight=0, padding=False, mentions=0, lam=0.01, **SHORT),
    ),
    "finetune": lambda m: finetune(m, [EDIT], FinetuneConfig(epochs=2, penalty=0, **SHORT)),
    "diffquickfix": lambda m: diffquickfix(m, [EDIT], DiffQuickFixConfig()),
}


def made(name: str, **options: Any) -> Model:
    return load(random_models.build(name, **options))


def calls(name: str) -> dict[str, Any]:
    return random_models.call_arguments(name)


def own(pipeline: Any, name: str, prompt: str, seed: int = 3, **options: Any) -> Tensor:
    """The pipeline's own picture: uint8 ``[3, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    given = {"output_type": "pil", **calls(name), **options}
    found = pipeline(prompt=prompt, generator=generator, **given).images
    return (as_tensor(found)[0] * 255).round().to(torch.uint8)


def ours(model: Model, name: str, prompt: str, seed: int = 3, **settings: Any) -> Tensor:
    """Overpaint's picture: uint8 ``[3, H, W]``."""
    given = calls(name)
    sizes = {k: given[k] for k in ("height", "width") if k in given}
    how = {"steps": given["num_inference_steps"], **sizes, **settings}
    return op.generate(model, [prompt], [seed], output_type="pt", **how)[0, 0]


# -- number formats ------------------------------------------------------------------------------

FORMATS = [
    (name, dtype)
    for name in ("IF-I", "Kandinsky3", "HunyuanDiT", "SANA", "HiDream", "Qwen-Image", "Z-Image")
    for dtype in (torch.float16, torch.bfloat16)
]


@pytest.mark.parametrize(("name", "dtype"), FORMATS, ids=lambda v: str(v).removeprefix("torch."))
def test_half_precision_gives_the_pipelines_own_picture_and_takes_edits(
    name: str, dtype: torch.dtype
) -> None:
    model = made(name, dtype=dtype)
    assert model.dtype == dtype
    negative = calls(name).get("negative_prompt")
    picture = ours(model, name, "a rose", negative_prompt=negative)
    difference = picture.int() - own(model.pipeline, name, "a rose").int()
    assert difference.abs().max() <= 1
    patch = time_edit(model, [EDIT], TIMEConfig(lam=1e-3))
    with op.applied(model, patch):
        assert not torch.equal(ours(model, name, "a rose", negative_prompt=negative), picture)
    assert torch.equal(ours(model, name, "a rose", negative_prompt=negative), picture)


# -- DeepFloyd IF --------------------------------------------------------------------------------


def test_the_second_stage_of_if_is_edited_too() -> None:
    first, second = made("IF-I"), made("IF-II")
    small = first.pipeline(prompt="a rose", output_type="pt", **calls("IF-I")).images
    clean = own(second.pipeline, "IF-II", "a rose", image=small)
    with op.applied(second, uce(second, [EDIT], UCEConfig(lam=1e-4))):
        edited = own(second.pipeline, "IF-II", "a rose", image=small)
    assert (edited.float() - clean.float()).abs().mean() > 0.05
    assert torch.equal(own(second.pipeline, "IF-II", "a rose", image=small), clean)


def test_pictures_of_if_have_its_watermark() -> None:
    from diffusers.pipelines.deepfloyd_if import IFWatermarker

    model = made("IF-I", sample_size=64)
    plain = ours(model, "IF-I", "a rose")
    mark = IFWatermarker()
    mark.watermark_image += 255
    model.pipeline.watermarker = mark
    marked = ours(model, "IF-I", "a rose")
    assert not torch.equal(marked, plain)
    assert torch.equal(marked, own(model.pipeline, "IF-I", "a rose"))


def test_if_without_the_pooling_of_text_has_one_path() -> None:
    model = made("IF-I", addition_embed_type=None)
    assert [path.name for path in model.family.paths(model)] == ["sequence"]


# -- HunyuanDiT ----------------------------------------------------------------------------------


def test_what_the_pooling_of_hunyuandit_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("HunyuanDiT")
    path = model.family.path(model, "pooling")
    expected = model.family.inputs(model, ["a rose"], path)[0]
    seen: list[Tensor] = []
    attend = torch.nn.functional.multi_head_attention_forward

    def watched(**given: Any) -> Any:
        seen.append(given["key"])
        return attend(**given)

    monkeypatch.setattr("torch.nn.functional.multi_head_attention_forward", watched)
    own(model.pipeline, "HunyuanDiT", "a rose")
    rows = seen[0].transpose(0, 1)  # negative, positive
    assert torch.allclose(rows[1], expected[0], atol=1e-5)
    assert not torch.allclose(rows[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("path", ["sequence", "pooling"])
def test_one_path_of_hunyuandit_can_be_edited_alone(path: str) -> None:
    model = made("HunyuanDiT")
    patch = time_edit(model, [EDIT], TIMEConfig(lam=1e-3, paths=(path,)))
    sites = set(model.family.path(model, path).sites)
    assert {delta.site for delta in patch.deltas} == sites
    clean = ours(model, "HunyuanDiT", "a rose")
    with op.applied(model, patch):
        assert not torch.equal(ours(model, "HunyuanDiT", "a rose"), clean)


# -- HiDream -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CLIP_METHODS)
def test_both_clips_of_hidream_can_be_edited(method: str) -> None:
    model = made("HiDream")
    patch = CLIP_METHODS[method](model)
    assert {delta.site.component for delta in patch.deltas} == {"text_encoder", "text_encoder_2"}
    clean = model.family.encode(model, ["a rose"])
    with op.applied(model, patch):
        edited = model.family.encode(model, ["a rose"])
    moved = (edited["pooled_prompt_embeds"] - clean["pooled_prompt_embeds"]).abs().max()
    assert moved > 0
    assert torch.equal(edited["prompt_embeds_t5"], clean["prompt_embeds_t5"])
    again = model.family.encode(model, ["a rose"])
    assert torch.equal(again["pooled_prompt_embeds"], clean["pooled_prompt_embeds"])


def test_loras_of_hidream_are_of_its_transformer_alone(tmp_path: Path) -> None:
    model = made("HiDream")
    with pytest.raises(PatchError, match="text_encoder"):
        op.export_lora(CLIP_METHODS["diffquickfix"](model), tmp_path / "a.safetensors", model=model)
    patch = time_edit(model, [EDIT], TIMEConfig(lam=1e-3))
    assert op.export_lora(patch, tmp_path / "b.safetensors", model=model).is_file()


def test_each_projection_of_hidream_is_given_another_layer_of_llama() -> None:
    model = made("HiDream")
    states = model.family.inputs(model, ["a rose"], model.family.path(model, "sequence"))
    layers = list(model.denoiser.config.llama_layers)  # type: ignore[union-attr]
    assert len(states) == len(layers)
    for a in range(len(layers)):
        for b in range(a):
            assert torch.equal(states[a], states[b]) == (layers[a] == layers[b])


@pytest.mark.parametrize(("shift", "steps"), [(6.0, 28), (3.0, 16)])
def test_distilled_hidream_is_told_by_its_scheduler(shift: float, steps: int) -> None:
    from diffusers import FlowMatchLCMScheduler

    model = made("HiDream")
    assert model.family.defaults(model.pipeline).guidance == 5.0
    model.pipeline.scheduler = FlowMatchLCMScheduler(shift=shift)
    found = model.family.defaults(model.pipeline)
    assert (found.steps, found.guidance) == (steps, 0.0)


# -- parts that are missing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "missing"), [("HunyuanDiT", "text_encoder_2"), ("HiDream", "text_encoder_4")]
)
def test_a_text_encoder_that_is_missing_is_named(name: str, missing: str) -> None:
    pipeline = random_models.build(name)
    setattr(pipeline, missing, None)
    model = load(pipeline)
    assert missing not in model.text_encoders
    with pytest.raises(ModelError, match=f"without.*{missing}"):
        time_edit(model, [EDIT])
    with pytest.raises(ModelError, match=f"without.*{missing}"):
        ours(model, name, "a rose")


# -- relatives -----------------------------------------------------------------------------------


def test_guidance_by_perturbed_attention_is_the_pipelines_own() -> None:
    from diffusers import HunyuanDiTPAGPipeline

    plain = random_models.build("HunyuanDiT")
    pipeline = HunyuanDiTPAGPipeline(
        **plain.components, requires_safety_checker=False, pag_applied_layers="blocks.1"
    )
    pipeline.set_progress_bar_config(disable=True)
    model = load(pipeline)
    assert model.family.name == "HunyuanDiT"
    picture = ours(model, "HunyuanDiT", "a rose")
    assert torch.equal(picture, own(pipeline, "HunyuanDiT", "a rose"))
    assert not torch.equal(picture, own(plain, "HunyuanDiT", "a rose"))


def sprint() -> Model:
    """A random SANA-Sprint: SANA with guidance as an input and another scheduler."""
    from diffusers import SanaSprintPipeline, SCMScheduler

    parts = dict(random_models.build("SANA", guidance_embeds=True, qk_norm=None).components)
    parts["scheduler"] = SCMScheduler()
    pipeline = SanaSprintPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return load(pipeline)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_sana_sprint_generates_and_is_edited(steps: int) -> None:
    model = sprint()
    assert model.family.name == "SANA-Sprint"
    middle = {} if steps == 2 else {"intermediate_timesteps": None}
    given = {"num_inference_steps": steps, **middle}
    clean = ours(model, "SANA", "a rose", steps=steps)
    assert torch.equal(clean, own(model.pipeline, "SANA", "a rose", **given))
    with op.applied(model, time_edit(model, [EDIT], TIMEConfig(lam=1e-3))):
        assert not torch.equal(ours(model, "SANA", "a rose", steps=steps), clean)
    with pytest.raises(ConfigError, match="distilled"):
        ours(model, "SANA", "a rose", steps=steps, negative_prompt="a cat")


def test_distilled_klein_has_four_steps_and_no_guidance() -> None:
    model = made("FLUX2-klein")
    assert model.family.defaults(model.pipeline).steps == 50
    model.pipeline.register_to_config(is_distilled=True)
    assert model.family.defaults(model.pipeline).steps == 4
    with pytest.raises(ConfigError, match="negative prompt"):
        ours(model, "FLUX2-klein", "a rose", guidance=4.0, negative_prompt="a cat")


OTHERS = (
    ("Chroma", "ChromaImg2ImgPipeline", {"strength": 0.9}),
    ("IF-I", "IFImg2ImgPipeline", {"strength": 0.9}),
    ("Kandinsky3", "Kandinsky3Img2ImgPipeline", {"strength": 0.9}),
    ("Qwen-Image", "QwenImageImg2ImgPipeline", {"strength": 0.9}),
    ("Z-Image", "ZImageImg2ImgPipeline", {"strength": 0.9}),
)


@pytest.mark.parametrize(("name", "relative", "options"), OTHERS, ids=lambda v: str(v))
def test_a_pipeline_that_starts_from_a_picture_can_be_edited(
    name: str, relative: str, options: dict[str, Any]
) -> None:
    import diffusers

    pipeline = getattr(diffusers, relative)(**random_models.build(name).components)
    pipeline.set_progress_bar_config(disable=True)
    model = load(pipeline)
    assert type(model.family) is type(made(name).family)
    with pytest.raises(ModelError, match="needs more than text"):
        ours(model, name, "a rose")
    start = Image.effect_noise((64, 64), 64).convert("RGB")
    size = {"height": 64, "width": 64} if "height" in calls(name) else {}
    given = {"image": start, "num_inference_steps": 4, **size, **options}
    takes = inspect.signature(pipeline.__call__).parameters

    def picture() -> Tensor:
        generator = torch.Generator().manual_seed(3)
        known = {key: value for key, value in given.items() if key in takes}
        found = pipeline(prompt="a rose", generator=generator, output_type="pil", **known).images
        return (as_tensor(found)[0] * 255).round()

    clean = picture()
    with op.applied(model, uce(model, [EDIT], UCEConfig(lam=1e-4))):
        assert (picture() - clean).abs().mean() > 0.05
    assert torch.equal(picture(), clean)


# -- prompts -------------------------------------------------------------------------------------

CHATS = ("FLUX2", "FLUX2-klein", "Lumina2", "Qwen-Image", "SANA", "Z-Image")


@pytest.mark.parametrize("name", CHATS)
def test_a_word_of_the_template_is_no_word_of_the_prompt(name: str) -> None:
    model = made(name)
    read = prompt_tokens(model, "an image of a user")
    words = [word for word in dict.fromkeys(read.words) if word is not None]
    assert len(words) == 5
    inside = [range_ for range_, word in zip(read.offsets, read.words, strict=True) if word]
    assert {"an image of a user"[a:b].strip() for a, b in inside} >= {"of", "a"}


@pytest.mark.parametrize("name", CHATS)
def test_the_empty_prompt_is_the_template_alone(name: str) -> None:
    model = made(name)
    family, encoder = model.family, model.component("text_encoder")
    seen: list[Tensor] = []

    def keep(_module: Any, args: Any, given: dict[str, Any]) -> None:
        ids = args[0] if args else given["input_ids"]
        seen.append(ids[0][given["attention_mask"][0].bool()])

    hook = encoder.register_forward_pre_hook(keep, with_kwargs=True)
    family.encode(model, [""])
    hook.remove()
    read = empty_prompt(model)
    ids = model.tokenizer("text_encoder").convert_tokens_to_ids(list(read.tokens))
    # A tokenizer after SentencePiece may give the space that ends the template a token.
    assert seen[0].tolist()[: read.start_row + 1] == ids[: read.start_row + 1]


@pytest.mark.parametrize("name", ["AuraFlow", "Lumina2", "SANA"])
def test_words_of_a_tokenizer_that_does_not_split_them(name: str) -> None:
    model = made(name)
    read = prompt_tokens(model, "a rose, red and blue")
    words: dict[int, str] = {}
    for (a, b), word in zip(read.offsets, read.words, strict=True):
        if word is not None:
            words[word] = words.get(word, "") + read.prompt[a:b]
    assert [word.strip() for word in words.values()] == ["a", "rose", ",", "red", "and", "blue"]
    here, there = align(model, "a rose, red", "a blue rose, red")
    assert len(here) == len(there)
    assert any(a != b for a, b in zip(here, there, strict=True))


def test_a_chat_whose_system_prompt_has_the_words_of_the_prompt() -> None:
    def say(text: str) -> str:
        return f"<s>an image of a rose<user>{text.strip()}</s>"

    template = chat(say, " a rose ", special=False)
    assert template.before == "<s>an image of a rose<user>"
    assert template.prompt == "a rose"
    assert template.after == "</s>"
    assert template.text == say("a rose")


def test_long_prompts_are_cut_as_the_pipeline_cuts_them() -> None:
    model = made("IF-I")
    long = "a red rose " * 40
    read = prompt_tokens(model, long)
    assert len(read.tokens) == read.length == 77
    with pytest.raises(Exception, match=re.compile("77")):
        time_edit(model, [Edit(long + "and a tulip", long + "and a lily", subject="tulip")])


def test_masks_of_auraflow_are_small() -> None:
    model = made("AuraFlow")
    found = model.family.encode(model, ["a rose"], guided=True)
    assert found["prompt_attention_mask"].shape == found["prompt_embeds"].shape[:2]
    count = len(prompt_tokens(model, "a rose").tokens)
    assert int(found["prompt_attention_mask"].sum()) == count
