"""Prompts and seeds in, pictures out; the same picture whatever else was painted with it.

A picture depends only on the weights, its prompt, its seed, the number of steps, the guidance and
the size. Arithmetic on the same numbers may differ in the last bit when a batch has another shape,
so every prompt is encoded alone, every batch has the same full size (the last is filled up), and
noise comes from one CPU generator per seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overpaint.errors import ModelError, PromptError
from overpaint.models.model import Model
from overpaint.models.text import encode, pooled
from overpaint.types import Progress

_FAMILIES = ("SD1", "SD2", "SDXL")


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
    ``size`` is the side in pixels, by default the one the model was trained at.
    PromptError for an empty or too long prompt, ModelError for a family that cannot be painted.
    """
    _check_family(model)
    if isinstance(prompts, str):
        raise PromptError(f"Expected a list of prompts, got the string {prompts!r}; put it in [].")
    unique = list(dict.fromkeys(prompts))
    with torch.no_grad():
        known = {p: encode(model, [p], allow_empty=False)[0] for p in unique}
        features = {p: pooled(model, [p])[0] for p in unique} if _is_xl(model) else None
    if not unique:
        raise PromptError("There are no prompts; give at least one.")
    return sample(
        model,
        torch.stack([known[p] for p in prompts]),
        seeds,
        pooled_conditioning=torch.stack([features[p] for p in prompts]) if features else None,
        steps=steps,
        guidance=guidance,
        batch_size=batch_size,
        size=size,
        progress=progress,
    )


@torch.no_grad()
def sample(
    model: Model,
    conditioning: torch.Tensor,
    seeds: Sequence[int],
    *,
    unconditional: torch.Tensor | None = None,
    pooled_conditioning: torch.Tensor | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Paint from embeddings ``conditioning [n, L, d]``: uint8 ``[n, n_seeds, 3, H, W]``, CPU.

    ``unconditional [L, d]`` is what guidance leads away from (default: the empty prompt);
    ``L`` may be any length the two agree on. ``pooled_conditioning [n, p]`` is what SDXL needs
    besides. In the denoiser a batch is ``[2·batch_size, ...]``, unconditional rows first; with
    guidance 1 there is no unconditional half. DPM-Solver++ of order 2, with the noise schedule of
    the pipeline. ``progress`` counts denoising steps over all batches.
    """
    _check_family(model)
    family = model.family
    steps, batch = steps or family.steps, batch_size or family.batch_size
    guidance = family.guidance if guidance is None else guidance
    height = _latent_side(model, size)
    text = _Text.of(model, conditioning, unconditional, pooled_conditioning, guidance)
    jobs = torch.cartesian_prod(torch.arange(len(conditioning)), torch.arange(len(seeds)))
    noise = torch.stack([_noise(model, seed, height) for seed in seeds])
    pictures: list[torch.Tensor] = []
    done, total = 0, -(-len(jobs) // batch) * steps
    for rows in jobs.split(batch):
        filled = torch.cat([rows, rows[-1:].expand(batch - len(rows), 2)])
        stages = _denoise(model, text, filled[:, 0], noise[filled[:, 1]], steps, guidance)
        for latents in stages:
            done += 1
            if progress:
                progress(done, total, "painting")
        pictures.append(_decode(model, latents)[: len(rows)])
    return torch.cat(pictures).unflatten(0, (len(conditioning), len(seeds)))


@dataclass(frozen=True)
class _Text:
    """What the denoiser reads: ``states [n, L, d]`` of prompts, ``empty [L, d]``, SDXL's extras."""

    states: torch.Tensor
    empty: torch.Tensor | None
    pooled: torch.Tensor | None = None
    empty_pooled: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        states: torch.Tensor,
        empty: torch.Tensor | None,
        features: torch.Tensor | None,
        guidance: float,
    ) -> _Text:
        """Complete what the caller left out, on the device and in the precision of the model."""
        if _is_xl(model) and features is None:
            raise ModelError("SDXL reads pooled features too; give pooled_conditioning [n, p].")
        place = {"device": model.device, "dtype": model.dtype}
        states = states.to(**place)
        features = None if features is None else features.to(**place)
        if guidance == 1:
            return cls(states, None, features)
        zeros = getattr(model.pipeline.config, "force_zeros_for_empty_prompt", False)
        if empty is None:
            empty = torch.zeros_like(states[0]) if zeros else encode(model, [""])[0]
        if empty.shape != states.shape[1:]:
            raise ModelError(
                f"Expected unconditional {list(states.shape[1:])}, got {list(empty.shape)}."
            )
        other = None
        if features is not None:
            other = pooled(model, [""], allow_empty=True)[0]
            other = torch.zeros_like(features[0]) if zeros else other.to(**place)
        return cls(states, empty.to(**place), features, other)

    def rows(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Embeddings ``[2b, L, d]`` and pooled features ``[2b, p]`` of the prompts ``index [b]``."""
        return _both(self.states, self.empty, index), (
            None if self.pooled is None else _both(self.pooled, self.empty_pooled, index)
        )


def _both(given: torch.Tensor, empty: torch.Tensor | None, index: torch.Tensor) -> torch.Tensor:
    chosen = given[index.to(given.device)]
    return chosen if empty is None else torch.cat([empty.expand_as(chosen), chosen])


def _denoise(
    model: Model,
    text: _Text,
    index: torch.Tensor,
    latents: torch.Tensor,
    steps: int,
    guidance: float,
) -> Iterator[torch.Tensor]:
    """The latents ``[b, c, h, w]`` after each step."""
    scheduler = _scheduler(model, steps)
    states, features = text.rows(index)
    extra = _size_conditioning(model, states, features, latents.shape[-1])
    # Channels last makes the convolutions of small models half again as fast on a CPU.
    latents = (latents * scheduler.init_noise_sigma).to(memory_format=torch.channels_last)
    for time in scheduler.timesteps:
        doubled = latents if text.empty is None else torch.cat([latents, latents])
        output = model.denoiser(
            scheduler.scale_model_input(doubled, time),
            time,
            encoder_hidden_states=states,
            return_dict=False,
            **extra,
        )[0]
        if text.empty is not None:
            without, given = output.chunk(2)
            output = without + guidance * (given - without)
        latents = scheduler.step(output, time, latents, return_dict=False)[0]
        yield latents


def _size_conditioning(
    model: Model, states: torch.Tensor, features: torch.Tensor | None, side: int
) -> dict[str, Any]:
    """SDXL's pooled features and picture sizes (original, crop corner, target); else nothing."""
    if features is None:
        return {}
    pixels = side * model.pipeline.vae_scale_factor
    sizes = torch.tensor([pixels, pixels, 0, 0, pixels, pixels]).to(states)
    added = {"text_embeds": features, "time_ids": sizes.expand(len(states), -1)}
    return {"added_cond_kwargs": added}


def _scheduler(model: Model, steps: int) -> Any:
    """DPM-Solver++ with the noise schedule the model was trained with, set to ``steps``."""
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler.from_config(model.pipeline.scheduler.config)
    scheduler.set_timesteps(steps)
    return scheduler


def _noise(model: Model, seed: int, side: int) -> torch.Tensor:
    """Starting latents ``[c, h, w]`` of one seed, the same on every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (model.denoiser.config.in_channels, side, side)
    return torch.randn(shape, generator=generator).to(model.device, model.dtype)


def _decode(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Latents ``[b, c, h, w]`` to pictures, uint8 ``[b, 3, H, W]`` on the CPU."""
    vae = model.pipeline.vae
    latents = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", 0) or 0)
    pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0].float()
    pixels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.contiguous().cpu()


def _latent_side(model: Model, size: int | None) -> int:
    """Side of the latents for pictures of ``size`` pixels."""
    factor = model.pipeline.vae_scale_factor
    if size is None:
        return model.denoiser.config.sample_size
    if size <= 0 or size % factor:
        raise ModelError(f"The size must be a positive multiple of {factor}, got {size}.")
    return size // factor


def _is_xl(model: Model) -> bool:
    return model.family.name == "SDXL"


def _check_family(model: Model) -> None:
    if model.family.name not in _FAMILIES:
        raise ModelError(
            f"Painting with {model.family.name} is not written yet (only {', '.join(_FAMILIES)}); "
            "apply the patch and paint with the pipeline itself."
        )
