"""Every method on a GPU gives the CPU's patch; pictures agree; edits come off bit for bit.

These tests need CUDA and are skipped, by name, where there is none. ``make gpu`` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import overpaint as op
from overpaint.methods.registry import METHODS
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.weights import written_out
from overpaint.types import Edit, Patch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

EDITS = (Edit("a rose", "a blue rose"), Edit("a car", "a green car"))
CLOSED = ("time", "uce", "locoedit", "diffquickfix")
PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(scope="module")
def on_gpu() -> Callable[[torch.dtype], Model]:
    known: dict[torch.dtype, Model] = {}

    def make(dtype: torch.dtype) -> Model:
        if dtype not in known:
            known[dtype] = load("toybox", device="cuda", dtype=dtype)
        return known[dtype]

    return make


def config(model: Model, method: str) -> Any:
    return op.chosen(model, method)


def computed(model: Model, method: str) -> Patch:
    return METHODS[method].function(model, EDITS, config(model, method))


def bits(model: Model) -> list[torch.Tensor]:
    parts = (*model.text_encoders, model.family.denoiser)
    return [w.detach().clone() for part in parts for w in model.component(part).parameters()]


def distance(ours: Patch, theirs: Patch, model: Model) -> float:
    """Relative distance of all changes together, written out on the CPU."""
    pairs = zip(written_out(model, ours.deltas), written_out(model, theirs.deltas), strict=True)
    apart = whole = 0.0
    for one, other in pairs:
        apart += float((one.dense() - other.dense()).double().square().sum())
        whole += float(other.dense().double().square().sum())
    return (apart / whole) ** 0.5


@pytest.mark.parametrize("method", METHODS)
def test_the_patch_is_the_cpus(
    toybox: Model, on_gpu: Callable[[torch.dtype], Model], method: str
) -> None:
    found = distance(computed(on_gpu(torch.float32), method), computed(toybox, method), toybox)
    # Training multiplies rounding; the others solve one system of equations.
    bound = 1e-4 if method in CLOSED else 0.1 if method.startswith("finetune") else 1e-3
    assert found <= bound


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_edits_come_off_bit_for_bit(
    on_gpu: Callable[[torch.dtype], Model], method: str, dtype: torch.dtype
) -> None:
    model = on_gpu(dtype)
    before = bits(model)
    patch = computed(model, method)
    assert all(torch.equal(a, b) for a, b in zip(before, bits(model), strict=True))
    with op.applied(model, patch):
        assert not all(torch.equal(a, b) for a, b in zip(before, bits(model), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, bits(model), strict=True))


def test_pictures_are_the_cpus(toybox: Model, on_gpu: Callable[[torch.dtype], Model]) -> None:
    pictures = [
        op.generate(model, ["a rose", "a cat in the snow"], [0, 1], output_type="pt").int()
        for model in (toybox, on_gpu(torch.float32))
    ]
    assert int((pictures[0] - pictures[1]).abs().max()) <= 1


def test_fingerprints_are_the_cpus(toybox: Model, on_gpu: Callable[[torch.dtype], Model]) -> None:
    assert op.fingerprint(on_gpu(torch.float32)) == op.fingerprint(toybox)


def test_a_patch_of_one_device_fits_the_other(
    toybox: Model, on_gpu: Callable[[torch.dtype], Model]
) -> None:
    patch = computed(toybox, "time")
    for dtype in PRECISIONS:
        with op.applied(on_gpu(dtype), patch):
            pass
