"""A change of full rank as a delta, or its best approximation of low rank."""

from __future__ import annotations

import torch
from torch import Tensor

from overpaint.types import Delta, Site


def dense_delta(site: Site, change: Tensor, rank: int = 0) -> tuple[Delta, float]:
    """``change [d_out, d_in]`` as a delta, and how much of it is lost, relative to its norm.

    ``rank`` 0 keeps every bit: one factor is the change itself, the other the identity of the
    smaller side, and both count as bytes of the patch. Otherwise the largest ``rank`` singular
    values are kept (Eckart and Young: no other delta of that rank is nearer).
    """
    change = change.detach().float().cpu()
    if not rank:
        eye = torch.eye(min(change.shape), dtype=torch.float32)
        wide = change.shape[1] > change.shape[0]
        return (Delta(site, change, eye) if wide else Delta(site, eye, change)), 0.0
    u, s, vt = torch.linalg.svd(change.double(), full_matrices=False)
    kept = min(rank, len(s))
    lost = s[kept:].norm() / s.norm() if s.any() else s.new_zeros(())
    a, b = vt[:kept], u[:, :kept] * s[:kept]
    return Delta(site, a.float().contiguous(), b.float().contiguous()), float(lost)
