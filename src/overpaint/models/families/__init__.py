"""The families of models, each one object in one file.

To support another family, write a subclass of :class:`overpaint.models.families.base.Family` and
pass it to :func:`register`; nothing else in the library asks for a pipeline's class.
"""

from __future__ import annotations

from typing import Any

from overpaint.errors import ModelError
from overpaint.models.families.auraflow import AuraFlow
from overpaint.models.families.base import Family, Segment, Template, TextLayer, TextPath
from overpaint.models.families.chroma import Chroma
from overpaint.models.families.deepfloyd import DeepFloydIF
from overpaint.models.families.flux import Flux
from overpaint.models.families.flux2 import Flux2, Flux2Klein
from overpaint.models.families.hidream import HiDream
from overpaint.models.families.hunyuandit import HunyuanDiT
from overpaint.models.families.kandinsky3 import Kandinsky3
from overpaint.models.families.lumina2 import Lumina2
from overpaint.models.families.pixart import PixArt
from overpaint.models.families.qwenimage import QwenImage
from overpaint.models.families.sana import Sana, SanaSprint
from overpaint.models.families.sd3 import StableDiffusion3
from overpaint.models.families.unets import (
    LatentConsistency,
    StableDiffusion1,
    StableDiffusion2,
    StableDiffusionXL,
)
from overpaint.models.families.zimage import ZImage

__all__ = [
    "FAMILIES",
    "Family",
    "Segment",
    "Template",
    "TextLayer",
    "TextPath",
    "family_called",
    "family_of",
    "no_neurons",
    "register",
]

FAMILIES: list[Family] = [
    StableDiffusion1(),
    StableDiffusion2(),
    LatentConsistency(),
    StableDiffusionXL(),
    StableDiffusion3(),
    Flux(),
    PixArt(),
    DeepFloydIF(),
    Kandinsky3(),
    AuraFlow(),
    Chroma(),
    HunyuanDiT(),
    Flux2(),
    Flux2Klein(),
    HiDream(),
    Lumina2(),
    QwenImage(),
    Sana(),
    SanaSprint(),
    ZImage(),
]
"""All families, in the order in which they are listed."""


def no_neurons(family: Family) -> str:
    """Why neurons cannot be found in a family; "" if they can."""
    if not family.joint_attention:
        return ""
    return (
        f"neurons are outputs of the key and value projections of cross-attention, and "
        f"{family.name} has joint attention; find its layers with LocoGen or causal tracing, and "
        "edit with time or uce"
    )


def register(family: Family) -> Family:
    """Add ``family``, before those that are there: it may claim their pipelines."""
    FAMILIES.insert(0, family)
    return family


def family_called(name: str) -> Family:
    """The family of that name, in any case; ModelError when there is none."""
    for family in FAMILIES:
        if family.name.lower() == name.lower():
            return family
    names = ", ".join(family.name for family in FAMILIES)
    raise ModelError(f"No family {name!r}; expected one of {names}.")


def family_of(pipeline: Any) -> Family:
    """The family that a diffusers pipeline belongs to; ModelError when it belongs to none."""
    for family in FAMILIES:
        if family.matches(pipeline):
            return family
    names = ", ".join(family.name for family in FAMILIES)
    raise ModelError(
        f"Pipelines of class {type(pipeline).__name__} are of no known family (known: {names}). "
        "A family is one class: see overpaint.models.families."
    )
