"""Prompts and seeds in, pictures out; the same picture whatever else was generated with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import torch
from PIL import Image

from overpaint.errors import ConfigError, PromptError
from overpaint.models.model import Model
from overpaint.models.sampling import checked_seeds, generate_prompts
from overpaint.types import Progress, Sampling

__all__ = ["generate"]

Pictures = list[list[Image.Image]]


@overload
def generate(
    model: Model,
    prompts: Sequence[str] | str,
    seeds: Sequence[int] | int = 1,
    sampling: Sampling | None = None,
    *,
    output_type: Literal["pil"] = "pil",
    progress: Progress | None = None,
    **settings: object,
) -> Pictures: ...


@overload
def generate(
    model: Model,
    prompts: Sequence[str] | str,
    seeds: Sequence[int] | int = 1,
    sampling: Sampling | None = None,
    *,
    output_type: Literal["pt"],
    progress: Progress | None = None,
    **settings: object,
) -> torch.Tensor: ...


def generate(
    model: Model,
    prompts: Sequence[str] | str,
    seeds: Sequence[int] | int = 1,
    sampling: Sampling | None = None,
    *,
    output_type: str = "pil",
    progress: Progress | None = None,
    **settings: object,
) -> Pictures | torch.Tensor:
    """Generate a picture of every prompt from every seed, with the pipeline's own call.

    A picture equals the one that ``model.pipeline(prompt, generator=torch.Generator().manual_seed(
    seed))`` gives, whatever else is generated beside it.

    Args:
        model: The model, with whatever patches are on it.
        prompts: Prompts, or a single one.
        seeds: Seeds of the noise; a single number means that many seeds, from 0.
        sampling: How to generate; what it leaves open is the model's own default.
        output_type: ``"pil"`` for pictures, ``"pt"`` for a tensor.
        progress: Called as ``progress(done, total, what)`` after each denoising step.
        **settings: The fields of :class:`overpaint.Sampling`, in place of ``sampling``:
            ``steps=20, guidance=4.0, height=512, negative_prompt="blurry"``.

    Returns:
        A list of ``n_seeds`` pictures for every prompt, or uint8 ``[n_prompts, n_seeds, 3, H, W]``
        on the CPU.

    Raises:
        ConfigError: If a setting or a seed is out of its range.
        ModelError: If the pipeline needs more than text.
        PromptError: If a prompt is empty.

    Example:
        >>> model = op.load("toybox")
        >>> op.generate(model, ["a rose", "a tulip"], seeds=range(4))[0][0].save("rose.png")
    """
    if output_type not in ("pil", "pt"):
        raise ConfigError(f"expected output_type 'pil' or 'pt', got {output_type!r}")
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    if not asked:
        raise PromptError("There are no prompts; give at least one.")
    chosen = checked_seeds(seeds)
    if settings:
        try:
            given = Sampling(**settings)  # type: ignore[arg-type]
        except TypeError as error:
            raise ConfigError(f"{error}; expected the fields of overpaint.Sampling") from error
        sampling = given.over(sampling or Sampling())
    found = generate_prompts(model, asked, chosen, sampling, progress=progress)
    if output_type == "pt":
        return found
    return [[Image.fromarray(p.permute(1, 2, 0).numpy()) for p in row] for row in found]
