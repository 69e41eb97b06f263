"""From embeddings and noise to pictures: the loop that painting and localization share.

It lies here and not in :mod:`overpaint.generate`, because localization paints too, and paints
embeddings of its own making inside interventions; neither room may reach into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch

from overpaint.errors import ModelError, PromptError
from overpaint.models.conditioning import (
    Conditioning,
    check_paintable,
    conditioning,
    encode_alone,
)
from overpaint.models.latents import decode, latent_side, starting_noise
from overpaint.models.model import Model
from overpaint.types import Progress

Around = Callable[[torch.Tensor], AbstractContextManager[Any]]
"""Called with the states' numbers ``[b]`` of a batch; the batch is painted inside what it gives."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pictures are painted; None: as is usual in the model's family.

    ``steps``       of the sampler.
    ``guidance``    scale of classifier-free guidance; 1: none.
    ``batch_size``  pictures at once.
    ``size``        side of a picture in pixels.
    """

    steps: int | None = None
    guidance: float | None = None
    batch_size: int | None = None
    size: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """These four, as keyword arguments of :func:`sample`."""
        return {field.name: getattr(self, field.name) for field in fields(Sampling)}


def paint(
    model: Model,
    prompts: Sequence[str],
    seeds: Sequence[int],
    how: Sampling | None = None,
    *,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Every prompt with every seed: uint8 ``[n_prompts, n_seeds, 3, H, W]`` on the CPU."""
    settings = (how or Sampling()).settings
    states, features = encode_alone(model, prompts)
    return sample(model, states, seeds, pooled_conditioning=features, progress=progress, **settings)


@torch.no_grad()
def sample(
    model: Model,
    states: torch.Tensor,
    seeds: Sequence[int],
    *,
    unconditional: torch.Tensor | None = None,
    pooled_conditioning: torch.Tensor | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    around: Around | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Paint from embeddings ``states [n, L, d]``: uint8 ``[n, n_seeds, 3, H, W]`` on the CPU.

    ``unconditional [L, d]`` is what guidance leads away from (default: the empty prompt), or
    ``[n, L, d]`` where each prompt has its own, as prompts encoded under different patches do.
    ``L`` may be any length the two agree on: to give some layers another prompt, pass both prompts'
    in one row and let each layer take its half (:func:`overpaint.models.hooks.replace_input`).
    ``pooled_conditioning [n, p]`` is what SDXL needs besides. The denoiser sees batches of
    ``2·batch_size`` rows, the unconditional ones first; with guidance 1 only the others. A batch
    that is not full repeats its last row. Interventions that differ from row to row go into
    ``around``, which is told who is in each batch. DPM-Solver++ of order 2 (Lu et al. 2022) with
    the pipeline's noise schedule. ``progress`` counts denoising steps over all batches.
    """
    if not len(states) or not len(seeds):
        raise PromptError(f"Expected prompts and seeds, got {len(states)} and {len(seeds)}.")
    jobs = torch.cartesian_prod(torch.arange(len(states)), torch.arange(len(seeds)))
    how = Sampling(steps=steps, guidance=guidance, batch_size=batch_size, size=size)
    text = unconditional, pooled_conditioning
    pictures = _paint(model, states, seeds, jobs, how, *text, around=around, progress=progress)
    return pictures.unflatten(0, (len(states), len(seeds)))


@torch.no_grad()
def sample_pairs(
    model: Model,
    states: torch.Tensor,
    seeds: Sequence[int],
    how: Sampling | None = None,
    *,
    unconditional: torch.Tensor | None = None,
    pooled_conditioning: torch.Tensor | None = None,
) -> torch.Tensor:
    """One picture of each row, ``states[i]`` from ``seeds[i]``: uint8 ``[n, 3, H, W]``.

    The same pictures as :func:`sample` paints, in batches filled with any pairs of the two.
    """
    if not len(seeds) or len(states) != len(seeds):
        raise PromptError(f"Expected a seed for each prompt, got {len(states)} and {len(seeds)}.")
    jobs = torch.arange(len(seeds))[:, None].expand(-1, 2)
    how = how or Sampling()
    return _paint(model, states, seeds, jobs, how, unconditional, pooled_conditioning)


def _paint(
    model: Model,
    states: torch.Tensor,
    seeds: Sequence[int],
    jobs: torch.Tensor,
    how: Sampling,
    empty: torch.Tensor | None = None,
    features: torch.Tensor | None = None,
    *,
    around: Around | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """``[n, 3, H, W]`` for ``jobs [n, 2]``: which of ``states``, from which of ``seeds``."""
    check_paintable(model)
    family = model.family
    steps = _positive("steps", how.steps, family.steps)
    batch = _positive("batch_size", how.batch_size, family.batch_size)
    guidance = family.guidance if how.guidance is None else how.guidance
    text = conditioning(model, states, empty=empty, features=features, guided=guidance != 1)
    noise = starting_noise(model, seeds, latent_side(model, how.size))
    tick = _counter(progress, -(-len(jobs) // batch) * steps)
    pictures = []
    for rows in jobs.split(batch):
        full = torch.cat([rows, rows[-1:].expand(batch - len(rows), 2)])
        start = noise[full[:, 1].to(noise.device)]
        with around(full[:, 0]) if around else nullcontext():
            latents = _denoise(model, text, full[:, 0], start, steps, guidance, tick)
        pictures.append(decode(model, latents)[: len(rows)])
    return torch.cat(pictures)


def _denoise(
    model: Model,
    text: Conditioning,
    index: torch.Tensor,
    latents: torch.Tensor,
    steps: int,
    guidance: float,
    tick: Callable[[], None],
) -> torch.Tensor:
    """From noise to clean latents, both ``[b, c, h, w]``, for prompts ``index [b]``."""
    scheduler = scheduler_of(model, steps)
    given = text.batch(index, latents.shape[-1] * model.pipeline.vae_scale_factor)
    latents = latents * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        doubled = latents if text.empty is None else torch.cat([latents, latents])
        doubled = scheduler.scale_model_input(doubled, time)
        output = model.denoiser(doubled, time, **given, return_dict=False)[0]
        if text.empty is not None:
            without, towards = output.chunk(2)
            output = without + guidance * (towards - without)
        latents = scheduler.step(output, time, latents, return_dict=False)[0]
        tick()
    return latents


def scheduler_of(model: Model, steps: int) -> Any:
    """DPM-Solver++ with the noise schedule the model was trained with, set to ``steps``."""
    from diffusers import DPMSolverMultistepScheduler

    scheduler: Any = DPMSolverMultistepScheduler.from_config(model.pipeline.scheduler.config)
    scheduler.set_timesteps(steps)
    return scheduler


def _positive(name: str, given: int | None, default: int) -> int:
    value = default if given is None else given
    if value < 1:
        raise ModelError(f"{name} must be at least 1, got {value}.")
    return value


def _counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """A function that reports one more step of ``total`` each time it is called."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total, "painting")

    return tick
