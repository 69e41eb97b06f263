"""What a model's folder says about itself, in ``overpaint.json`` beside ``model_index.json``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """Facts about a model that its weights do not tell.

    Attributes:
        name: What the model is, whatever its folder is called, e.g. ``"toybox"``.
        steps: Denoising steps it is used with; None for the pipeline's own default.
        guidance: Guidance scale it is used with; None for the pipeline's own default.
        batch_size: Pictures to generate at once; None for the family's.
        height: Height of a picture in pixels; None for the pipeline's own default.
        width: Width of a picture in pixels; None for the pipeline's own default.
        dtype: Number format to load it in, e.g. ``"float32"``; empty for that of its files.
    """

    name: str = ""
    steps: int | None = None
    guidance: float | None = None
    batch_size: int | None = None
    height: int | None = None
    width: int | None = None
    dtype: str = ""
