"""Pipelines in memory: used as they are and left as they were, or refused before any work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import accelerate
import pytest
import torch
from torch import nn

import overpaint as op
import random_models
from overpaint.errors import ModelError, SiteError
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import time_edit
from overpaint.models.load import load
from overpaint.models.loaders import networks, silence

EDIT = op.Edit("a rose", "a blue rose")
NETWORKS = ("text_encoder", "unet", "vae")


@pytest.fixture
def pipeline() -> Any:
    return random_models.build("SD1")


def state(pipeline: Any) -> dict[str, object]:
    """All that a caller can see of its networks."""
    seen: dict[str, object] = {}
    for name, network in networks(pipeline).items():
        seen[name] = (id(network), network.training)
        for place, weight in network.named_parameters():
            facts = (weight.dtype, weight.device, weight.requires_grad, weight._version)
            seen[f"{name}.{place}"] = (id(weight), weight.data_ptr(), weight.grad, *facts)
    return seen | {"scheduler": id(pipeline.scheduler), "config": str(pipeline.config)}


def use(pipeline: Any) -> None:
    """Load, edit, generate, put the edit on and take it off again."""
    model = load(pipeline)
    for patch in (
        time_edit(model, [EDIT]),
        refact(model, [EDIT], ReFACTConfig(layer=1, steps=2, covariance_weight=0)),
    ):
        before = op.generate(model, "a rose", 1, steps=2, output_type="pt")
        with op.applied(model, patch):
            after = op.generate(model, "a rose", 1, steps=2, output_type="pt")
        again = op.generate(model, "a rose", 1, steps=2, output_type="pt")
        assert not torch.equal(before, after), patch.method
        assert torch.equal(before, again), patch.method


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_pipeline_is_not_changed_by_loading(pipeline: Any, dtype: torch.dtype) -> None:
    with silence():
        pipeline.to(dtype)
    pipeline.unet.train().requires_grad_(True)
    pipeline.vae.eval().requires_grad_(False)
    before = state(pipeline)
    model = load(pipeline)
    assert model.pipeline is pipeline
    assert model.dtype == dtype
    assert state(pipeline) == before


def test_using_it_leaves_no_trace(pipeline: Any) -> None:
    """Weights that ask for gradients get none, and no warning says that they could."""
    for network in networks(pipeline).values():
        network.requires_grad_(True)
    before = {n: w.clone() for n, w in pipeline.unet.state_dict().items()}
    flags = {n: p.requires_grad for n, p in pipeline.unet.named_parameters()}
    use(pipeline)
    for name, weight in pipeline.unet.state_dict().items():
        assert torch.equal(weight, before[name]), name
    assert flags == {n: p.requires_grad for n, p in pipeline.unet.named_parameters()}
    for network in networks(pipeline).values():
        assert all(p.grad is None for p in network.parameters())


def test_device_and_dtype_that_it_has_may_be_named(pipeline: Any) -> None:
    assert load(pipeline, device="cpu", dtype=torch.float32).pipeline is pipeline


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dtype": torch.float16}, r"pipeline\.to\(torch\.float16\) first"),
        ({"device": "meta"}, r"pipeline\.to\('meta'\) first"),
        (
            {"device": "meta", "dtype": torch.bfloat16},
            r"is on cpu in torch\.float32 .*pipeline\.to\('meta', torch\.bfloat16\)",
        ),
    ],
)
def test_it_is_neither_cast_nor_moved(pipeline: Any, given: dict[str, Any], said: str) -> None:
    before = state(pipeline)
    with pytest.raises(ModelError, match=said):
        load(pipeline, **given)
    assert state(pipeline) == before


def compiled(pipeline: Any) -> None:
    pipeline.unet = torch.compile(pipeline.unet, backend="eager")


def compiled_in_place(pipeline: Any) -> None:
    pipeline.unet.compile(backend="eager")


def compiled_encoder(pipeline: Any) -> None:
    pipeline.text_encoder = torch.compile(pipeline.text_encoder, backend="eager")


def model_offload(pipeline: Any) -> None:
    hook = None
    for name in NETWORKS:
        network = getattr(pipeline, name)
        _, hook = accelerate.cpu_offload_with_hook(network, torch.device("cpu"), hook)


def group_offload(pipeline: Any) -> None:
    from diffusers.hooks import apply_group_offloading

    for name in NETWORKS:
        apply_group_offloading(
            getattr(pipeline, name),
            onload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
        )


def with_lora(pipeline: Any) -> None:
    from peft import LoraConfig

    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"]))


def encoder_of_peft(pipeline: Any) -> None:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=2, target_modules=["k_proj", "fc2"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's, of an old name in transformers
        pipeline.text_encoder = get_peft_model(pipeline.text_encoder, lora)


def unet_of_peft(pipeline: Any) -> None:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False)
    pipeline.unet = get_peft_model(pipeline.unet, lora)


def with_embedding(pipeline: Any) -> None:
    width = pipeline.text_encoder.config.hidden_size
    pipeline.load_textual_inversion({"<thing>": torch.randn(1, width)}, token="<thing>")


CHANGES = (
    compiled,
    compiled_in_place,
    compiled_encoder,
    model_offload,
    group_offload,
    with_lora,
    encoder_of_peft,
    unet_of_peft,
    with_embedding,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_people_do_to_pipelines(pipeline: Any, change: Callable[[Any], None]) -> None:
    change(pipeline)
    before = state(pipeline)
    model = load(pipeline)
    assert state(pipeline) == before
    assert model.family.name == "SD1"
    assert "_orig_mod" not in " ".join(site.name for site in model.family.paths(model)[0].sites)
    use(pipeline)


def test_weights_that_are_not_in_memory_are_refused(pipeline: Any) -> None:
    for name in NETWORKS:
        accelerate.cpu_offload(getattr(pipeline, name), torch.device("cpu"))
    with pytest.raises(ModelError, match=r"not in memory .*pipeline\.remove_all_hooks\(\)"):
        load(pipeline)
    pipeline.remove_all_hooks()
    use(pipeline)


REFACT = ReFACTConfig(layer=1, steps=2, covariance_weight=0)
ATTEMPTS: dict[str, Callable[[op.Model], object]] = {
    "fingerprint": op.fingerprint,
    "generate": lambda m: op.generate(m, "a rose", 1, steps=1),
    "time": lambda m: time_edit(m, [EDIT]),
    "refact": lambda m: refact(m, [EDIT], REFACT),
    "diffquickfix": lambda m: op.diffquickfix(m, [EDIT]),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_weights_that_leave_memory_after_loading_are_named(pipeline: Any, attempt: str) -> None:
    model = load(pipeline)
    for name in NETWORKS:
        accelerate.cpu_offload(getattr(pipeline, name), torch.device("cpu"))
    with pytest.raises((ModelError, SiteError), match="in memory"):
        ATTEMPTS[attempt](model)


@pytest.mark.parametrize("attempt", list(ATTEMPTS)[1:])
def test_a_text_encoder_that_is_stored_in_eight_bits_is_named(pipeline: Any, attempt: str) -> None:
    """diffusers would cast the encoded prompts to its number format."""
    from diffusers.hooks import apply_layerwise_casting

    model = load(pipeline)
    eight = torch.float8_e4m3fn
    apply_layerwise_casting(pipeline.text_encoder, eight, torch.float32)
    with pytest.raises((ModelError, SiteError), match="at least 16 bits"):
        ATTEMPTS[attempt](model)
    with pytest.raises(ModelError, match=r"float8_e4m3fn \(layerwise casting\)"):
        load(pipeline)


def test_weights_made_in_inference_mode_are_edited_without_gradients() -> None:
    with torch.inference_mode():
        pipeline = random_models.build("SD1")
    model = load(pipeline)
    for patch in (time_edit(model, [EDIT]), op.diffquickfix(model, [EDIT])):
        before = op.generate(model, "a rose", 1, steps=1, output_type="pt")
        with op.applied(model, patch):
            assert not torch.equal(
                op.generate(model, "a rose", 1, steps=1, output_type="pt"), before
            )
        assert torch.equal(op.generate(model, "a rose", 1, steps=1, output_type="pt"), before)
    with pytest.raises(SiteError, match=r"inference_mode.*time, uce"):
        refact(model, [EDIT], REFACT)


@pytest.mark.parametrize("network", ["unet", "text_encoder"])
def test_number_formats_that_do_not_go_together_are_named(pipeline: Any, network: str) -> None:
    with silence():
        getattr(pipeline, network).half()
    model = load(pipeline)
    said = rf"cannot generate: .*different number formats \(.*{network} float16.*pipeline\.to"
    with pytest.raises(ModelError, match=said):
        op.generate(model, "a rose", 1, steps=1)


@pytest.mark.parametrize("part", ["vae", "scheduler"])
def test_without_what_makes_pictures_there_are_edits_but_no_pictures(
    pipeline: Any, part: str
) -> None:
    setattr(pipeline, part, None)
    model = load(pipeline)
    assert time_edit(model, [EDIT]).deltas
    with pytest.raises(ModelError, match=f"comes without its {part}.*can be edited"):
        op.generate(model, "a rose", 1, steps=1)


@pytest.mark.parametrize("name", ["AuraFlow", "SDXL-upcast"])
def test_decoding_in_float32_leaves_the_autoencoder_as_it_was(name: str) -> None:
    model = load(random_models.build(name, dtype=torch.float16))
    given = random_models.call_arguments(name)
    sizes = {k: given[k] for k in ("height", "width") if k in given}
    op.generate(model, "a rose", 1, steps=1, **sizes)
    assert {p.dtype for p in model.pipeline.vae.parameters()} == {torch.float16}


def test_dropout_at_random_is_refused(pipeline: Any) -> None:
    pipeline.unet.down_blocks[0].resnets[0].dropout.p = 0.1
    pipeline.unet.eval()
    load(pipeline)
    pipeline.unet.train()
    with pytest.raises(ModelError, match=r"drops numbers at random.*pipeline\.unet\.eval\(\)"):
        load(pipeline)


@pytest.mark.parametrize("part", ["text_encoder", "tokenizer", "unet"])
def test_a_pipeline_with_a_part_missing_is_refused(pipeline: Any, part: str) -> None:
    setattr(pipeline, part, None)
    with pytest.raises(ModelError, match=f"comes without its {part}"):
        load(pipeline)


@pytest.mark.parametrize("missing", ["text_encoder", "text_encoder_2", "text_encoder_3"])
def test_what_is_there_of_several_text_encoders_is_used(missing: str) -> None:
    pipeline = random_models.build("SD3")
    setattr(pipeline, missing, None)
    setattr(pipeline, missing.replace("text_encoder", "tokenizer"), None)
    model = load(pipeline)
    assert missing not in model.text_encoders
    assert len(model.text_encoders) == 2


def test_networks_without_weights_are_fine() -> None:
    """DeepFloyd's watermarker has none."""
    pipeline = random_models.build("SD1")
    pipeline.register_modules(safety_checker=nn.Identity())
    assert load(pipeline).family.name == "SD1"
