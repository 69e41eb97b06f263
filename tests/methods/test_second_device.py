"""Every method on a second device gives the patch that it gives on the CPU.

Nothing may lie on the CPU on the way: on CUDA that is an error, and here it is one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from overpaint.methods.debias import DebiasConfig, debias, debias_bulk
from overpaint.methods.diffquickfix import DiffQuickFixConfig
from overpaint.methods.finetune import FinetuneConfig
from overpaint.methods.finetune_text import FinetuneTextConfig
from overpaint.methods.locoedit import LocoEditConfig
from overpaint.methods.mass import mass
from overpaint.methods.mass_config import MassConfig
from overpaint.methods.refact import refact_each
from overpaint.methods.refact_config import ReFACTConfig
from overpaint.methods.registry import METHODS
from overpaint.methods.time_edit import TIMEConfig
from overpaint.methods.uce import UCEConfig
from overpaint.methods.uce_debias import UCEDebiasConfig, uce_debias
from overpaint.models.fingerprint import PRECISIONS, components, marks
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.weights import module_of, written_out
from overpaint.patching.apply import apply
from overpaint.patching.bind import bind
from overpaint.types import Edit, Patch

from ..other_device import Remote, move, second_device

EDITS = [Edit("a rose", "a blue rose", subject="rose"), Edit("a cat", "a green cat")]
THINGS = ("hat", "cup", "car", "bus", "tree", "boat", "chair", "lamp", "rose", "cat")
CAPTIONS = tuple(f"a {a} {b}" for a, b in product(("red", "old", "big"), THINGS))
SMALL: dict[str, Any] = {
    "layer": 0,
    "steps": 5,
    "contrast": 4,
    "learning_rate": 0.3,
    "corpus": Corpus("some", CAPTIONS),
    "templates": ("{}", "a photo of {}"),
}
TUNED: dict[str, Any] = {"layer": 0, "corpus": SMALL["corpus"], "contrast": 4, "epochs": 2}

CONFIGS = {
    "time": TIMEConfig(templates=("{}", "a photo of {}"), end_only=True),
    "time values": TIMEConfig(values_only=True),
    "uce": UCEConfig(preserve=("a hat",), onward=True),
    "locoedit": LocoEditConfig(layers=(1, 2)),
    "diffquickfix": DiffQuickFixConfig(),
    "refact": ReFACTConfig(**SMALL, covariance_weight=0.5),
    "refact identity": ReFACTConfig(**SMALL, covariance_weight=0.0, cosine=True),
    "refact direct": ReFACTConfig(**SMALL, covariance_weight=0.5, contrastive=False),
    "refact follow": ReFACTConfig(
        **SMALL, covariance_weight=0.5, follow_edits=True, match_contexts=True, stream_share=0.5
    ),
    "mass": MassConfig(**SMALL, covariance_weight=0.5, lam=0.1),
    "mass plain": MassConfig(
        **SMALL, covariance_weight=0.5, lam=0.1, padding=False, each_context=False, mentions=0
    ),
    "mass preserve": MassConfig(
        **SMALL, covariance_weight=0.5, preserve=("a hat", "a cup"), preserve_share=0.9, batch=1
    ),
    "finetune": FinetuneConfig(**TUNED, rank=2),
    "finetune-text": FinetuneTextConfig(steps=3, rank=2),
}

Make = Callable[[Model], Patch]


def remote(model: Model) -> None:
    """Put ``model`` on the second device."""
    for part in (*model.pipeline.components.values(), model.clip):
        if isinstance(part, torch.nn.Module):
            move(part)


def deltas_of(model: Model, patch: Patch) -> list[torch.Tensor]:
    """``ΔW`` of every site, ``[d_out, d_in]`` float64."""
    return [delta.dense().double() for delta in written_out(model, patch.deltas)]


def check_alike(make_model: Callable[[], Model], make: Make, tolerance: float = 1e-4) -> None:
    """The patch of ``make`` on the second device is that on the CPU, and goes on and off there."""
    here = make_model()
    wanted = make(here)
    changes, there = deltas_of(here, wanted), make_model()
    with second_device():
        remote(there)
        assert isinstance(next(there.denoiser.parameters()), Remote)
        found = make(there)
        factors = [factor for delta in found.deltas for factor in delta.factors]
        assert not any(isinstance(factor, Remote) for factor in factors)
        assert [d.site for d in found.deltas] == [d.site for d in wanted.deltas]
        for change, other in zip(deltas_of(there, found), changes, strict=True):
            assert float((change - other).norm()) <= tolerance * float(other.norm())
        assert found.fingerprints == wanted.fingerprints
        weights = [module_of(there, delta.site).weight for delta in found.deltas]
        clean = [weight.detach().cpu().clone() for weight in weights]
        handle = apply(there, wanted)
        for weight, before, change in zip(weights, clean, changes, strict=True):
            moved = weight.detach().cpu().double() - before.double()
            assert float((moved - change).norm()) <= 1e-3 * float(change.norm()) + 1e-6
        handle.revert()
        assert all(torch.equal(w.detach().cpu(), c) for w, c in zip(weights, clean, strict=True))
        bind(found, there)


@pytest.mark.parametrize("name", CONFIGS)
def test_methods(make_sd1: Callable[[], Model], name: str) -> None:
    method = METHODS[name.split()[0]]
    # Adam divides by the size of the gradient, rounding errors included.
    tolerance = 0.1 if name == "finetune" else 1e-4
    check_alike(make_sd1, lambda model: method.function(model, EDITS, CONFIGS[name]), tolerance)


def test_every_method_is_tried() -> None:
    assert {name.split()[0] for name in CONFIGS} == METHODS.keys()


@pytest.mark.parametrize("name", ["time", "uce", "locoedit", "diffquickfix", "refact"])
def test_strength_that_is_chosen(make_sd1: Callable[[], Model], name: str) -> None:
    method, config = METHODS[name], CONFIGS[name]
    auto = dict.fromkeys(type(config).STRENGTH)
    chosen = replace(config, **auto)
    check_alike(make_sd1, lambda model: method.function(model, EDITS[:1], chosen))


def test_many_edits_side_by_side(make_sd1: Callable[[], Model]) -> None:
    config = ReFACTConfig(**SMALL, covariance_weight=0.5)
    for number in range(2):
        check_alike(make_sd1, lambda model, n=number: refact_each(model, EDITS, config)[n])


def test_mass_over_two_layers() -> None:
    config = MassConfig(**{**SMALL, "layer": 3}, spread=2, covariance_weight=0.5)
    check_alike(lambda: load("toybox"), lambda model: mass(model, EDITS, config), 1e-3)


def half(_prompt: str) -> float:
    return 0.3


def shares(_prompt: str) -> Sequence[float]:
    return (0.3, 0.7)


def test_debiasing(make_sd1: Callable[[], Model]) -> None:
    edits = [Edit("a nurse", "a male nurse"), Edit("a chef", "a female chef")]
    config = DebiasConfig(steps=2)
    check_alike(make_sd1, lambda model: debias(model, edits, half, config)[0])
    check_alike(make_sd1, lambda model: debias_bulk(model, edits, half, config))
    fair, people = UCEDebiasConfig(steps=2, preserve=("a hat",)), ["a man", "a woman"]
    check_alike(
        make_sd1, lambda model: uce_debias(model, ["a nurse", "a chef"], people, shares, fair)
    )


def test_both_encoders_of_sdxl(make_sdxl: Callable[[], Model]) -> None:
    for name in ("time", "uce"):
        method = METHODS[name]
        check_alike(make_sdxl, lambda m, f=method.function, c=CONFIGS[name]: f(m, EDITS, c))


def test_fingerprints_are_those_of_the_cpu(make_sd1: Callable[[], Model]) -> None:
    here = make_sd1()
    wanted, there = {name: marks(here, name, PRECISIONS) for name in components(here)}, make_sd1()
    with second_device():
        remote(there)
        assert {name: marks(there, name, PRECISIONS) for name in wanted} == wanted
