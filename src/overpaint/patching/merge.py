"""One low-rank change per site: what a patch does, whatever number of deltas it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from overpaint.models.sites import stored_name
from overpaint.types import Delta


def merge(deltas: Sequence[Delta]) -> dict[tuple[str, str], Delta]:
    """The deltas by (component, layout-free site name), those of one site joined into one.

    Joining stacks the factors: ``a [Σr, d_in]``, ``b [d_out, Σr]``; nothing is rounded.
    """
    groups: dict[tuple[str, str], list[Delta]] = {}
    for delta in deltas:
        name = stored_name(delta.site)
        site = replace(delta.site, name=name)
        groups.setdefault((site.component, name), []).append(Delta(site, delta.a, delta.b))
    return {key: _joined(group) for key, group in groups.items()}


def _joined(group: Sequence[Delta]) -> Delta:
    if len(group) == 1:
        return group[0]
    a = torch.cat([delta.a for delta in group], dim=0)
    b = torch.cat([delta.b for delta in group], dim=1)
    return Delta(group[0].site, a, b)
