"""The embedded models, put together from the parts they share.

One painted world, three models with the layouts of Stable Diffusion 1, SDXL and FLUX. Autoencoder,
first text tower, tokenizer, joint CLIP and judge are the same for all and stored once::

    weights/
        pipeline/   toybox: a whole pipeline, whose vae, text_encoder and tokenizer the others use
        xl/         toybox-xl: unet, text_encoder_2
        flux/       toybox-flux: transformer, text_encoder_2, tokenizer_2
        clip/       the joint CLIP's vision tower; its text tower is pipeline/text_encoder
        judge/      a CLIP that shares nothing with them
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.layout import read_tower
from overpaint.models.sites import text_transformer

EMBEDDED = ("toybox", "toybox-xl", "toybox-flux")
"""Names of the embedded models."""

LENGTH = 32  # tokens in a prompt, both marks included
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""Noise schedule of Stable Diffusion 1 and SDXL."""


def weights(*parts: str) -> Path:
    """Folder of embedded weights, such as ``weights("xl", "unet")``; ModelError if missing."""
    folder = Path(str(resources.files("overpaint"))).joinpath("toybox", "weights", *parts)
    if not folder.is_dir():
        raise ModelError(
            f"The embedded model has no {'/'.join(parts)!r} at {folder}; reinstall overpaint, or "
            "rebuild it with `python -m tools.train` in the repository."
        )
    return folder


def assemble(name: str, *, dtype: torch.dtype = torch.float32) -> Any:
    """The diffusers pipeline of the embedded model ``name``, on the CPU.

    ``name``  one of :data:`EMBEDDED`.

    Every call returns new modules, so that editing one pipeline leaves the others alone.
    Raises ModelError for another name or missing weights.
    """
    if name not in EMBEDDED:
        raise ModelError(f"No embedded model {name!r}: expected one of {', '.join(EMBEDDED)}.")
    diffusers, transformers = _libraries()

    def network(cls: Any, *parts: str) -> Any:
        folder = weights(*parts)
        found = cls.from_pretrained(str(folder))
        read_tower(found, folder / "model.safetensors")
        return found.to(dtype).eval()

    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(weights("pipeline", "tokenizer")))
    shared = {
        "vae": network(diffusers.AutoencoderKL, "pipeline", "vae"),
        "text_encoder": network(transformers.CLIPTextModel, "pipeline", "text_encoder"),
        "tokenizer": tokenizer,
    }
    if name == "toybox":
        unet = network(diffusers.UNet2DConditionModel, "pipeline", "unet")
        return sd_pipeline(**shared, unet=unet)
    if name == "toybox-xl":
        tower = transformers.CLIPTextModelWithProjection
        return xl_pipeline(
            **shared,
            text_encoder_2=network(tower, "xl", "text_encoder_2"),
            unet=network(diffusers.UNet2DConditionModel, "xl", "unet"),
        )
    words = weights("flux", "tokenizer_2")
    return flux_pipeline(
        **shared,
        text_encoder_2=network(transformers.T5EncoderModel, "flux", "text_encoder_2"),
        tokenizer_2=transformers.T5TokenizerFast.from_pretrained(str(words)),
        transformer=network(diffusers.FluxTransformer2DModel, "flux", "transformer"),
    )


def _libraries() -> tuple[Any, Any]:
    """diffusers and transformers, whose annotations are partly wrong, as Any."""
    import diffusers
    import transformers

    return diffusers, transformers


def sd_pipeline(*, vae: Any, text_encoder: Any, tokenizer: Any, unet: Any) -> Any:
    """The Stable-Diffusion-1-shaped pipeline of these parts."""
    diffusers, _ = _libraries()
    scheduler = diffusers.DDIMScheduler(
        **NOISE, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def xl_pipeline(
    *, vae: Any, text_encoder: Any, tokenizer: Any, text_encoder_2: Any, unet: Any
) -> Any:
    """The SDXL-shaped pipeline of these parts; both text encoders read the same tokens."""
    diffusers, _ = _libraries()
    tokenizer.model_max_length = LENGTH
    scheduler = diffusers.EulerDiscreteScheduler(
        **NOISE, timestep_spacing="leading", steps_offset=1
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def flux_pipeline(
    *,
    vae: Any,
    text_encoder: Any,
    tokenizer: Any,
    text_encoder_2: Any,
    tokenizer_2: Any,
    transformer: Any,
) -> Any:
    """The FLUX-shaped pipeline of these parts.

    The transformer is not distilled for guidance: paint with ``true_cfg_scale=4.0`` and
    ``negative_prompt=""``, ``max_sequence_length=32``, ``height=64`` and ``width=64``.
    """
    diffusers, _ = _libraries()
    tokenizer.model_max_length = tokenizer_2.model_max_length = LENGTH
    vae.register_to_config(shift_factor=0.0)  # FLUX adds it; Stable Diffusion has none
    return diffusers.FluxPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def joint_clip(*, dtype: torch.dtype = torch.float32) -> Any:
    """The CLIPModel that the embedded models' first text tower belongs to.

    Stored are its vision tower and projections; the text tower is read from the pipeline's.
    """
    from safetensors.torch import load_file

    _, transformers = _libraries()
    folder = weights("clip")
    clip = transformers.CLIPModel(transformers.CLIPConfig.from_pretrained(str(folder)))
    stored = load_file(folder / "model.safetensors")
    tower = load_file(weights("pipeline", "text_encoder") / "model.safetensors")
    stored = {k: v for k, v in stored.items() if not k.startswith("text_model.")}
    clip.load_state_dict(stored, strict=False)
    text_transformer(clip.text_model).load_state_dict(
        {k.removeprefix("text_model."): v for k, v in tower.items()}
    )
    return clip.to(dtype).eval()
