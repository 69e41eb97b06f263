"""Schedulers that several models share."""

from __future__ import annotations

from typing import Any

STABLE_DIFFUSION: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
"""The noise schedule that SD 1, SD 2 and SDXL were trained with."""


def ddim(**settings: Any) -> Any:
    """A DDIM sampler on Stable Diffusion's noise schedule."""
    from diffusers import DDIMScheduler

    fixed = {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}
    return DDIMScheduler(**STABLE_DIFFUSION, **{**fixed, **settings})


def euler(**settings: Any) -> Any:
    """An Euler sampler on Stable Diffusion's noise schedule."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(**STABLE_DIFFUSION, **{"steps_offset": 1, **settings})


def flow_match(**settings: Any) -> Any:
    """An Euler sampler for flow matching."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**settings)
