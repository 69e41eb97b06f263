"""A corpus in Toybox's words, and the guard that a method leaves the model as it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor

from overpaint.models.model import Model
from overpaint.models.moments import Corpus


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    colours = ("red", "blue", "green", "yellow", "purple", "orange")
    things = ("car", "cat", "dog", "house", "boat", "frog", "bird", "tulip", "pear", "cup", "hat")
    places = ("", " in the park", " on the beach", " at night", " in the snow")
    captions = tuple(f"a {c} {t}{p}" for c, t, p in product(colours, things, places))
    return Corpus("test-captions", captions)


def weights_of(model: Model) -> dict[str, Tensor]:
    """A copy of every weight that an edit could touch, and whether it asks for gradients."""
    parts = [("denoiser", model.denoiser), ("text", model.component("text_encoder"))]
    return {f"{p}.{k}": v.detach().clone() for p, m in parts for k, v in m.named_parameters()}


@pytest.fixture
def untouched(toybox: Model) -> Iterator[None]:
    """Fails unless every weight has the same bits after the test as before."""
    before = weights_of(toybox)
    yield
    after = weights_of(toybox)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    text = toybox.component("text_encoder")
    assert not any(p.requires_grad or p.grad is not None for p in text.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in text.modules())
