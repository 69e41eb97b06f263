"""Prompts and seeds in, pictures out; the same picture whatever else was painted with it.

A picture depends only on the weights, its prompt, its seed, the number of steps, the guidance and
the size. Arithmetic on the same numbers may differ in the last bit when a batch has another shape,
so every prompt is encoded alone, every batch has the same full size (the last is filled up), and
noise comes from one CPU generator per seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from overpaint.errors import PromptError
from overpaint.models.conditioning import check_paintable
from overpaint.models.model import Model
from overpaint.models.sampling import Sampling, paint, sample
from overpaint.types import Progress

__all__ = ["generate", "sample"]


def generate(
    model: Model,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Paint every prompt with every seed: uint8 ``[n_prompts, n_seeds, 3, H, W]`` on the CPU.

    ``steps``, ``guidance`` and ``batch_size`` (pictures at once) default to the family's;
    ``size`` is the side in pixels, by default the one the model was trained at. Another batch size
    may change a colour by one level out of 255 here and there; who is in the batch changes nothing.
    PromptError for an empty or too long prompt, ModelError for a family that cannot be painted.
    """
    check_paintable(model)
    if isinstance(prompts, str):
        raise PromptError(f"Expected a list of prompts, got the string {prompts!r}; put it in [].")
    if not prompts:
        raise PromptError("There are no prompts; give at least one.")
    how = Sampling(steps=steps, guidance=guidance, batch_size=batch_size, size=size)
    return paint(model, prompts, seeds, how, progress=progress)
