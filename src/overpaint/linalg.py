"""The closed forms behind every method: ridge, covariance-weighted ridge and rank one.

Tensors only. All of them solve in float64 and return the factors ``a [r, d_in]`` and
``b [d_out, r]`` of ``ΔW = b @ a`` in float32, on the device of their inputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from overpaint.errors import EditError

_CHOLESKY_LIMIT = 1e8
"""Largest condition number up to which a float64 Cholesky keeps float32 accuracy."""


def ridge_factor(keys: Tensor, lam: float) -> Tensor:
    """The part of a ridge solution that only the keys decide: ``(K Kᵀ + λI)⁻¹ K  [n, d_in]``.

    TIME eq. 5 by the push-through identity. One factor serves every site that reads the same
    keys: ``ΔW = residualsᵀ @ factor``. ``keys [n, d_in]``; the result is float64.
    """
    keys = _checked(keys, lam)
    n, d_in = keys.shape
    if keys.square().sum() / lam < _CHOLESKY_LIMIT:
        small = keys if n <= d_in else keys.T
        gram = small @ small.T
        gram.diagonal().add_(lam)
        solved = torch.cholesky_solve(small, torch.linalg.cholesky(gram))
        return solved if n <= d_in else solved.T
    q, r = _stacked_qr(keys if n <= d_in else keys.T, lam)
    if n <= d_in:
        return torch.linalg.solve_triangular(r, q.T, upper=True)
    return torch.linalg.solve_triangular(r.T, q, upper=False, left=False)


def ridge(
    keys: Tensor, residuals: Tensor, lam: float, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``ΔW`` minimising ``Σ wᵢ‖ΔW kᵢ - rᵢ‖² + λ‖ΔW‖²``; its rank is at most min(n, d_in).

    TIME eq. 4-5, UCE and LocoEdit alike. ``keys [n, d_in]``, ``residuals [n, d_out]``,
    ``weights [n]`` (default 1). A preserved key is a row whose residual is 0.
    """
    residuals = residuals.double()
    if weights is not None:
        root = weights.double().sqrt()[:, None]
        keys, residuals = keys.double() * root, residuals * root
    delta = ridge_factor(keys, lam)
    if keys.shape[0] >= keys.shape[1]:
        basis = torch.eye(keys.shape[1], dtype=torch.float64, device=keys.device)
        return basis.float(), (residuals.T @ delta).float()
    # An orthonormal basis of the keys: large factors of nearly parallel keys would cancel
    # in float32.
    basis, r = torch.linalg.qr(delta.T)
    return basis.T.float(), (residuals.T @ r.T).float()


def covariance_ridge(
    keys: Tensor, residuals: Tensor, lam: float, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """``ΔW`` minimising ``‖R - K ΔWᵀ‖² + λ tr(ΔW C ΔWᵀ)``: ``Rᵀ (K C⁻¹ Kᵀ + λI)⁻¹ K C⁻¹``.

    The MEMIT form. ``keys [n, d_in]``, ``residuals [n, d_out]``, ``covariance [d_in, d_in]``.
    Raises EditError when ``covariance`` is not positive definite.
    """
    root = _cholesky(covariance)
    white = torch.linalg.solve_triangular(root, keys.double().T, upper=False).T
    a, b = ridge(white, residuals, lam)
    a = torch.linalg.solve_triangular(root, a.double(), upper=False, left=False)
    return a.float(), b


def rank_one(
    key: Tensor, residual: Tensor, covariance: Tensor | None = None, at: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The least change of stored keys that adds ``residual`` to the output at key ``at``.

    ReFACT section 2 and its footnote 2: ``ΔW = Λ (C⁻¹k*)ᵀ`` with ``Λ = r / ((C⁻¹k*)ᵀ k)``.
    ``key [d_in]`` is k*, ``residual [d_out]``, ``covariance [d_in, d_in]`` (default I),
    ``at [d_in]`` the key k that must map exactly (default k*). Returns ``a [1, d_in]`` of norm
    one and ``b [d_out, 1]``. Raises EditError when ``at`` has no part along ``C⁻¹k*``.
    """
    direction = key.double() if covariance is None else solve(covariance, key[None])[0]
    a = torch.nn.functional.normalize(direction, dim=0).float()
    at = (key if at is None else at).double()
    overlap = a.double() @ at
    if not abs(overlap) > 1e-9 * at.norm():
        raise EditError(
            "expected the subject's key to point along the averaged key, got none of it; "
            "use other templates, or a smaller covariance_weight"
        )
    return a[None], (residual.double() / overlap).float()[:, None]


def solve(covariance: Tensor, keys: Tensor) -> Tensor:
    """``C⁻¹k`` of every key, ``[n, d_in]`` float64, from one factorisation of C.

    ``covariance [d_in, d_in]``, ``keys [n, d_in]``. Raises EditError when C is not positive
    definite.
    """
    root = _cholesky(covariance).to(keys.device)
    return torch.cholesky_solve(keys.double().T, root).T


def blend(covariance: Tensor, weight: float) -> Tensor:
    """``weight * C + (1 - weight) * mean(diag C) * I  [d_in, d_in]``, float64.

    1 protects what the corpus says (most specific), 0 is ``C = I`` (generalises most): a rank
    one edit does not depend on the scale of C, so the identity may carry C's own.
    """
    c = weight * covariance.double()
    c.diagonal().add_((1 - weight) * covariance.double().diagonal().mean())
    return c


def null_space(moment: Tensor, share: float) -> Tensor:
    """Orthonormal ``[d, q]``: the directions in which ``moment [d, d]`` has almost nothing.

    Together they carry at most ``1 - share`` of its trace; the rest of the space carries the
    others. With ``share`` 1, only what float64 cannot tell from nothing. q may be 0.
    """
    sizes, vectors = torch.linalg.eigh(moment.double())  # ascending
    spent = sizes.clamp_min(0).cumsum(0)
    return vectors[:, : int((spent <= max(1 - share, 1e-12) * spent[-1]).sum())]


def low_rank(left: Tensor, right: Tensor, tolerance: float = 1e-6) -> tuple[Tensor, Tensor]:
    """Factors ``l [p, r] @ a [r, q]`` of ``leftᵀ @ right``, of the smallest rank in ``tolerance``.

    ``left [n, p]``, ``right [n, q]``; the result is float64 and the rows of ``a`` are orthonormal.
    What is dropped has a Frobenius norm of at most ``tolerance`` times the product's; 1e-7 is the
    least that float64 squares can resolve and is below float32 rounding.
    """
    left, right = left.double(), right.double()
    if right.shape[0] < right.shape[1]:  # leftᵀ right = (leftᵀ rᵀ) qᵀ with orthonormal q
        q, r = torch.linalg.qr(right.T)
        product = left.T @ r.T
    else:
        q, product = None, left.T @ right
    squares, vectors = torch.linalg.eigh(product.T @ product)
    dropped = squares.clamp_min(0).cumsum(0)  # ascending: the first entries go first
    skip = int((dropped <= max(tolerance, 1e-7) ** 2 * dropped[-1]).sum())
    vectors = vectors[:, min(skip, len(squares) - 1) :]
    return product @ vectors, (vectors if q is None else q @ vectors).T


def _stacked_qr(small: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """QR of ``[smallᵀ; √λ I]``: ``small smallᵀ + λI = rᵀ r`` without ever squaring ``small``.

    ``small [m, M]`` with m <= M. Returns the upper block of q ``[M, m]`` and r ``[m, m]``.
    """
    m = small.shape[0]
    eye = torch.eye(m, dtype=small.dtype, device=small.device)
    q, r = torch.linalg.qr(torch.cat([small.T, math.sqrt(lam) * eye]))
    return q[: small.shape[1]], r


def _cholesky(covariance: Tensor) -> Tensor:
    root, failed = torch.linalg.cholesky_ex(covariance.double())
    if failed:
        raise EditError(
            "expected a positive definite second moment, got a singular one; "
            "use a larger corpus, or a covariance_weight below 1"
        )
    return root


def _checked(keys: Tensor, lam: float) -> Tensor:
    if not lam > 0:
        raise EditError(f"expected a ridge strength λ above 0, got {lam}; try 0.1")
    if not torch.isfinite(keys).all():
        raise EditError("expected finite keys, got NaN or infinity; load the model in float32")
    return keys.double()
