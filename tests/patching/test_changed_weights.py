"""A weight that something else has changed under a patch is never overwritten unasked."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import nn

from overpaint.errors import PatchError, WeightsChangedError
from overpaint.models import weights
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, module_at
from overpaint.patching.apply import applied, apply

FC2 = "encoder.layers.0.mlp.fc2"


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Models that a test leaves with a patch on are gone, and out of the books, before the next."""
    yield
    gc.collect()


def load_others(module: nn.Linear) -> None:
    module.load_state_dict({name: torch.ones_like(t) for name, t in module.state_dict().items()})


def assign_others(module: nn.Linear) -> None:
    state = {name: torch.ones_like(tensor) for name, tensor in module.state_dict().items()}
    module.load_state_dict(state, assign=True)


def train(module: nn.Linear) -> None:
    module.weight.grad = torch.zeros_like(module.weight)
    module.weight.grad[2, 3] = 1
    torch.optim.SGD([module.weight], lr=1e-3).step()


def fuse(module: nn.Linear) -> None:
    module.weight.data += 0.01  # PEFT's way: PyTorch does not count it


def poke(module: nn.Linear) -> None:
    module.weight.data[1, 2] += 0.01


def replace(module: nn.Linear) -> None:
    module.weight = nn.Parameter(module.weight.detach().clone())


def cast(module: nn.Linear) -> None:
    module.half()


CHANGES = (load_others, assign_others, train, fuse, poke, replace, cast)


@pytest.mark.parametrize("change", CHANGES)
def test_revert_says_so_and_leaves_everything(
    tiny: Any, change: Callable[[nn.Linear], None]
) -> None:
    model = tiny.model()
    clean, module = tiny.bits(model), model.pipeline.text_encoder.get_submodule(FC2)
    original = module.weight.detach().clone()
    handle = apply(model, tiny.patch(model, tiny.sites(model)))
    change(module)
    before = tiny.bits(model)
    for _ in range(2):
        with pytest.raises(
            WeightsChangedError, match=rf"text_encoder {FC2} as the patch .*force=True"
        ):
            handle.revert()
        assert handle.active
        assert tiny.bits(model) == before
    handle.revert(force=True)
    assert not handle.active
    assert torch.equal(module.weight, original.to(module.weight.dtype))
    others = {name: bits for name, bits in tiny.bits(model).items() if FC2 not in name}
    assert others.items() < clean.items()
    assert not weights._STACKS


@pytest.mark.parametrize("change", CHANGES)
def test_the_end_of_a_block_says_so_too(tiny: Any, change: Callable[[nn.Linear], None]) -> None:
    model = tiny.model()
    module = model.pipeline.text_encoder.get_submodule(FC2)

    def work() -> None:
        with applied(model, tiny.patch(model, tiny.sites(model))):
            change(module)
            raise RuntimeError("the user's own error")

    with pytest.raises(WeightsChangedError) as caught:
        work()
    assert isinstance(caught.value.__context__, RuntimeError)


def test_a_second_patch_on_a_changed_weight_is_refused(tiny: Any) -> None:
    model = tiny.model()
    patch = tiny.patch(model, tiny.sites(model))
    first = apply(model, patch)
    fuse(model.pipeline.text_encoder.get_submodule(FC2))
    before = tiny.bits(model)
    with pytest.raises(WeightsChangedError):
        apply(model, patch)
    assert tiny.bits(model) == before
    first.revert(force=True)


def test_undone_change_can_be_reverted(tiny: Any) -> None:
    model = tiny.model()
    clean = tiny.bits(model)
    handle = apply(model, tiny.patch(model, tiny.sites(model)))
    module = model.pipeline.text_encoder.get_submodule(FC2)
    kept = module.weight.detach().clone()
    fuse(module)
    with pytest.raises(WeightsChangedError):
        handle.revert()
    module.weight.data.copy_(kept)
    handle.revert()
    assert tiny.bits(model) == clean


def lora(model: Model) -> Any:
    config = LoraConfig(r=2, target_modules=["fc2"], init_lora_weights=False)
    encoder = model.pipeline.text_encoder
    encoder.add_adapter(config)
    return encoder.get_submodule("encoder.layers.0.mlp.fc2")


def test_lora_fused_over_a_patch(tiny: Any, sd1: Model) -> None:
    """Neither reverting while it is fused nor after it was taken off destroys anything."""
    site = mlp_site(sd1, 0)
    clean = module_at(sd1, site).weight.detach().clone()
    handle = apply(sd1, tiny.patch(sd1, (site,)))
    layer = lora(sd1)
    assert handle.active
    layer.merge()
    with pytest.raises(WeightsChangedError, match="LoRA fused"):
        handle.revert()
    layer.unmerge()  # up to rounding: not the bits that the patch had written
    if not torch.equal(module_at(sd1, site).weight, clean):
        handle.revert(force=True)
    assert torch.equal(module_at(sd1, site).weight, clean)


def test_lora_loaded_over_a_patch_does_not_matter(tiny: Any, sd1: Model) -> None:
    site = mlp_site(sd1, 0)
    clean = module_at(sd1, site).weight.detach().clone()
    handle = apply(sd1, tiny.patch(sd1, (site,)))
    lora(sd1)
    handle.revert()
    assert torch.equal(module_at(sd1, site).weight, clean)


def test_copies_of_a_handle_are_refused(tiny: Any) -> None:
    model = tiny.model()
    clean = tiny.bits(model)
    handle = apply(model, tiny.patch(model, tiny.sites(model)))
    for copied in (copy.deepcopy, copy.copy, pickle.dumps):
        with pytest.raises(PatchError, match="keep one handle"):
            copied(handle._layer)
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(PatchError, match="keep one handle"):
            copied(handle)
    handle.revert()
    assert tiny.bits(model) == clean


def test_copy_of_a_patched_model_is_a_model_of_its_own(tiny: Any) -> None:
    model = tiny.model()
    patch = tiny.patch(model, tiny.sites(model))
    handle = apply(model, patch)
    copied = copy.deepcopy(model)
    patched = tiny.bits(copied)
    assert patched == tiny.bits(model)
    with pytest.raises(PatchError, match="fingerprint"):
        apply(copied, patch)
    handle.revert()
    assert tiny.bits(copied) == patched
