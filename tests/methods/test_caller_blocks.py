"""Edits do not depend on the blocks that the caller is in: autocast, default number formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

import overpaint as op
import random_models
from overpaint.types import Change, RelativeDelta

EDIT = op.Edit("a rose", "a blue tulip", destination="a blue rose")
METHODS: dict[str, Callable[[op.Model], op.Patch]] = {
    "time": lambda m: op.time_edit(m, [EDIT]),
    "uce": lambda m: op.uce(m, [EDIT]),
    "locoedit": lambda m: op.locoedit(m, [EDIT], op.LocoEditConfig(layers=(0, 1))),
    "diffquickfix": lambda m: op.diffquickfix(m, [EDIT]),
    "refact": lambda m: op.refact(
        m, [EDIT], op.ReFACTConfig(layer=1, steps=2, covariance_weight=0)
    ),
    "finetune": lambda m: op.finetune(m, [EDIT], op.FinetuneConfig(layer=1, epochs=1)),
    "finetune-text": lambda m: op.finetune_text(m, [EDIT], op.FinetuneTextConfig(steps=1)),
}


@pytest.fixture
def model() -> op.Model:
    return op.load(random_models.build("SD1"))


@pytest.fixture(params=[torch.bfloat16, torch.float64], ids=["bfloat16", "float64"])
def default_dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def factors(delta: Change) -> tuple[Tensor, Tensor]:
    return (delta.left if isinstance(delta, RelativeDelta) else delta.b), delta.a


def same(first: op.Patch, second: op.Patch) -> bool:
    pairs = zip(first.deltas, second.deltas, strict=True)
    return all(torch.equal(x, y) for p in pairs for x, y in zip(*map(factors, p), strict=True))


def picture(model: op.Model) -> Tensor:
    return op.generate(model, "a rose", [0], steps=1, output_type="pt")


@pytest.mark.parametrize("method", METHODS)
def test_a_patch_is_the_same_under_autocast(model: op.Model, method: str) -> None:
    plain = METHODS[method](model)
    with torch.autocast("cpu", torch.bfloat16):
        cast = METHODS[method](model)
    assert same(plain, cast)


@pytest.mark.parametrize("method", ["time", "refact", "diffquickfix"])
def test_a_patch_acts_and_comes_off_under_autocast(model: op.Model, method: str) -> None:
    """Autocast keeps the weights it has cast, which must not be those before the edit."""
    patch = METHODS[method](model)
    for network in (model.denoiser, model.component("text_encoder")):
        network.requires_grad_(True)  # or else nothing is kept
    with torch.autocast("cpu", torch.bfloat16):
        before = picture(model)
        with op.applied(model, patch):
            inside = picture(model)
        after = picture(model)
    with op.applied(model, patch), torch.autocast("cpu", torch.bfloat16):
        wanted = picture(model)
    assert not torch.equal(inside, before)
    assert torch.equal(inside, wanted)
    assert torch.equal(after, before)


@pytest.mark.parametrize("method", METHODS)
def test_a_patch_is_the_same_under_another_default(
    model: op.Model, method: str, default_dtype: torch.dtype
) -> None:
    found = METHODS[method](model)
    torch.set_default_dtype(torch.float32)
    assert same(found, METHODS[method](model)), default_dtype
