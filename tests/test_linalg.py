"""Every closed form against brute-force minimisation and the form that the papers print."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from overpaint import linalg
from overpaint.errors import EditError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got: Tensor, want: Tensor, tolerance: float = 1e-5) -> bool:
    return bool((got.double() - want.double()).norm() <= tolerance * want.double().norm())


def minimise(loss, d_out: int, d_in: int) -> Tensor:
    """``ΔW [d_out, d_in]`` that minimises ``loss`` by L-BFGS from zero, knowing nothing else."""
    delta = torch.zeros(d_out, d_in, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [delta],
        max_iter=3000,
        tolerance_grad=1e-13,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
        history_size=50,
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(delta)
        value.backward()
        return value

    optimiser.step(closure)
    return delta.detach()


@pytest.mark.parametrize(("n", "d_in"), [(3, 7), (7, 7), (12, 5)])
def test_ridge_is_the_minimum(n: int, d_in: int) -> None:
    keys, residuals, lam = normal(n, d_in), normal(n, 4, seed=1), 0.3
    weights = torch.linspace(0.5, 2.0, n, dtype=torch.float64)
    a, b = linalg.ridge(keys, residuals, lam, weights)
    brute = minimise(
        lambda w: (weights[:, None] * (keys @ w.T - residuals) ** 2).sum() + lam * (w**2).sum(),
        4,
        d_in,
    )
    assert close(b @ a, brute)
    assert a.shape == (min(n, d_in), d_in)
    assert a.dtype == b.dtype == torch.float32


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.floats(-8, 3), st.integers(0, 1000))
def test_ridge_equals_the_papers_form(n: int, d_in: int, exponent: float, seed: int) -> None:
    """W' = (λW + Σ v* cᵀ)(λI + Σ c cᵀ)⁻¹, TIME eq. 5, down to λ = 1e-8."""
    lam = 10.0**exponent
    keys, weight = normal(n, d_in, seed=seed), normal(6, d_in, seed=seed + 1)
    wanted = normal(n, 6, seed=seed + 2)
    a, b = linalg.ridge(keys, wanted - keys @ weight.T, lam)
    inverse = torch.linalg.inv(lam * torch.eye(d_in).double() + keys.T @ keys)
    printed = (lam * weight + wanted.T @ keys) @ inverse - weight
    # The printed form itself loses digits as λ falls; where it cannot be trusted, its own
    # optimality condition is checked instead.
    if lam > 1e-4:
        assert close(b @ a, printed, 2e-5)
    delta = linalg.ridge_factor(keys, lam).T @ (wanted - keys @ weight.T)
    gradient = keys.T @ (keys @ delta - (wanted - keys @ weight.T)) + lam * delta
    assert gradient.norm() <= 1e-9 * (keys.T @ (wanted - keys @ weight.T)).norm()


def test_ridge_stays_accurate_for_tiny_lambda_and_repeated_keys() -> None:
    """Keys as in TIME: repeated rows make K Kᵀ singular, and λ = 1e-8 is all that is left."""
    keys = 28 * torch.nn.functional.normalize(normal(20, 64), dim=1)
    keys = torch.cat([keys, keys[:5], keys[:1]])
    residuals = normal(26, 8, seed=1)
    a, b = linalg.ridge(keys, residuals, 1e-8)
    u, s, vt = torch.linalg.svd(keys, full_matrices=False)
    exact = residuals.T @ (u[:, s > 1e-6] * (1 / s[s > 1e-6])) @ vt[s > 1e-6]
    assert close(residuals.T @ linalg.ridge_factor(keys, 1e-8), exact)
    assert close(b.double() @ a.double(), exact)


def test_a_preserved_key_is_held() -> None:
    keys, residuals = normal(2, 8), normal(2, 3, seed=1)
    residuals[1] = 0
    a, b = linalg.ridge(keys, residuals, 1e-6)
    moved = (b @ a).double() @ keys.T
    assert close(moved[:, 0], residuals[0], 1e-3)
    assert moved[:, 1].norm() < 1e-3 * moved[:, 0].norm()


def spd(d: int) -> Tensor:
    root = normal(3 * d, d, seed=5) * torch.linspace(0.2, 3, d, dtype=torch.float64)
    return root.T @ root / (3 * d)


@pytest.mark.parametrize("n", [2, 9])
def test_covariance_ridge_is_the_minimum(n: int) -> None:
    keys, residuals, c = normal(n, 6), normal(n, 4, seed=1), spd(6)
    a, b = linalg.covariance_ridge(keys, residuals, 0.2, c)
    brute = minimise(
        lambda w: ((keys @ w.T - residuals) ** 2).sum() + 0.2 * torch.trace(w @ c @ w.T), 4, 6
    )
    assert close(b @ a, brute)


def test_covariance_ridge_with_identity_is_ridge() -> None:
    keys, residuals = normal(3, 6), normal(3, 4, seed=1)
    a, b = linalg.covariance_ridge(keys, residuals, 0.2, torch.eye(6))
    a0, b0 = linalg.ridge(keys, residuals, 0.2)
    assert close(b @ a, b0 @ a0)


def test_rank_one_adds_exactly_the_residual_and_least_elsewhere() -> None:
    """ΔW k = r; among all such ΔW it minimises tr(ΔW C ΔWᵀ) when k = k* (ROME's constraint)."""
    key, residual, c = normal(6), normal(4, seed=1), spd(6)
    a, b = linalg.rank_one(key, residual, c)
    delta = (b @ a).double()
    assert close(delta @ key, residual)
    cost = torch.trace(delta @ c @ delta.T)
    for seed in range(20):
        other = 0.1 * normal(4, 6, seed=10 + seed)
        other = other - torch.outer(other @ key, key) / key.square().sum()  # still ΔW k = r
        moved = delta + other
        assert torch.trace(moved @ c @ moved.T) >= cost * (1 - 1e-9)


def test_rank_one_maps_the_plain_key_exactly() -> None:
    key, plain, residual = normal(6), normal(6) + 0.3 * normal(6, seed=4), normal(4, seed=1)
    a, b = linalg.rank_one(key, residual, spd(6), at=plain)
    assert close((b @ a).double() @ plain, residual)
    assert close(a[0], torch.linalg.solve(spd(6), key) / torch.linalg.solve(spd(6), key).norm())


def test_blend_runs_from_identity_to_covariance() -> None:
    c = spd(6)
    assert close(linalg.blend(c, 1.0), c, 1e-12)
    identity = linalg.blend(c, 0.0)
    assert close(identity, identity[0, 0] * torch.eye(6).double(), 1e-12)
    a, _ = linalg.rank_one(normal(6), normal(4), identity)
    a0, _ = linalg.rank_one(normal(6), normal(4))
    assert close(a, a0, 1e-6)


@pytest.mark.parametrize("n", [5, 40])
def test_low_rank_keeps_the_product_and_drops_the_rest(n: int) -> None:
    left = normal(n, 3, seed=1) @ normal(3, 9, seed=2)  # rank 3
    right = normal(n, 12, seed=3)
    factor, a = linalg.low_rank(left, right)
    assert a.shape == (3, 12)
    assert close(factor @ a, left.T @ right, 1e-6)
    assert close(a @ a.T, torch.eye(3), 1e-9)
    coarse, b = linalg.low_rank(left, right, tolerance=0.9)
    assert b.shape[0] < 3
    assert close(coarse @ b, left.T @ right, 0.9)


def test_low_rank_of_nothing_is_nothing() -> None:
    factor, a = linalg.low_rank(torch.zeros(4, 3), normal(4, 5))
    assert not (factor @ a).any()


def test_errors_name_the_remedy() -> None:
    with pytest.raises(EditError, match="above 0"):
        linalg.ridge_factor(normal(2, 3), 0.0)
    with pytest.raises(EditError, match="float32"):
        linalg.ridge_factor(torch.full((2, 3), float("nan")), 0.1)
    with pytest.raises(EditError, match="larger corpus"):
        linalg.rank_one(normal(3), normal(2), torch.zeros(3, 3))
    with pytest.raises(EditError, match="templates"):
        linalg.rank_one(torch.tensor([1.0, 0.0]), normal(2), at=torch.tensor([0.0, 1.0]))


def test_the_null_space_holds_what_the_moment_lacks() -> None:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    free = linalg.null_space(keys.T @ keys, 1.0)
    assert free.shape == (12, 7)
    assert torch.allclose(free.T @ free, torch.eye(7, dtype=torch.float64))
    assert (keys @ free).norm() <= 1e-6 * keys.norm()
    moment = torch.diag(torch.tensor([90.0, 0.5, 9.0, 0.5]))
    assert linalg.null_space(moment, 0.99).shape == (4, 2)
    assert linalg.null_space(moment, 0.985).shape == (4, 2)
    assert linalg.null_space(moment, 0.89).shape == (4, 3)
    assert linalg.null_space(torch.eye(3), 1.0).shape == (3, 0)
