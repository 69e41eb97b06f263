"""Is a patch whole? The checks that saving, loading and applying share."""

from __future__ import annotations

import torch

from overpaint.errors import PatchError
from overpaint.types import Change, Patch, RelativeDelta


def check_patch(patch: Patch) -> None:
    """Raise :class:`PatchError` unless :func:`check_delta` finds every delta whole."""
    finite: set[int] = set()  # sites share factors
    for delta in patch.deltas:
        check_delta(delta, finite)


def check_delta(delta: Change, finite: set[int] | None = None) -> None:
    """Raise :class:`PatchError` unless the factors fit their site, are float32 and finite.

    Expected are ``a [r, d_in]`` and ``b [d_out, r]``, or ``left [d_in, r]``, with ``r >= 1``.
    ``finite`` has the ids of factors that are known to be finite, and is given those of this delta.
    """
    finite = set() if finite is None else finite
    site = delta.site
    where = f"{site.component} {site.name}"
    second = ("left", site.d_in) if isinstance(delta, RelativeDelta) else ("b", site.d_out)
    a, b = delta.factors
    fits = a.ndim == 2 and b.ndim == 2 and a.shape[0] == b.shape[1] >= 1
    if not fits or a.shape[1] != site.d_in or b.shape[0] != second[1]:
        raise PatchError(
            f"expected factors a [r, {site.d_in}] and {second[0]} [{second[1]}, r] at {where}, got "
            f"{list(a.shape)} and {list(b.shape)}; the patch is damaged, compute it again"
        )
    for name, factor in (("a", a), (second[0], b)):
        if factor.dtype != torch.float32:
            raise PatchError(
                f"expected float32 factors at {where}, got {factor.dtype} in {name}; "
                "convert them with .float()"
            )
        if id(factor) not in finite and not bool(torch.isfinite(factor).all()):
            raise PatchError(
                f"expected finite numbers at {where}, got NaN or infinity in {name}; "
                "compute the patch again"
            )
        finite.add(id(factor))
