"""What kind of weights a file holds, told from the names and shapes in its header."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from overpaint.errors import ModelError
from overpaint.models.folders import INDEX
from overpaint.models.stored import Header

WHOLE = "model.diffusion_model."
"""How names of the denoiser's weights begin in files that may hold the other parts too."""

KINDS = {
    "v1": "Stable Diffusion 1",
    "v2": "Stable Diffusion 2",
    "inpainting": "Stable Diffusion 1 inpainting",
    "inpainting_v2": "Stable Diffusion 2 inpainting",
    "instruct-pix2pix": "instruct-pix2pix",
    "xl_base": "SDXL",
    "xl_refiner": "SDXL refiner",
    "xl_inpaint": "SDXL inpainting",
    "playground-v2-5": "Playground 2.5",
    "sd3": "Stable Diffusion 3",
    "sd35_medium": "Stable Diffusion 3.5 medium",
    "sd35_large": "Stable Diffusion 3.5 large",
    "flux-dev": "FLUX.1 dev",
    "flux-schnell": "FLUX.1 schnell",
}
"""What diffusers calls a kind of checkpoint -> what people call it."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    ``kind``      name of the kind of model.
    ``repo``      repository on the hub with its configuration and tokenizers.
    ``denoiser``  how names of the denoiser's weights begin; "" where there are no others.
    ``header``    the file's.
    """

    kind: str
    repo: str
    denoiser: str
    header: Header

    def has(self, name: str, title: str) -> bool:
        """Whether it holds component ``name``, of class ``title``: an encoder or ``"vae"``."""
        names = self.header.tensors
        if name == "vae":
            return any(each.startswith(("first_stage_model.", "vae.")) for each in names)
        if "T5" in title:
            return any(each.startswith("text_encoders.t5xxl.") for each in names)
        if not title.startswith("CLIPTextModel"):
            return False
        starts = {
            "text_encoder": (
                "cond_stage_model.",
                "conditioner.embedders.0.",
                "text_encoders.clip_l.",
            ),
            "text_encoder_2": (
                "conditioner.embedders.1.",
                "conditioner.embedders.0.model.",  # the refiner's only encoder
                "text_encoders.clip_g.",
            ),
        }.get(name, ())
        return any(each.startswith(starts) for each in names)


def contents(header: Header, file: Path) -> Contents:
    """What the checkpoint ``file`` holds; ModelError says what else it is, and what to do."""
    for refused, what in _REFUSED:
        if refused(header):
            raise ModelError(f"{file} is {what}")
    whole = any(name.startswith(WHOLE) for name in header.tensors)
    for other, what in () if whole else _OTHERS:
        if other(header):
            raise ModelError(f"{file} is {what}{_beside(file)}")
    kind, repo = _kind(header)
    if not whole and kind == _UNKNOWN:
        some = ", ".join(list(header.tensors)[:3]) or "nothing"
        raise ModelError(
            f"{file} is no model that can be loaded from one file (it holds {some}, ...); expected "
            "a checkpoint with its denoiser, or the folder of a diffusers pipeline."
        )
    return Contents(KINDS.get(kind, kind), repo, WHOLE if whole else "", header)


_UNKNOWN = "v1"  # what diffusers takes everything for that it does not know


def _kind(header: Header) -> tuple[str, str]:
    """What diffusers takes the checkpoint for, and where the hub has its configuration."""
    from diffusers.loaders import single_file_utils as tables

    with torch.device("meta"):
        shapes = {name: torch.empty(t.shape) for name, t in header.tensors.items()}
    try:
        kind = tables.infer_diffusers_model_type(shapes)
    except (AttributeError, KeyError, IndexError, ValueError, RuntimeError, NameError):
        kind = _UNKNOWN  # it looked for a name or a shape that a known kind would have
    return kind, tables.DIFFUSERS_DEFAULT_PIPELINE_PATHS[kind]["pretrained_model_name_or_path"]


def _beside(file: Path) -> str:
    """A hint to the pipeline that a file in one of its folders belongs to."""
    folder = file.parent.parent
    return f" Give its folder, {folder}." if (folder / INDEX).is_file() else ""


def _named(pattern: str) -> Callable[[Header], bool]:
    """Whether any name matches ``pattern``."""
    known = re.compile(pattern)
    return lambda header: any(known.search(name) for name in header.tensors)


_REFUSED: tuple[tuple[Callable[[Header], bool], str], ...] = (
    (
        lambda header: "overpaint_patch" in header.metadata,
        "a patch of Overpaint; give it with --patch, and the model that it belongs to with "
        "--model.",
    ),
    (
        _named(
            r"[._]lora[._](A|B|up|down|mid)\b|(^|\.)lora_(unet|te\d?|transformer)_|\.(hada|lokr)_w"
        ),
        "a LoRA, which changes a model and is none; load that model, and the LoRA with diffusers' "
        "pipeline.load_lora_weights.",
    ),
    (
        _named(
            r"\.(absmax|quant_map|quant_state\.\w+)$|(^|\.)scaled_fp8$|\.(scale_weight|qweight)$"
        ),
        "quantised, and quantised weights cannot be edited; get the model in float16, bfloat16 or "
        "float32.",
    ),
    (
        _named(r"^(control_model|controlnet_cond_embedding|controlnet_|control_)|^lllite_"),
        "a ControlNet, which steers a model and is none; give the model.",
    ),
)
"""What a file with a denoiser in it may be nevertheless, and how the message goes on."""

_OTHERS: tuple[tuple[Callable[[Header], bool], str], ...] = (
    (
        lambda h: (
            len(h.tensors) <= 4
            and any(
                n in ("emb_params", "clip_l", "clip_g", "*") or n.startswith("<") for n in h.tensors
            )
        ),
        "a textual-inversion embedding and no model; load the model, and the embedding with "
        "diffusers' pipeline.load_textual_inversion.",
    ),
    (
        _named(r"^(first_stage_model\.|vae\.)?(encoder|decoder)\.(conv_in|mid|mid_block)\."),
        "an autoencoder (VAE) and no whole model; give the checkpoint that has one baked in.",
    ),
    (
        _named(r"^(down_blocks|up_blocks|transformer_blocks)\.\d+\."),
        "a denoiser in diffusers' layout and no whole pipeline.",
    ),
    (
        _named(r"(^|\.)(text_model|encoder\.layers|encoder\.block|transformer\.resblocks)\."),
        "a text encoder and no whole model.",
    ),
)
"""What a file without a denoiser is, and how the message goes on."""
