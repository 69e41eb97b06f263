"""One row per family of models: where its parts are and what its users expect by default.

To support a new family, add a row; nothing else in the library asks for a pipeline's class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from overpaint.errors import ModelError


@dataclass(frozen=True)
class Family:
    """How the models of one family are laid out.

    ``name``           short name, as the command line prints it.
    ``pipelines``      class names of the diffusers pipelines, each matched as a prefix.
    ``denoiser``       pipeline component that removes noise.
    ``text_encoders``  components that read the prompt, in the order the pipeline calls them.
    ``attention``      regular expression that a cross-attention module's dotted name matches.
    ``projections``    what that module calls the projections of the text: ``to_k``, ``to_v``
        (and ``to_out``, which writes the result back).
    ``encoder_width``  width of the first text encoder, where only that tells two families apart.
    ``clip``  hub name of the joint CLIP that its first text encoder is usually taken from.
    ``guidance``, ``steps``, ``resolution``, ``batch_size``  defaults for painting; the batch is
        counted in pictures.
    """

    name: str
    pipelines: tuple[str, ...]
    denoiser: str = "unet"
    text_encoders: tuple[str, ...] = ("text_encoder",)
    attention: str = r"(^|\.)attn2$"
    projections: tuple[tuple[str, str], ...] = (
        ("to_k", "to_k"),
        ("to_v", "to_v"),
        ("to_out", "to_out.0"),
    )
    encoder_width: int | None = None
    clip: str = "openai/clip-vit-large-patch14"
    guidance: float = 7.5
    steps: int = 20
    resolution: int = 512
    batch_size: int = 4

    def projection(self, name: str) -> str:
        """The attribute that holds projection ``name``; KeyError when there is none."""
        return dict(self.projections)[name]


_ADDED = (("to_k", "add_k_proj"), ("to_v", "add_v_proj"))
_JOINT = r"^transformer_blocks\.\d+\.attn$"

SD1 = Family("SD1", ("StableDiffusion",))
SD2 = replace(
    SD1,
    name="SD2",
    clip="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    encoder_width=1024,
    resolution=768,
)
SDXL = Family(
    "SDXL",
    ("StableDiffusionXL",),
    text_encoders=("text_encoder", "text_encoder_2"),
    guidance=5.0,
    resolution=1024,
    batch_size=1,
)
IF = Family(
    "IF",
    ("IF",),
    attention=r"attentions\.\d+$",
    projections=(*_ADDED, ("to_out", "to_out.0")),
    guidance=7.0,
    resolution=64,
)
SD3 = Family(
    "SD3",
    ("StableDiffusion3",),
    denoiser="transformer",
    text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
    attention=_JOINT,
    projections=(*_ADDED, ("to_out", "to_add_out")),
    guidance=7.0,
    resolution=1024,
    batch_size=1,
)
FLUX = replace(
    SD3,
    name="FLUX",
    pipelines=("Flux",),
    text_encoders=("text_encoder", "text_encoder_2"),
    guidance=3.5,
)
PIXART = Family(
    "PixArt",
    ("PixArt",),
    denoiser="transformer",
    attention=r"^transformer_blocks\.\d+\.attn2$",
    guidance=4.5,
    resolution=1024,
    batch_size=1,
)

FAMILIES: tuple[Family, ...] = (SDXL, SD3, SD2, SD1, IF, FLUX, PIXART)
"""More particular rows first: the first whose class prefix and encoder width agree is taken."""

TOYBOX = replace(SD1, guidance=4.0, resolution=64, batch_size=16)
"""Toybox is SD1 in every shape; only its painting defaults differ."""


def family_called(name: str) -> Family:
    """The row of that name, in any case; ModelError when there is none."""
    for row in FAMILIES:
        if row.name.lower() == name.lower():
            return row
    names = ", ".join(row.name for row in FAMILIES)
    raise ModelError(f"No family {name!r}; expected one of {names}.")


def family_of(pipeline: Any) -> Family:
    """The row a diffusers pipeline belongs to; ModelError when it belongs to none."""
    title = type(pipeline).__name__
    for row in FAMILIES:
        if any(title.startswith(prefix) for prefix in row.pipelines) and _width_fits(row, pipeline):
            return row
    names = ", ".join(row.name for row in FAMILIES)
    raise ModelError(
        f"Pipelines of class {title} are of no known family (known: {names}); "
        "add a row to overpaint.models.families."
    )


def _width_fits(row: Family, pipeline: Any) -> bool:
    if row.encoder_width is None:
        return True
    config = getattr(getattr(pipeline, "text_encoder", None), "config", None)
    return getattr(config, "hidden_size", None) == row.encoder_width
