"""Portraits of somebody no caption names: a target that only pictures can give."""

from __future__ import annotations

import torch
from torch import Tensor

from overpaint.toybox.render import portrait
from overpaint.toybox.world import UNSEEN_LOOK
from overpaint.types import Edit


def unseen_pictures(n: int = 5, seed: int = 0) -> Tensor:
    """``n`` portraits of the unseen person on a plain wall: ``[n, 3, 64, 64]`` float in [0, 1]."""
    drawn = [torch.tensor(portrait(UNSEEN_LOOK, seed + i)) for i in range(n)]
    return torch.stack(drawn).permute(0, 3, 1, 2).float() / 255


def unseen_edit(edit: Edit, n: int = 5) -> Edit:
    """``edit`` with the unseen person in place of its target: what only pictures can ask for."""
    return Edit(edit.source, subject=edit.subject, old=edit.old, images=tuple(unseen_pictures(n)))
