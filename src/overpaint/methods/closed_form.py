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
from overpaint.models.weights import changes_on
from overpaint.types import Change, Delta, Progress, RelativeDelta, Site


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
    return left.float().contiguous(), a.float().contiguous()


def delta_at(model: Model, site: Site, left: Tensor, a: Tensor) -> Delta:
    """``ΔW = W left a`` at one site, as plain factors; W is the weight as it is now.

    For an edit of a single site, where there is nothing to share. SiteError when the site reads
    another width.
    """
    weight = _weight(model, site, left)
    return Delta(site, a.cpu(), (weight.to(left) @ left).cpu())


def deltas_at(
    model: Model,
    sites: Sequence[Site],
    left: Tensor,
    a: Tensor,
    progress: Progress | None = None,
) -> tuple[Change, ...]:
    """``ΔW = W left a`` at every site, W being the weights as they are now.

    They share ``left`` and ``a``: nothing is computed for any one site. Where patches are on the
    model, ``W = W0 (I + Σ Lⱼ Aⱼ)`` for relative ones, so that L grows by ``Σ Lⱼ Aⱼ left``; on top
    of others the delta has factors of its own. SiteError when a site reads another width.
    """
    made: list[Change] = []
    left, a = left.cpu(), a.cpu()
    lefts: dict[tuple[int, ...], Tensor] = {}
    for number, site in enumerate(sites):
        below = changes_on(_weight(model, site, left))
        relative = [delta for delta in below if isinstance(delta, RelativeDelta)]
        if len(relative) < len(below):
            made.append(delta_at(model, site, left, a))
        else:
            key = tuple(id(factor) for delta in relative for factor in delta.factors)
            if key not in lefts:
                lefts[key] = _composed(left, relative)
            made.append(RelativeDelta(site, lefts[key], a))
        if progress:
            progress(number + 1, len(sites), "sites")
    return tuple(made)


def _weight(model: Model, site: Site, left: Tensor) -> Tensor:
    if site.d_in != len(left):
        raise SiteError(
            f"{site.component}.{site.name} reads {site.d_in} numbers per token, the prompt's "
            f"embedding has {len(left)}; this edit needs layers that read the embedding itself"
        )
    return module_at(model, site).weight


def _composed(left: Tensor, below: Sequence[RelativeDelta]) -> Tensor:
    """``(I + Σ Lⱼ Aⱼ) left``, float32."""
    exact = left.double()
    parts = (d.left.to(exact) @ (d.a.to(exact) @ exact) for d in below)
    return sum(parts, exact).float() if below else left
