"""Patches that do not belong to the model are refused, and what counts as the same model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from overpaint.errors import PatchError
from overpaint.models.fingerprint import fingerprint, marks
from overpaint.patching.apply import applied, apply
from overpaint.types import Delta, RelativeDelta, Site

from .conftest import some_patches


def test_patch_of_another_model_needs_force(tiny: Any) -> None:
    model, other = tiny.model(), tiny.model(seed=5)
    clean = tiny.bits(model)
    patch = tiny.patch(other, tiny.sites(other))
    wanted, found = patch.fingerprints["text_encoder"][0], marks(model, "text_encoder")[0]
    with pytest.raises(PatchError, match=f"text_encoder .*{wanted[:16]}.*{found[:16]}"):
        apply(model, patch)
    assert tiny.bits(model) == clean
    apply(model, patch, force=True).revert()
    assert tiny.bits(model) == clean


HALVES = (torch.float16, torch.bfloat16)


@pytest.mark.parametrize("half", HALVES)
def test_same_weights_in_half_precision_are_the_same_model(tiny: Any, half: torch.dtype) -> None:
    whole, rounded = tiny.model(), tiny.model(dtype=half)
    assert fingerprint(whole) != fingerprint(rounded)
    for made, used in ((whole, rounded), (rounded, whole)):
        apply(used, tiny.relative(made, tiny.sites(made))).revert()
    with torch.no_grad():
        weight = rounded.pipeline.text_encoder.get_submodule("encoder.layers.0.mlp.fc2").weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0, dtype=half))
    for made, used in ((whole, rounded), (rounded, whole)):
        with pytest.raises(PatchError, match="fingerprint"):
            apply(used, tiny.patch(made, tiny.sites(made)))


def test_two_ways_of_rounding_are_two_models(tiny: Any) -> None:
    half, brain = (tiny.model(dtype=dtype) for dtype in HALVES)
    with pytest.raises(PatchError, match="fingerprint"):
        apply(brain, tiny.patch(half, tiny.sites(half)))


WRONG_SITES = {
    "other width": Site("text_encoder", "encoder.layers.0.mlp.fc2", 4, 7),
    "other name": Site("text_encoder", "encoder.layers.9.mlp.fc2", 4, 6),
    "other network": Site("transformer", "encoder.layers.0.mlp.fc2", 4, 6),
}


@pytest.mark.parametrize("site", WRONG_SITES.values(), ids=WRONG_SITES)
def test_shapes_and_names_must_fit_even_with_force(tiny: Any, site: Site) -> None:
    model = tiny.model()
    clean = tiny.bits(model)
    good = tiny.patch(model, tiny.sites(model))
    bad = Delta(site, torch.ones(1, site.d_in), torch.ones(site.d_out, 1))
    with pytest.raises(PatchError, match="does not fit"):
        apply(model, replace(good, deltas=(*good.deltas, bad)), force=True)
    assert tiny.bits(model) == clean


DAMAGED = {
    "finite": (torch.full((2, 6), torch.nan), torch.ones(4, 2)),
    "float32": (torch.ones(2, 6).half(), torch.ones(4, 2)),
    r"a \[r, 6\]": (torch.ones(2, 5), torch.ones(4, 2)),
    r"b \[4, r\]": (torch.ones(2, 6), torch.ones(4, 3)),
    "factors": (torch.ones(0, 6), torch.ones(4, 0)),
}
DAMAGED_RELATIVE = {
    "finite numbers .* in left": (torch.full((6, 2), torch.inf), torch.ones(2, 6)),
    "float32 .* in left": (torch.ones(6, 2).half(), torch.ones(2, 6)),
    r"left \[6, r\] .* \[2, 6\] and \[4, 2\]": (torch.ones(4, 2), torch.ones(2, 6)),
}


@pytest.mark.parametrize("match", DAMAGED)
def test_damaged_patch_is_refused(tiny: Any, match: str) -> None:
    model = tiny.model()
    delta = Delta(tiny.sites(model)[0], *DAMAGED[match])
    patch = replace(tiny.patch(model, ()), deltas=(delta,))
    with pytest.raises(PatchError, match=match):
        apply(model, patch, force=True)


@pytest.mark.parametrize("match", DAMAGED_RELATIVE)
def test_damaged_relative_patch_is_refused(tiny: Any, match: str) -> None:
    model = tiny.model()
    delta = RelativeDelta(tiny.sites(model)[0], *DAMAGED_RELATIVE[match])
    with pytest.raises(PatchError, match=match):
        apply(model, replace(tiny.patch(model, ()), deltas=(delta,)), force=True)


def test_fingerprint_is_of_the_clean_weights_while_patches_are_on(tiny: Any) -> None:
    model = tiny.model()
    clean = fingerprint(model)
    first, _, second, third, *_ = some_patches(tiny, model)
    with applied(model, first, second):
        assert fingerprint(model) == clean
        apply(model, third).revert()  # not refused
    with torch.no_grad():
        model.pipeline.text_encoder.get_submodule("encoder.layers.0.mlp.fc2").weight[0, 0] += 1
    assert fingerprint(model) != clean
