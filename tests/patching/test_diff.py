"""What differs between two patches, against dense matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from overpaint.errors import PatchError
from overpaint.models.weights import module_of
from overpaint.patching.bind import bind
from overpaint.patching.diff import diff
from overpaint.types import Delta, Edit, Patch, Site

SITE = Site("unet", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 5, 7)


def delta(rank: int, seed: int, site: Site = SITE) -> Delta:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, site.d_in, generator=generator)
    return Delta(site, a, torch.randn(site.d_out, rank, generator=generator))


def patch(*deltas: Delta) -> Patch:
    return Patch(deltas, "time", (Edit("a rose", "a blue rose"),), {}, {"lam": 0.1, "old": 1})


@settings(max_examples=25, deadline=None)
@given(ranks=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 99))
def test_norms_and_cosine_are_those_of_the_dense_changes(
    ranks: tuple[int, int, int], seed: int
) -> None:
    one, more, two = (delta(rank, seed + n) for n, rank in enumerate(ranks))
    (found,) = diff(patch(one, more), patch(two)).sites
    a = one.dense().double() + more.dense().double()
    b = two.dense().double()
    assert (found.rank_a, found.rank_b) == (ranks[0] + ranks[1], ranks[2])
    assert found.norm_a == pytest.approx(float(a.norm()), rel=1e-5)
    assert found.norm_b == pytest.approx(float(b.norm()), rel=1e-5)
    assert found.distance == pytest.approx(float((a - b).norm()), rel=1e-5)
    assert found.cosine == pytest.approx(float((a * b).sum() / (a.norm() * b.norm())), abs=1e-5)


def test_equal_patches_are_the_same() -> None:
    factors = delta(2, 0)
    one = patch(factors)
    found = diff(one, one)
    assert found.same
    assert not found.settings
    assert found.sites[0].distance < 1e-12 * found.sites[0].norm_a
    assert found.sites[0].cosine == pytest.approx(1)
    # The same change in other factors is close, not the same.
    split = replace(factors, a=factors.a * 2, b=factors.b / 2)
    found = diff(one, patch(split))
    assert not found.same
    assert found.sites[0].distance < 1e-12 * found.sites[0].norm_a


def test_sites_of_one_patch_only_and_settings_that_differ_are_listed() -> None:
    other = Site("text_encoder", "encoder.layers.9.mlp.fc2", 4, 6)
    inner = replace(other, name=f"text_model.{other.name}")
    one = patch(delta(2, 0), delta(1, 1, inner))
    two = replace(patch(delta(1, 3, other)), method="uce", config={"lam": 0.5, "new": None})
    found = diff(one, two)
    assert [(s.component, s.rank_a, s.rank_b) for s in found.sites] == [
        ("unet", 2, 0),
        ("text_encoder", 1, 1),
    ]
    assert found.sites[0].distance == found.sites[0].norm_a > found.sites[0].norm_b == 0
    assert found.sites[0].cosine == 0
    assert found.settings == (
        ("method", "time", "uce"),
        ("config.lam", 0.1, 0.5),
        ("config.old", 1, None),
    )


def test_sites_of_other_widths_are_orthogonal() -> None:
    wide = replace(SITE, d_in=9)
    (found,) = diff(patch(delta(1, 0)), patch(delta(1, 1, wide))).sites
    assert found.cosine == 0
    assert found.distance == pytest.approx((found.norm_a**2 + found.norm_b**2) ** 0.5)


def test_relative_patches_are_compared_by_what_they_do_to_their_model(tiny: Any) -> None:
    model, other = tiny.model(), tiny.model(seed=5)
    sites = tiny.sites(model)
    one, two = tiny.relative(model, sites, seed=1), tiny.relative(model, sites[1:], seed=2)
    found = diff(one, two, model=model)
    weight = module_of(model, sites[1]).weight.detach()
    change = [delta.change(weight) for delta in (one.deltas[1], two.deltas[0])]
    assert found.sites[1].norm_a == pytest.approx(float(change[0].norm()), rel=1e-5)
    assert found.sites[1].distance == pytest.approx(float((change[0] - change[1]).norm()), rel=1e-5)
    assert found.sites[0].norm_b == 0
    assert not found.same
    written = diff(one, bind(one, model), model=model)
    assert written.same
    assert not written.settings
    with pytest.raises(PatchError, match="got none"):
        diff(one, two)
    with pytest.raises(PatchError, match="fingerprint"):
        diff(one, two, model=other)
    assert diff(one, two, model=other, force=True).sites[0].norm_a != found.sites[0].norm_a


def test_damaged_patch_is_refused(tiny: Any) -> None:
    good = patch(delta(1, 0))
    bad = patch(replace(delta(1, 0), a=torch.ones(1, 3)))
    with pytest.raises(PatchError, match="damaged"):
        diff(good, bad)
