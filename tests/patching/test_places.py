"""Weights that cannot be edited, or whose edit would do nothing: one clear line, all or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from overpaint.errors import PatchError, SiteError
from overpaint.methods.refact_config import ReFACTConfig
from overpaint.methods.registry import METHODS
from overpaint.methods.uce import UCEConfig
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.weights import with_deltas
from overpaint.patching.apply import applied, apply
from overpaint.types import Delta, Edit, Site


def patch_of(tiny: Any, model: Model) -> Any:
    """A small patch of the first MLP and of all keys and values."""
    sites = [site for path in model.family.paths(model) for site in path.sites]
    return tiny.patch(model, (mlp_site(model, 0), *sites))


def offload(model: Model) -> None:
    from accelerate import cpu_offload

    cpu_offload(model.denoiser, execution_device=torch.device("cpu"))


def fuse_projections(model: Model) -> None:
    model.pipeline.fuse_qkv_projections()


def fuse_lora(model: Model) -> None:
    config = LoraConfig(r=2, target_modules=["to_k"], init_lora_weights=False)
    model.pipeline.unet.add_adapter(config)
    model.pipeline.unet.fuse_lora()


def cast_layerwise(model: Model) -> None:
    model.pipeline.unet.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )


def quantise_bits(model: Model) -> None:
    """As bitsandbytes: a subclass of nn.Linear with an integer weight."""
    for module in attention(model):
        bits = module.to_v.weight.detach().mul(100).to(torch.int8)
        module.to_v.weight = nn.Parameter(bits, requires_grad=False)


class Rows(torch.Tensor):
    """As torchao: a tensor of floating point dtype that holds integers and scales."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> Rows:
        return torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=torch.float32)

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["values"], None

    @classmethod
    def __tensor_unflatten__(cls, inner: Any, *_: Any) -> Rows:
        return cls(inner["values"])

    def dequantize(self) -> torch.Tensor:
        return self.values.float()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return cls(args[0].values)
        raise NotImplementedError(str(func))


def quantise_rows(model: Model) -> None:
    for module in attention(model):
        rows = Rows(module.to_v.weight.detach().to(torch.int8))
        assert is_traceable_wrapper_subclass(rows)
        module.to_v.weight = nn.Parameter(rows, requires_grad=False)


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


def parametrise(model: Model) -> None:
    for module in attention(model):
        parametrize.register_parametrization(module.to_v, "weight", Doubled())


def attention(model: Model) -> list[Any]:
    return [m for name, m in model.denoiser.named_modules() if name.endswith("attn2")]


REFUSED: dict[str, Callable[[Model], None]] = {
    r"offloaded layer by layer.*enable_sequential_cpu_offload": offload,
    r"got fused ones.*unfuse_qkv_projections": fuse_projections,
    r"with a LoRA fused into it.*unfuse_lora": fuse_lora,
    r"float8_e4m3fn.*apply the patch first.*enable_layerwise_casting": cast_layerwise,
    r"a quantised one \(torch.int8\).*unquantised": quantise_bits,
    r"a quantised one \(Rows\).*unquantised": quantise_rows,
    r"computed anew at every call.*parametrization": parametrise,
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("match", REFUSED)
def test_refused_by_name_before_anything_is_touched(
    tiny: Any, sd1: Model, match: str, force: bool
) -> None:
    patch = patch_of(tiny, sd1)
    REFUSED[match](sd1)
    first = module_at(sd1, mlp_site(sd1, 0)).weight
    before, version = first.detach().clone(), first._version
    with pytest.raises(PatchError, match=match):
        apply(sd1, patch, force=force)
    with pytest.raises(SiteError, match=match), with_deltas(sd1, patch.deltas):
        pass
    assert torch.equal(first, before)
    assert first._version == version


UNEDITABLE = {m: f for m, f in REFUSED.items() if f in (offload, cast_layerwise, quantise_bits)}


@pytest.mark.parametrize("match", UNEDITABLE)
def test_refused_before_an_edit_is_computed(sd1: Model, match: str) -> None:
    UNEDITABLE[match](sd1)
    with pytest.raises(SiteError, match=match):
        METHODS["uce"].check(sd1, [Edit("a rose", "a blue rose")], UCEConfig())
    METHODS["refact"].check(sd1, [Edit("a rose", "a tulip")], ReFACTConfig(layer=0))


def test_offloaded_text_encoder_is_refused_before_an_edit_is_computed(sd1: Model) -> None:
    from accelerate import cpu_offload

    cpu_offload(sd1.component("text_encoder"), execution_device=torch.device("cpu"))
    for name, config in (("uce", UCEConfig()), ("refact", ReFACTConfig(layer=0))):
        with pytest.raises(SiteError, match=r"text_encoder.*offload"):
            METHODS[name].check(sd1, [Edit("a rose", "a tulip")], config)


def test_moved_and_group_offloaded_weights_are_edited(tiny: Any, sd1: Model) -> None:
    """Other memory, the same values: whoever moved them, they are the model's own."""
    patch, module = patch_of(tiny, sd1), attention(sd1)[0].to_k
    clean = module.weight.detach().clone()
    handle = apply(sd1, patch)
    module.weight.data = module.weight.data.clone()
    handle.revert()
    assert torch.equal(module.weight, clean)
    place = torch.device("cpu")
    sd1.pipeline.unet.enable_group_offload(
        onload_device=place, offload_device=place, offload_type="leaf_level"
    )
    handle = apply(sd1, patch)
    assert not torch.equal(module.weight, clean)
    handle.revert()
    assert torch.equal(module.weight, clean)


def test_unfused_again_it_works(tiny: Any, sd1: Model) -> None:
    patch = patch_of(tiny, sd1)
    sd1.pipeline.fuse_qkv_projections()
    sd1.pipeline.unfuse_qkv_projections()
    weight = attention(sd1)[0].to_k.weight
    clean = weight.detach().clone()
    with applied(sd1, patch):
        assert not torch.equal(weight, clean)
    assert torch.equal(weight, clean)


def test_loaded_lora_stays_on_top(tiny: Any, sd1: Model) -> None:
    """The base weight is edited, and the module's output changes by ``ΔW x``."""
    patch = patch_of(tiny, sd1)
    config = LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False)
    sd1.pipeline.unet.add_adapter(config)
    wrapped = attention(sd1)[0].to_k
    x = torch.randn(5, wrapped.in_features)
    clean, weight = wrapped(x), wrapped.base_layer.weight.detach().clone()
    with applied(sd1, patch):
        change = wrapped.base_layer.weight.detach() - weight
        torch.testing.assert_close(wrapped(x) - clean, linear(x, change), rtol=1e-4, atol=1e-4)
        assert float(change.norm()) > 1
    assert torch.equal(wrapped(x), clean)


# Does the forward pass use the weight?


class Deaf(nn.Linear):
    """Computes with a copy of the weight that was made once."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False)
        self.weight = like.weight
        self.copy = like.weight.detach().clone()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return linear(input, self.copy)


class Own(nn.Linear):
    """Another class that computes with its weight, and scales the result."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False)
        self.weight = like.weight

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_module_that_does_not_use_its_weight_is_refused(
    tiny: Any, sd1: Model, dtype: torch.dtype
) -> None:
    sd1.pipeline.unet.to(dtype)
    patch = patch_of(tiny, sd1)
    module = attention(sd1)[1]
    module.to_v = Deaf(module.to_v)
    weights = [module_at(sd1, delta.site).weight for delta in patch.deltas]
    clean = [weight.detach().clone() for weight in weights]
    with pytest.raises(PatchError, match=r"attn2.to_v to compute with the edited .* its Deaf"):
        apply(sd1, patch)
    assert all(torch.equal(w, c) for w, c in zip(weights, clean, strict=True))
    module.to_v = Own(module.to_v)
    apply(sd1, patch).revert()
    assert all(torch.equal(w, c) for w, c in zip(weights, clean, strict=True))


def test_forward_that_was_replaced_is_probed(tiny: Any, sd1: Model) -> None:
    patch, module = patch_of(tiny, sd1), attention(sd1)[0].to_k
    forward = module.forward
    calls = []

    def hooked(x: torch.Tensor) -> torch.Tensor:  # as accelerate and diffusers do
        calls.append(x.shape)
        return forward(x)

    module.forward = hooked
    apply(sd1, patch).revert()
    assert calls == [(1, module.in_features)] * 2
    fixed = module.weight.detach().clone()
    module.forward = lambda x: linear(x, fixed)
    with pytest.raises(PatchError, match="to compute with the edited weight"):
        apply(sd1, patch)
    assert torch.equal(module.weight, fixed)


def test_hooks_of_the_user_see_nothing_of_the_probe(tiny: Any, sd1: Model) -> None:
    patch, module = patch_of(tiny, sd1), attention(sd1)[0]
    module.to_k = Own(module.to_k)
    seen: list[Any] = []
    module.to_k.register_forward_hook(lambda *args: seen.append(args))
    apply(sd1, patch).revert()
    assert seen == []


# Patches that are too large


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float32, 3e38), (torch.float16, 300.0), (torch.bfloat16, 3e38)]
)
def test_product_beyond_the_precision_is_refused(
    tiny: Any, dtype: torch.dtype, size: float
) -> None:
    model = tiny.model(dtype=dtype)
    sites = tiny.sites(model)
    clean = tiny.bits(model)
    fine = [Delta(site, torch.ones(1, site.d_in), torch.ones(site.d_out, 1)) for site in sites]
    huge = Delta(sites[1], torch.full((1, 6), size), torch.full((4, 1), size))
    match = rf"finite weights .* {dtype} of text_encoder {sites[1].name}; the patch is too"
    with pytest.raises(PatchError, match=match), with_deltas(model, [*fine, huge]):
        pass
    assert tiny.bits(model) == clean
    if dtype is torch.float16:  # the same is fine where it fits
        with with_deltas(tiny.model(), [*fine, huge]):
            pass


def test_large_weights_are_not_taken_for_infinite_ones(tiny: Any) -> None:
    """Their sum is beyond float32, they are not."""
    model = tiny.model()
    site = Site("text_encoder", "encoder.layers.0.mlp.fc2", 4, 6)
    with torch.no_grad():
        module_at(model, site).weight.fill_(3e38)
    with with_deltas(model, [Delta(site, torch.ones(1, 6), torch.ones(4, 1))]):
        pass
