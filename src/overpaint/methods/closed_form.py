"""Make linear sites read some embeddings as they read others, in closed form.

What TIME, UCE, LocoEdit and DiffQuickFix share: they differ in which tokens pair with which
(:mod:`overpaint.methods.subjects`), in the sites and in λ.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from overpaint import linalg
from overpaint.errors import SiteError
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.types import Delta, Progress, Site


def solve(
    keys: Tensor, wanted: Tensor, lam: float, weights: Tensor | None = None, tolerance: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """``left [d, r]`` and ``a [r, d]`` such that ``ΔW = W left a`` at every site, float32.

    Minimises ``Σ wᵢ‖(W + ΔW) kᵢ - W k*ᵢ‖² + λ‖ΔW‖²`` for ``keys [n, d]`` k, ``wanted [n, d]`` k*
    and ``weights [n]`` (default 1). A row whose partner equals it is held where it is.
    """
    keys, moves = keys.double(), wanted.double() - keys.double()
    if weights is not None:
        root = weights.double().sqrt()[:, None].to(keys)
        keys, moves = keys * root, moves * root
    moving = moves.any(dim=1)
    factor = linalg.ridge_factor(keys, lam)
    left, a = linalg.low_rank(moves[moving], factor[moving], tolerance)
    return left.float(), a.float()


def delta_at(model: Model, site: Site, left: Tensor, a: Tensor) -> Delta:
    """``ΔW = W left a`` at one site; SiteError when the site reads another width."""
    if site.d_in != len(left):
        raise SiteError(
            f"{site.component}.{site.name} reads {site.d_in} numbers per token, the prompt's "
            f"embedding has {len(left)}; this edit needs layers that read the embedding itself"
        )
    weight = module_at(model, site).weight
    return Delta(site, a.cpu(), (weight.to(left) @ left).cpu())


def deltas_at(
    model: Model,
    sites: Sequence[Site],
    left: Tensor,
    a: Tensor,
    progress: Progress | None = None,
) -> tuple[Delta, ...]:
    """:func:`delta_at` for every site; all share one factor ``a``."""
    made = []
    for number, site in enumerate(sites):
        made.append(delta_at(model, site, left, a))
        if progress:
            progress(number + 1, len(sites), "sites")
    return tuple(made)
