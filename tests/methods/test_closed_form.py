"""One L and one A for all sites, whatever lies on the model while they are computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from overpaint.errors import SiteError
from overpaint.methods.closed_form import deltas_at, solve
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.weights import with_deltas
from overpaint.types import Change, Delta, RelativeDelta, Site

D = 128


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def factors(rank: int, seed: int) -> tuple[Tensor, Tensor]:
    return normal(D, rank, seed=seed) / D, normal(rank, D, seed=seed + 100)


def reads(model: Model, sites: tuple[Site, ...], deltas: tuple[Change, ...]) -> list[Tensor]:
    """The weights of ``sites`` with ``deltas`` on the model as well, float64."""
    with with_deltas(model, deltas):
        return [module_at(model, site).weight.detach().double() for site in sites]


@pytest.mark.usefixtures("untouched")
def test_nothing_is_computed_for_any_one_site(toybox: Model) -> None:
    left, a = factors(3, seed=1)
    made = deltas_at(toybox, toybox.family.path(toybox, "sequence").sites, left, a)
    assert len(made) == 32
    assert all(d.factors[0] is a and d.factors[1] is left for d in made)
    assert all(isinstance(d, RelativeDelta) for d in made)


@pytest.mark.usefixtures("untouched")
def test_on_top_of_other_patches_the_change_is_that_of_the_weights_found(toybox: Model) -> None:
    """W (I + L A) of the patched W, though the deltas lie beside what they were computed on."""
    sites = toybox.family.path(toybox, "sequence").sites[:4]
    first, second, third = (factors(3, seed) for seed in (1, 2, 3))
    plain = Delta(sites[3], normal(2, D, seed=4), normal(sites[3].d_out, 2, seed=5) / D)
    below = deltas_at(toybox, sites[1:], *first)
    with with_deltas(toybox, below):
        # Site 0 has nothing under it, 1 one relative delta, 2 two of them, 3 a plain one as well.
        above = (*deltas_at(toybox, sites[2:], *second), plain)
        with with_deltas(toybox, above):
            found = reads(toybox, sites, ())
            made = deltas_at(toybox, sites, *third)
            got = reads(toybox, sites, made)
    for weight, changed in zip(found, got, strict=True):
        want = weight + weight @ third[0].double() @ third[1].double()
        assert (changed - want).norm() <= 1e-6 * (want - weight).norm()
    assert [isinstance(d, RelativeDelta) for d in made] == [True, True, True, False]
    assert made[0].factors[1] is third[0]


@pytest.mark.usefixtures("untouched")
def test_sites_that_found_the_same_share_what_they_make_of_it(toybox: Model) -> None:
    sites = toybox.family.path(toybox, "sequence").sites
    with with_deltas(toybox, deltas_at(toybox, sites, *factors(3, seed=1))):
        made = deltas_at(toybox, sites, *factors(2, seed=2))
    assert len({id(d.factors[1]) for d in made}) == 1


@pytest.mark.parametrize("n", [7, 300])
def test_rank_is_at_most_the_rows_that_move_and_the_width(n: int) -> None:
    keys = normal(n, D)
    wanted = keys.clone()
    wanted[: n - 2] += normal(n - 2, D, seed=1)
    left, a = solve(keys, wanted, 0.1)
    assert left.shape == (D, len(a))
    assert len(a) == min(n - 2, D)
    twice = solve(keys.repeat(2, 1), wanted.repeat(2, 1), 0.2)
    assert len(twice[1]) == len(a)  # repeated prompts add nothing
    assert torch.allclose(twice[0] @ twice[1], left @ a, atol=1e-5)


def test_sites_of_another_width_are_refused(toybox: Model) -> None:
    with pytest.raises(SiteError, match="numbers per token"):
        deltas_at(toybox, [mlp_site(toybox, 0)], *factors(2, seed=1))
