"""The families of models, each one object in one file.

To support another family, write a subclass of :class:`overpaint.models.families.base.Family` and
pass it to :func:`register`; nothing else in the library asks for a pipeline's class.
"""

from __future__ import annotations

from typing import Any

from overpaint.errors import ModelError
from overpaint.models.families.base import Family, Segment, Template, TextLayer, TextPath
from overpaint.models.families.flux import Flux
from overpaint.models.families.pixart import PixArt
from overpaint.models.families.sd3 import StableDiffusion3
from overpaint.models.families.unets import (
    LatentConsistency,
    StableDiffusion1,
    StableDiffusion2,
    StableDiffusionXL,
)

__all__ = [
    "FAMILIES",
    "Family",
    "Segment",
    "Template",
    "TextLayer",
    "TextPath",
    "family_called",
    "family_of",
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
]
"""All families, in the order in which they are listed."""


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
