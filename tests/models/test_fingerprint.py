"""The fingerprint: moves with every weight an edit can touch, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import nn

from overpaint.errors import ModelError
from overpaint.models import fingerprint as fingerprints
from overpaint.models.fingerprint import PRECISIONS, fingerprint, marks, origin
from overpaint.models.model import Model
from overpaint.models.sites import attention_out_site, mlp_site, module_at, text_transformer
from overpaint.models.weights import pop, push, with_deltas
from overpaint.types import Delta, Site


def text_sites(model: Model) -> list[Site]:
    return [site for path in model.family.paths(model) for site in path.sites]


def a_delta(site: Site) -> Delta:
    return Delta(site, torch.ones(1, site.d_in), torch.ones(site.d_out, 1))


def test_same_weights_same_fingerprint(make_sd1: Callable[..., Model]) -> None:
    assert fingerprint(make_sd1(3)) == fingerprint(make_sd1(3))
    assert fingerprint(make_sd1(3)) != fingerprint(make_sd1(4))
    assert len(bytes.fromhex(fingerprint(make_sd1(3)))) == 16


@pytest.mark.parametrize("precision", range(3))
def test_every_single_weight_counts(sd1: Model, precision: int) -> None:
    encoder = [make(sd1, n) for n in (0, 1) for make in (mlp_site, attention_out_site)]
    for number, site in enumerate([*text_sites(sd1), *encoder]):
        before = marks(sd1, site.component, PRECISIONS)
        with torch.no_grad():
            flat = module_at(sd1, site).weight.view(-1)
            place = (number * 7919) % flat.numel()
            kept = flat[place].clone()
            flat[place] = kept + 0.01 * (1 + kept.abs())
            assert marks(sd1, site.component, PRECISIONS)[precision] != before[precision], site
            flat[place] = kept
        assert marks(sd1, site.component, PRECISIONS) == before


def test_the_painter_of_pixels_does_not_count(sd1: Model) -> None:
    before = fingerprint(sd1)
    with torch.no_grad():
        next(sd1.pipeline.vae.parameters()).add_(1)
        sd1.denoiser.conv_in.weight.add_(1)  # pyright: ignore
    assert fingerprint(sd1) == before


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
def test_both_encoders_of_sdxl_count(sdxl: Model, component: str) -> None:
    before, parts = fingerprint(sdxl), {c: marks(sdxl, c) for c in fingerprints.components(sdxl)}
    with torch.no_grad():
        module_at(sdxl, mlp_site(sdxl, 0, component)).weight[0, 0] += 1
    assert fingerprint(sdxl) != before
    assert [c for c in parts if marks(sdxl, c) != parts[c]] == [component]


def test_layout_of_transformers_does_not_count(sd1: Model) -> None:
    inner = nn.Module()
    inner.text_model = text_transformer(sd1.component("text_encoder"))
    four = Model(SimpleNamespace(text_encoder=inner, unet=sd1.denoiser), sd1.family, "four")
    assert fingerprint(four) == fingerprint(sd1)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("component", ["text_encoder", "unet"])
def test_marks_tell_those_of_the_model_in_half_precision(
    make_sd1: Callable[..., Model], component: str, number: int
) -> None:
    whole, half = make_sd1(3), make_sd1(3)
    half.component(component).to(PRECISIONS[number])
    known, rounded = marks(whole, component, PRECISIONS), marks(half, component, PRECISIONS)
    assert rounded[0] == rounded[number] == known[number] != known[0]  # twice rounded is once
    half.component(component).float()
    assert marks(half, component, PRECISIONS) == rounded


def test_a_patch_names_the_components_it_was_computed_from(sdxl: Model) -> None:
    encoders = ("text_encoder", "text_encoder_2")
    for component in encoders:
        found = origin(sdxl, [a_delta(mlp_site(sdxl, 0, component))])
        assert found == {
            "fingerprints": {component: marks(sdxl, component, PRECISIONS)},
            "family": "SDXL",
        }
    found = origin(sdxl, [a_delta(text_sites(sdxl)[0])])
    assert found["fingerprints"].keys() == {*encoders, "unet"}


def test_a_touched_site_that_reads_no_text_counts_too(sd1: Model) -> None:
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"
    site = Site("unet", name, 16, 16)
    before, plain = marks(sd1, "unet", sites=[site]), marks(sd1, "unet")
    with torch.no_grad():
        module_at(sd1, site).weight[0, 0] += 1
    assert marks(sd1, "unet", sites=[site]) != before
    assert marks(sd1, "unet") == plain


# What does not count


def with_lora(model: Model) -> Any:
    """LoRAs on the text encoder's MLPs and on the keys of the UNet, with effect."""
    text = LoraConfig(r=2, target_modules=["fc1", "fc2"], init_lora_weights=False)
    model.pipeline.text_encoder.add_adapter(text)
    unet = LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False)
    model.pipeline.unet.add_adapter(unet)


def test_loaded_lora_does_not_count_and_a_fused_one_does(sd1: Model) -> None:
    """A patch made before fits after, and the other way round; fused, it is another model."""
    before = {c: marks(sd1, c, PRECISIONS) for c in ("text_encoder", "unet")}
    with_lora(sd1)
    assert {c: marks(sd1, c, PRECISIONS) for c in before} == before
    sd1.pipeline.unet.fuse_lora()
    assert marks(sd1, "unet") != before["unet"][:1]  # PEFT writes through `.data`
    assert marks(sd1, "text_encoder") == before["text_encoder"][:1]
    sd1.pipeline.unload_lora_weights()
    assert marks(sd1, "text_encoder") == before["text_encoder"][:1]


def test_textual_inversion_does_not_count(sd1: Model) -> None:
    before = fingerprint(sd1)
    vectors = torch.randn(3, 32)
    sd1.pipeline.load_textual_inversion({"<rose>": vectors}, token="<rose>")
    table = sd1.pipeline.text_encoder.get_input_embeddings().weight
    assert len(sd1.pipeline.tokenizer) == len(table)
    assert torch.equal(table[-3:], vectors)
    assert fingerprint(sd1) == before
    with torch.no_grad():
        table[-4] += 1  # the last token that the model came with
    assert fingerprint(sd1) != before


def test_compilation_does_not_count(sd1: Model) -> None:
    before = fingerprint(sd1)
    sd1.pipeline.text_encoder = torch.compile(sd1.pipeline.text_encoder, backend="eager")
    sd1.pipeline.unet.compile(backend="eager")
    blocks: Any = sd1.denoiser.get_submodule("down_blocks.0.attentions.0.transformer_blocks")
    blocks[0] = torch.compile(blocks[0], backend="eager")
    assert fingerprint(sd1) == before


def test_memory_layout_does_not_count(sd1: Model) -> None:
    before = fingerprint(sd1)
    sd1.denoiser.to(memory_format=torch.channels_last)  # pyright: ignore
    assert fingerprint(sd1) == before


def test_offloading_of_whole_networks_does_not_count(sd1: Model) -> None:
    from accelerate import cpu_offload_with_hook

    before = fingerprint(sd1)
    _, hook = cpu_offload_with_hook(sd1.component("text_encoder"), execution_device="cpu")
    assert fingerprint(sd1) == before
    hook.remove()


def test_weights_that_are_not_in_memory_are_one_clear_line(sd1: Model) -> None:
    from accelerate import cpu_offload

    cpu_offload(sd1.component("text_encoder"), execution_device=torch.device("cpu"))
    with pytest.raises(ModelError, match=r"not in memory.*enable_sequential_cpu_offload"):
        fingerprint(sd1)


# Computed once, and anew when a weight has changed


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tensors were read, one entry for each time that any were."""
    counts: list[int] = []
    compute = fingerprints.digests

    def counted(tensors: Any, precision: torch.dtype) -> list[bytes]:
        counts.extend([len(tensors)] if tensors else [])
        return compute(tensors, precision)

    monkeypatch.setattr(fingerprints, "digests", counted)
    return counts


def test_computed_once_and_kept_under_patches(sd1: Model, computed: list[int]) -> None:
    sites = [mlp_site(sd1, 0), *text_sites(sd1)]
    before = [marks(sd1, c, PRECISIONS) for c in ("text_encoder", "unet")]
    assert len(computed) == 6
    layers = []
    for _ in range(2):
        layers.append(push(sd1, [a_delta(site) for site in sites]))
        assert [marks(sd1, c, PRECISIONS) for c in ("text_encoder", "unet")] == before
    for layer in layers:
        pop(layer)
        assert [marks(sd1, c, PRECISIONS) for c in ("text_encoder", "unet")] == before
    other = Model(sd1.pipeline, sd1.family, "another handle of the same pipeline")
    assert fingerprint(other) == fingerprint(sd1)
    assert len(computed) == 6


def in_place(weight: Any) -> None:
    weight[0, 0] += 1


def through_data(weight: Any) -> None:
    weight.data += 0.01 * torch.randn_like(weight)  # as PEFT fuses


def one_step(weight: Any) -> None:
    weight.grad = torch.zeros_like(weight)
    weight.grad[3, 5] = 1
    torch.optim.SGD([weight], lr=0.1).step()


@pytest.mark.parametrize("change", [in_place, through_data, one_step])
@pytest.mark.parametrize("patched", [False, True])
def test_only_a_changed_weight_is_read_again(
    sd1: Model, computed: list[int], change: Callable[[Any], None], patched: bool
) -> None:
    site = mlp_site(sd1, 0)
    before = fingerprint(sd1)
    if patched:  # the weight's version has moved, but not because of others
        with with_deltas(sd1, [a_delta(site)]):
            pass
    assert fingerprint(sd1) == before
    computed.clear()
    with torch.no_grad():
        change(module_at(sd1, site).weight)
    assert fingerprint(sd1) != before
    assert computed == [1]


def test_replaced_parameter_is_read(sd1: Model, computed: list[int]) -> None:
    before = fingerprint(sd1)
    module = module_at(sd1, mlp_site(sd1, 0))
    computed.clear()
    module.weight = nn.Parameter(module.weight.detach().clone())
    assert fingerprint(sd1) == before
    module.weight = nn.Parameter(module.weight.detach() + 1)
    assert fingerprint(sd1) != before
    assert computed == [1, 1]
