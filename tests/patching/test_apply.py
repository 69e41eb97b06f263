"""Patches go on in order and come off bit for bit, whatever happens meanwhile."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from overpaint.errors import PatchError, SiteError
from overpaint.models import weights
from overpaint.models.fingerprint import marks
from overpaint.patching.apply import Applied, applied, apply
from overpaint.patching.bind import bind
from overpaint.types import Delta, RelativeDelta, Site

from .conftest import some_patches


@settings(max_examples=40, deadline=None)
@given(
    moves=st.lists(st.integers(0, 5), min_size=1, max_size=10),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_weights_are_those_of_the_patches_that_are_left(
    tiny: Any, moves: list[int], dtype: torch.dtype
) -> None:
    model = tiny.model(dtype=dtype)
    clean = tiny.bits(model)
    patches = some_patches(tiny, model)
    on: dict[int, Applied] = {}
    for move in moves:  # a move takes its patch off when it is on, and puts it on when it is off
        if move in on:
            on.pop(move).revert()
        else:
            on[move] = apply(model, patches[move])
        fresh = tiny.model(dtype=dtype)
        with applied(fresh, *(patches[n] for n in on)):
            assert tiny.bits(model) == tiny.bits(fresh)
    for handle in on.values():
        handle.revert()
    assert tiny.bits(model) == clean


def test_patched_weight_is_original_plus_all_deltas(tiny: Any) -> None:
    model = tiny.model()
    site = tiny.sites(model)[0]
    module = weights.module_of(model, site)
    want = module.weight.detach().double()
    first, twice, text, _, relative, again = some_patches(tiny, model)
    clean = want
    for patch in (first, twice, text):
        for delta in patch.deltas:
            if delta.site == site:
                a, b = (factor.double() for factor in delta.factors)
                want = want + b @ a
    for delta in (relative.deltas[0], *again.deltas[:2]):
        a, left = (factor.double() for factor in delta.factors)
        want = want + clean @ left @ a  # of the clean weight, though others lie under it
    with applied(model, first, relative, twice, again, text):
        assert torch.allclose(module.weight.double(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_patch_bound_to_its_model_changes_it_bit_for_bit_alike(
    tiny: Any, dtype: torch.dtype
) -> None:
    model = tiny.model(dtype=dtype)
    sites = tiny.sites(model)
    patch, below = tiny.relative(model, sites), tiny.patch(model, sites, seed=8)
    with applied(model, below, patch):
        want = tiny.bits(model)
    with applied(model, below):  # what else is on the model does not count
        plain = bind(patch, model)
    assert patch.relative
    assert not plain.relative
    assert all(isinstance(delta, Delta) for delta in plain.deltas)
    with applied(model, below, plain):
        assert tiny.bits(model) == want


def test_relative_patch_is_bound_to_no_other_model(tiny: Any) -> None:
    model, other = tiny.model(), tiny.model(seed=5)
    patch = tiny.relative(model, tiny.sites(model))
    wanted, found = patch.fingerprints["text_encoder"][0], marks(other, "text_encoder")[0]
    with pytest.raises(PatchError, match=f"text_encoder .*{wanted[:16]}.*{found[:16]}"):
        bind(patch, other)
    forced, own = bind(patch, other, force=True), bind(patch, model)
    assert not torch.equal(forced.deltas[0].factors[1], own.deltas[0].factors[1])
    odd = replace(patch.deltas[0], site=replace(patch.deltas[0].site, name="encoder.layers.7"))
    with pytest.raises(PatchError, match="does not fit"):
        bind(replace(patch, deltas=(odd,)), model, force=True)


def test_shared_factors_count_once(tiny: Any) -> None:
    model = tiny.model()
    patch = tiny.relative(model, tiny.sites(model), rank=2)
    assert patch.nbytes == 4 * 2 * (2 * 6 + 2 * 4)
    assert patch.parameters == 2 * 4 * 6 + 2 * 5 * 4


def test_revert_keeps_negative_zeros_and_every_other_bit(tiny: Any) -> None:
    model = tiny.model()
    weight = model.pipeline.text_encoder.get_submodule("encoder.layers.0.mlp.fc2").weight
    with torch.no_grad():
        weight[0] = torch.tensor([0.0, -0.0, 1e-42, 3e38, -1e-45, 1.0])
    clean = tiny.bits(model)
    handle = apply(model, tiny.patch(model, tiny.sites(model)))
    assert handle.active
    assert tiny.bits(model) != clean
    handle.revert()
    handle.revert()
    assert not handle.active
    assert tiny.bits(model) == clean


def test_exception_inside_takes_patches_off(tiny: Any) -> None:
    model = tiny.model()
    clean = tiny.bits(model)

    def paint() -> None:
        with applied(model, *some_patches(tiny, model)):
            assert tiny.bits(model) != clean
            raise RuntimeError("painting failed")

    with pytest.raises(RuntimeError, match="painting failed"):
        paint()
    assert tiny.bits(model) == clean


def test_second_patch_that_does_not_fit_takes_first_off(tiny: Any) -> None:
    model, other = tiny.model(), tiny.model(seed=5)
    clean = tiny.bits(model)
    good, bad = tiny.patch(model, tiny.sites(model)), tiny.patch(other, tiny.sites(other))
    with pytest.raises(PatchError), applied(model, good, bad):
        pass
    assert tiny.bits(model) == clean


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_failed_write_leaves_no_trace(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    model = tiny.model()
    first, second = some_patches(tiny, model)[:2]
    patch = replace(first, deltas=first.deltas[1:])
    below = apply(model, second)
    before = tiny.bits(model)
    write, calls = weights._write, []

    def failing(*args: Any) -> None:
        calls.append(args)
        if len(calls) == broken:
            raise MemoryError("out of memory")
        write(*args)

    monkeypatch.setattr(weights, "_write", failing)
    with pytest.raises(MemoryError):
        apply(model, patch)
    assert tiny.bits(model) == before
    below.revert()
    assert not weights._STACKS


def test_interrupted_revert_can_be_done_again(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model()
    clean = tiny.bits(model)
    handle = apply(model, tiny.patch(model, tiny.sites(model)))
    with monkeypatch.context() as patched:
        patched.setattr(weights, "_write", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            handle.revert()
    assert tiny.bits(model) != clean
    handle.revert()
    assert tiny.bits(model) == clean
    assert not weights._STACKS


def twin(kind: str, tiny: Any, model: Any) -> nn.Module:
    """A second text encoder that shares the first one's weights in one of three ways."""
    encoder = model.pipeline.text_encoder
    if kind == "module":
        return encoder
    copy = tiny.model(seed=9).pipeline.text_encoder
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear):
            other = copy.get_submodule(name)
            shared = nn.Parameter(module.weight.data) if kind == "storage" else module.weight
            other.weight = shared
    return copy


@pytest.mark.parametrize("kind", ["module", "parameter", "storage"])
def test_weights_under_two_names_change_once_and_come_back(tiny: Any, kind: str) -> None:
    model = tiny.model()
    model.pipeline.text_encoder_2 = twin(kind, tiny, model)
    site = tiny.sites(model)[0]
    clean, patch = tiny.bits(model), tiny.patch(model, (site,))
    second = replace(
        patch, deltas=(replace(patch.deltas[0], site=replace(site, component="text_encoder_2")),)
    )
    alone = tiny.model()
    with applied(alone, patch):
        once = tiny.bits(alone)
    with applied(alone, patch, patch):
        twice = tiny.bits(alone)
    first = apply(model, patch)
    assert tiny.bits(model) == once
    with applied(model, second):
        assert tiny.bits(model) == twice
        first.revert()
        assert tiny.bits(model) == once
    assert tiny.bits(model) == clean
    both = replace(patch, deltas=(*patch.deltas, *second.deltas))
    with applied(model, both):
        assert tiny.bits(model) == twice
    assert tiny.bits(model) == clean


@pytest.mark.parametrize("made", ["", "text_model."])
@pytest.mark.parametrize("used", ["", "text_model."])
def test_patch_fits_both_layouts_of_transformers(tiny: Any, made: str, used: str) -> None:
    site = Site("text_encoder", f"{made}encoder.layers.0.mlp.fc2", 4, 6)
    patch = tiny.patch(tiny.model(inner=made), (site,))
    model = tiny.model(inner=used)
    assert marks(model, "text_encoder") == patch.fingerprints["text_encoder"][:1]
    weight = model.pipeline.text_encoder.get_submodule(f"{used}encoder.layers.0.mlp.fc2").weight
    clean = weight.clone()
    with applied(model, patch):
        assert torch.allclose(weight - clean, patch.deltas[0].change(clean), atol=1e-5)
    assert torch.equal(weight, clean)


def test_with_deltas_lies_on_top_of_patches(tiny: Any) -> None:
    model = tiny.model()
    first, second = some_patches(tiny, model)[:2]
    with applied(model, first):
        below = tiny.bits(model)

        def optimise() -> None:
            with weights.with_deltas(model, second.deltas):
                assert tiny.bits(model) != below
                raise RuntimeError("did not converge")

        with pytest.raises(RuntimeError, match="did not converge"):
            optimise()
        assert tiny.bits(model) == below
        bad = Delta(second.deltas[0].site, torch.ones(1, 5), torch.ones(4, 1))
        wide = RelativeDelta(second.deltas[0].site, torch.ones(5, 1), torch.ones(1, 5))
        for odd in (bad, wide):
            with pytest.raises(SiteError), weights.with_deltas(model, (*second.deltas, odd)):
                pass
        assert tiny.bits(model) == below


def test_graph_through_weights_that_changed_is_an_error_not_a_wrong_gradient(tiny: Any) -> None:
    model = tiny.model()
    module = model.pipeline.text_encoder.get_submodule("encoder.layers.0.mlp.fc2")
    x = torch.ones(1, 6, requires_grad=True)
    y = module(x).sum()
    with (
        applied(model, tiny.patch(model, tiny.sites(model))),
        pytest.raises(RuntimeError, match="inplace operation"),
    ):
        y.backward()


def test_model_thrown_away_with_a_patch_on_is_freed(tiny: Any) -> None:
    model = tiny.model()
    apply(model, tiny.patch(model, tiny.sites(model)))
    alive = weakref.ref(model.pipeline.text_encoder)
    assert weights._STACKS
    del model
    gc.collect()
    assert alive() is None
    assert not weights._STACKS
