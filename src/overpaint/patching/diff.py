"""What two patches have in common and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch

from overpaint.models.model import Model
from overpaint.patching.bind import bound
from overpaint.patching.merge import merge
from overpaint.types import Delta, Patch


@dataclass(frozen=True)
class SiteDiff:
    """One site in two patches: Frobenius norms of ``ΔW`` in each and of their difference.

    ``rank_a``, ``rank_b``, ``norm_a`` and ``norm_b`` are 0 where a patch does not touch the site;
    ``cosine`` is that of the two changes seen as vectors, 0 if one of them is zero.
    """

    component: str
    name: str
    rank_a: int
    rank_b: int
    norm_a: float
    norm_b: float
    distance: float
    cosine: float


@dataclass(frozen=True)
class PatchDiff:
    """Two patches side by side, as returned by :func:`diff`.

    ``sites``     every site that one of them touches, in the order of the first, then the second.
    ``settings``  (what, value in the first, value in the second) for all that differs of method,
        fingerprint, ``config.*`` and ``edits``; None where one has no such setting.
    ``same``      whether every site has the same change, bit for bit, in the same factors.
    """

    sites: tuple[SiteDiff, ...]
    settings: tuple[tuple[str, object, object], ...]
    same: bool


def diff(
    patch_a: Patch, patch_b: Patch, *, model: Model | None = None, force: bool = False
) -> PatchDiff:
    """Compare two patches site by site and setting by setting.

    ``model`` is the one they were computed on: needed where one of them is ``relative``, because
    what it changes depends on the model's weights; with ``force`` it may be another. Raises
    :class:`PatchError` if it is missing or another, or if a patch is damaged. Without a model,
    sites of the same name but of different widths belong to different models; their distance is
    that of two orthogonal changes.
    """
    a, b = (merge(bound(patch, model, force=force)) for patch in (patch_a, patch_b))
    places = list(dict.fromkeys([*a, *b]))
    same = a.keys() == b.keys() and all(_equal(a[place], b[place]) for place in places)
    sites = tuple(_site_diff(place, a.get(place), b.get(place)) for place in places)
    return PatchDiff(sites, _settings(patch_a, patch_b), same)


def _site_diff(place: tuple[str, str], a: Delta | None, b: Delta | None) -> SiteDiff:
    norm_a, norm_b = _norm(a), _norm(b)
    distance, cosine = (norm_a**2 + norm_b**2) ** 0.5, 0.0
    if a and b and (a.site.d_out, a.site.d_in) == (b.site.d_out, b.site.d_in):
        distance = _norm(a, b)
        if norm_a and norm_b:
            inner = ((b.b.double().T @ a.b.double()) * (b.a.double() @ a.a.double().T)).sum()
            cosine = min(1.0, max(-1.0, float(inner) / (norm_a * norm_b)))
    ranks = (a.rank if a else 0, b.rank if b else 0)
    return SiteDiff(*place, *ranks, norm_a, norm_b, distance, cosine)


def _norm(delta: Delta | None, minus: Delta | None = None) -> float:
    """``‖B A - B' A'‖_F`` in float64, without forming ``[d_out, d_in]``.

    With the joined factors ``B = Q_b R_b`` and ``Aᵀ = Q_a R_a`` it is ``‖R_b R_aᵀ‖_F``.
    """
    if delta is None:
        return 0.0
    a, b = delta.a.double(), delta.b.double()
    if minus is not None:
        a, b = torch.cat([a, minus.a.double()]), torch.cat([b, -minus.b.double()], dim=1)
    return float(torch.linalg.norm(torch.linalg.qr(b).R @ torch.linalg.qr(a.T).R.T))


def _equal(a: Delta, b: Delta) -> bool:
    return a.site == b.site and torch.equal(a.a, b.a) and torch.equal(a.b, b.b)


def _settings(a: Patch, b: Patch) -> tuple[tuple[str, object, object], ...]:
    left, right = _described(a), _described(b)
    names = dict.fromkeys([*left, *right])
    return tuple(
        (name, left.get(name), right.get(name))
        for name in names
        if left.get(name) != right.get(name)
    )


def _described(patch: Patch) -> Mapping[str, object]:
    words = [
        {f.name: getattr(edit, f.name) for f in fields(edit) if f.name != "images"}
        for edit in patch.edits
    ]
    config = {f"config.{key}": value for key, value in patch.config.items()}
    return {
        "method": patch.method,
        "fingerprint": patch.fingerprint,
        "edits": words,
        "target_images": patch.info.get("target_images"),
        **config,
    }
