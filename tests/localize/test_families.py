"""LocoGen in every family, on tiny random pipelines of the true classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import random_models
from overpaint.errors import ModelError, PromptError, SiteError
from overpaint.localize.fast import FastConfig, changes_of, fast_locogen
from overpaint.localize.locogen import LocoGenConfig, windows_of
from overpaint.localize.painter import Painter
from overpaint.methods.locoedit import LocoEditConfig, locoedit
from overpaint.models.clip import Clip
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.sampling import sample
from overpaint.models.sites import submodule
from overpaint.models.text import encode
from overpaint.types import Edit, Localization

OURS = ["a red rose", "two dogs"]
THEIRS = ["a small blue house at night", "a cat"]
NO_CLIP: Any = None  # nothing here is scored


@dataclass(frozen=True)
class Case:
    """A random model, and what is special about it.

    Attributes:
        name: Name of the random model.
        guided: Whether there is a negative branch.
        joint: Whether text and picture attend to each other.
        settings: Further settings of the search.
        options: Options of the random model.
        pooling: Module of the denoiser through which the text acts apart from its layers.
    """

    name: str
    guided: bool = True
    joint: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    pooling: str = ""


CASES = (
    Case("SD1"),
    Case("SD2"),
    Case("SDXL"),
    Case("LCM", guided=False),
    Case("IF-I", pooling="add_embedding.proj"),
    Case("Kandinsky3", pooling="add_time_condition.attention.to_out.0"),
    Case("PixArt-alpha", options={"sample_size": 8, "use_additional_conditions": False}),
    Case("PixArt-Sigma", options={"sample_size": 8}),
    Case("SANA"),
    Case("HunyuanDiT", pooling="time_extra_emb.pooler.c_proj"),
    Case("SD3", joint=True),
    Case("SD3.5", joint=True),
    Case("FLUX-dev", joint=True, settings={"true_cfg": 3.0, "negative_prompt": "ugly"}),
    Case("FLUX-schnell", guided=False, joint=True),
    Case("FLUX2", guided=False, joint=True),
    Case("FLUX2-klein", joint=True),
    Case("Chroma", joint=True),
    Case("AuraFlow", joint=True),
    Case("Qwen-Image", joint=True, settings={"negative_prompt": "ugly"}),
    Case("Lumina2", joint=True),
    Case("Z-Image", joint=True),
    Case("HiDream", joint=True),
)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@cache
def model_of(case_name: str) -> Model:
    """A random model whose layers' texts make pictures; shared, so no test may change it."""
    case = case_of(case_name)
    model = load(random_models.build(case.name, **case.options))
    if case.pooling:
        module: Any = submodule(model.denoiser, case.pooling)
        for parameter in module.parameters():
            parameter.data.zero_()
    return model


def config_of(case: Case, batch_size: int = 4, **more: Any) -> LocoGenConfig:
    """Small pictures in two steps."""
    call = random_models.call_arguments(case.name)
    size = {side: call[side] for side in ("height", "width") if side in call}
    return LocoGenConfig(
        seeds=(0,), steps=2, batch_size=batch_size, **{**size, **case.settings, **more}
    )


def painter_of(case: Case, ours: list[str], theirs: list[str], **more: Any) -> Painter:
    return Painter(model_of(case.name), NO_CLIP, "style", ours, theirs, config_of(case, **more))


@contextmanager
def denoised(model: Model) -> Iterator[list[Tensor]]:
    """What the denoiser gives, call by call, with a row for each row it was given."""
    seen: list[Tensor] = []

    def keep(_module: Any, _args: Any, output: Any) -> None:
        rows = output[0] if isinstance(output, tuple) else next(iter(output.values()))
        seen.append(torch.stack(list(rows)).clone())

    handle = model.denoiser.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


@every_case
def test_no_layer_is_the_original_and_all_layers_are_the_target(case: Case) -> None:
    """Prompts of different length, in batches without fillers: every row is counted."""
    model = model_of(case.name)
    depth = len(model.family.text_layers(model))
    windows = [range(0), *windows_of(depth, 1)[-2:], range(depth)]
    batch = len(windows) + 2 if case.joint else 4
    with denoised(model) as seen:
        painter = painter_of(case, OURS, THEIRS, batch_size=batch)
        found = painter.pictures(windows, [3])[:, :, 0].int()
    assert painter.evaluations == sum(len(rows) for rows in seen)
    assert painter.texts.joint == case.joint
    how = painter.how
    original = sample(model, encode(model, OURS, how), [3], how)[:, 0].int()
    assert (found[0] - original).abs().max() <= 1
    if case.name == "Kandinsky3":  # whose negative prompt is cut to the prompt's length
        mixed = encode(model, THEIRS, how)
    else:
        pairs = zip(painter.ours.tolist(), painter.theirs.tolist(), strict=True)
        mixed = [painter.texts.mixed(ours, theirs) for ours, theirs in pairs]
    target = sample(model, mixed, [3], how)[:, 0].int()
    assert (found[-1] - target).abs().max() <= 1
    for prompt in range(len(OURS)):
        one = found[:, prompt].flatten(1)
        apart = [(a - b).abs().max() for i, a in enumerate(one) for b in one[:i]]
        assert min(apart) > 1, "two windows are alike"


@every_case
def test_only_conditional_rows_are_changed(case: Case) -> None:
    """In the first step, all rows but the window's own are what they were, to the last bit."""
    painter = painter_of(case, OURS[:1], THEIRS[:1], batch_size=3 if case.joint else 1)
    outputs = []
    for window in (range(0), range(painter.depth)):
        with denoised(painter.model) as seen:
            painter.pictures([window], [0])
        outputs.append(torch.cat(seen[: len(seen) // 2]))  # of two steps
    changed = (outputs[0] != outputs[1]).flatten(1).any(1)
    assert changed.sum() == 1
    assert len(changed) == (3 if case.joint else 1) * (1 + case.guided)


@every_case
def test_a_picture_does_not_depend_on_the_windows_beside_it(case: Case) -> None:
    painter = painter_of(case, OURS, THEIRS)
    windows = [range(1), range(1, 2), range(1, 3)]
    together = painter.pictures(windows, [0, 7]).int()
    alone = painter_of(case, OURS[1:], THEIRS[1:]).pictures(windows[1:2], [7]).int()
    assert (together[1, 1, 1] - alone[0, 0, 0]).abs().max() <= 1
    assert not torch.equal(together[1, 1, 0], together[1, 1, 1])


@every_case
def test_one_step_shows_which_windows_matter(case: Case) -> None:
    painter = painter_of(case, OURS[:1], THEIRS[:1], batch_size=8)
    windows = windows_of(painter.depth, 1)[:3]
    changes = changes_of(painter, windows)
    assert len(changes) == len(windows)
    assert min(changes) >= 0  # neither is NaN
    assert max(changes) > 0


@pytest.mark.parametrize("name", ["SD1", "PixArt-Sigma", "IF-I"])
def test_a_negative_prompt_that_is_the_prompt_is_refused(name: str) -> None:
    """The branches could not be told apart, and guidance would have no direction."""
    painter = painter_of(case_of(name), OURS[:1], THEIRS[:1], negative_prompt=OURS[0])
    with pytest.raises(PromptError, match="negative prompt are the same"):
        painter.pictures([range(1)], [0])


def test_beside_a_target_the_prompt_may_be_the_negative_prompt() -> None:
    """The target's run tells the branches apart."""
    painter = painter_of(
        case_of("SD3"), OURS[:1], THEIRS[:1], batch_size=3, negative_prompt=OURS[0]
    )
    outputs = []
    for window in (range(0), range(painter.depth)):
        with denoised(painter.model) as seen:
            painter.pictures([window], [0])
        outputs.append(seen[0])
    assert (outputs[0] != outputs[1]).flatten(1).any(1).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("name", ["SD1", "PixArt-Sigma", "FLUX-dev", "Z-Image"])
def test_a_lora_is_part_of_the_model(name: str) -> None:
    """The layers' outputs are those of the weights with the LoRA over them."""
    from peft import LoraConfig, inject_adapter_in_model

    case = case_of(name)
    model = load(random_models.build(name, **case.options))
    before = generated(case, model, OURS[:1])
    torch.manual_seed(0)
    lora = LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False)
    inject_adapter_in_model(lora, model.denoiser)
    painter = Painter(model, NO_CLIP, "style", OURS[:1], THEIRS[:1], config_of(case))
    none, some = painter.pictures([range(0), range(painter.depth)], [3])[:, 0, 0].int()
    plain = generated(case, model, OURS[:1])
    mixed = painter.texts.mixed(int(painter.ours[0]), int(painter.theirs[0]))
    target = sample(model, [mixed], [3], painter.how)[0, 0].int()
    assert (none - plain).abs().max() <= 1
    assert (some - target).abs().max() <= 1
    assert (plain - before).abs().max() > 1


def generated(case: Case, model: Model, prompts: list[str]) -> Tensor:
    """The first prompt's picture ``[3, H, W]``."""
    how = Painter(model, NO_CLIP, "style", prompts, prompts, config_of(case)).how
    return sample(model, encode(model, prompts, how), [3], how)[0, 0].int()


@pytest.mark.parametrize("name", ["SDXL", "SANA", "FLUX-schnell", "Lumina2"])
def test_in_half_precision(name: str) -> None:
    """Texts are recognised, and masks fit, whatever the number format."""
    case = case_of(name)
    model = load(random_models.build(name, dtype=torch.bfloat16))
    painter = Painter(model, NO_CLIP, "style", OURS[:1], THEIRS[:1], config_of(case))
    none, some = painter.pictures([range(0), range(painter.depth)], [3])[:, 0, 0].int()
    plain = sample(model, encode(model, OURS[:1], painter.how), [3], painter.how)[0, 0].int()
    # In a batch of Lumina 2 with a longer prompt attention is masked, which rounds differently.
    assert (none - plain).abs().float().mean() <= (1 if name == "Lumina2" else 0)
    assert (some - plain).abs().max() > 8


@pytest.mark.parametrize("name", ["PixArt-Sigma", "FLUX-dev", "Z-Image"])
def test_the_fast_search_counts_its_evaluations(name: str, judge: Clip) -> None:
    case = case_of(name)
    model = model_of(name)
    config = config_of(case, batch_size=64, window=1)
    with denoised(model) as seen:
        found = fast_locogen(model, judge, "style", OURS, THEIRS, config, FastConfig(2, 1, 2, 1, 2))
    assert found.info["evaluations"] == sum(len(rows) for rows in seen)
    assert len(found.scores) == len(model.family.text_layers(model))
    assert found.info["attention"] == ("joint-attention" if case.joint else "cross-attention")


@pytest.mark.parametrize("name", ["SD1", "FLUX-dev"])
def test_windows_act_in_a_compiled_pipeline(name: str) -> None:
    case = case_of(name)
    pipeline = random_models.build(name)
    plain = Painter(load(pipeline), NO_CLIP, "style", OURS[:1], THEIRS[:1], config_of(case))
    windows = [range(0), range(1, 2)]
    expected = plain.pictures(windows, [3])
    part = "unet" if name == "SD1" else "transformer"
    setattr(pipeline, part, torch.compile(getattr(pipeline, part), backend="eager"))
    painter = Painter(load(pipeline), NO_CLIP, "style", OURS[:1], THEIRS[:1], config_of(case))
    assert torch.equal(painter.pictures(windows, [3]), expected)
    assert not torch.equal(expected[0], expected[1])


def test_fused_projections_are_refused_or_right() -> None:
    """Fused, cross-attention does not call its projections; joint attention is a whole anyway."""
    joint = case_of("SD3")
    model = load(random_models.build("SD3"))
    expected = Painter(model, NO_CLIP, "style", OURS, THEIRS, config_of(joint))
    pictures = expected.pictures([range(1, 2)], [3]).int()
    denoiser: Any = model.denoiser
    denoiser.fuse_qkv_projections()
    fused = Painter(model, NO_CLIP, "style", OURS, THEIRS, config_of(joint))
    assert (fused.pictures([range(1, 2)], [3]).int() - pictures).abs().max() <= 1
    cross = case_of("SD1")
    model = load(random_models.build("SD1"))
    model.pipeline.fuse_qkv_projections()
    painter = Painter(model, NO_CLIP, "style", OURS, THEIRS, config_of(cross))
    with pytest.raises(ModelError, match="unfuse_qkv_projections"):
        painter.pictures([range(1)], [0])


def test_layers_of_joint_attention_are_not_those_that_locoedit_edits() -> None:
    """In FLUX one projection reads the prompt for all layers; in HiDream each has its own."""
    edits = [Edit("a red rose", "a blue rose", subject="rose")]
    found = Localization("style", (1, 2), (1.0, 2.0, 3.0), 2)
    with pytest.raises(SiteError, match="cannot be edited one by one"):
        locoedit(model_of("FLUX-dev"), edits, LocoEditConfig(localization=found))
    patch = locoedit(model_of("HiDream"), edits, LocoEditConfig(localization=found))
    assert [delta.site.name for delta in patch.deltas] == [
        "caption_projection.1.linear",
        "caption_projection.2.linear",
    ]


def test_pipelines_that_need_a_picture_are_refused(clip: Clip) -> None:
    from overpaint.localize.locogen import locogen

    model = load(random_models.build("SD1-inpainting"))
    with pytest.raises(ModelError, match="needs more than text"):
        locogen(model, clip, "style", OURS, THEIRS, LocoGenConfig(steps=1))


@pytest.fixture
def clip(judge: Clip) -> Clip:
    return judge
