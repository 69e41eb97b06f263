"""How far an edit reaches, and whether it stops there: efficacy, generality, specificity.

A judge gives each picture two similarities: to the caption that describes it after the edit
(``new``) and before (``old``). ReFACT, appendix D; TIME, section 5.4.
"""

from __future__ import annotations

import torch
from torch import Tensor


def chosen(new: Tensor, old: Tensor) -> Tensor:
    """1 where a picture is strictly nearer to ``new`` than to ``old``, else 0: float64."""
    return (new > old).double()


def efficacy(new: Tensor, old: Tensor) -> Tensor:
    """Share of the pictures of the edit's own prompt that show the new (TIME, section 5.4).

    ``new``, ``old``  similarities of any one shape. Returns a scalar in [0, 1].
    """
    return chosen(new, old).mean()


def generality(new: Tensor, old: Tensor) -> Tensor:
    """Share of the pictures of positive prompts that show the new (ReFACT, appendix D)."""
    return chosen(new, old).mean()


def specificity(new: Tensor, old: Tensor) -> Tensor:
    """Share of the pictures of negative prompts that still show the old (ReFACT, appendix D)."""
    return chosen(old, new).mean()


def f1(generality: Tensor | float, specificity: Tensor | float) -> Tensor:
    """Geometric mean of the two, which ReFACT's tables call F1 (section 3.3)."""
    return torch.sqrt(torch.as_tensor(generality) * torch.as_tensor(specificity))


def harmonic(generality: Tensor | float, specificity: Tensor | float) -> Tensor:
    """Harmonic mean of the two, by which TIME's appendix chooses settings; 0 where both are 0."""
    a, b = torch.as_tensor(generality), torch.as_tensor(specificity)
    return torch.where(a + b > 0, 2 * a * b / (a + b).clamp(min=torch.finfo(torch.float32).tiny), 0)
