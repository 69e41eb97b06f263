"""What a model's folder says about itself to Overpaint: ``overpaint.json``.

It lies beside ``model_index.json``, so that a copy of a model, edited or not, is still painted and
edited as the model it was. It holds values only; nothing in it is run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError

CARD_FILE = "overpaint.json"

PRECISIONS = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""Number formats that a model can be loaded in, by name."""


@dataclass(frozen=True)
class Card:
    """Facts about a model that its weights do not tell.

    Attributes:
        name: What the model is, whatever its folder is called, e.g. ``"toybox"``; the settings
            chosen for a model are found by it.
        steps: Denoising steps it is used with; None for the pipeline's own default.
        guidance: Guidance scale it is used with; None for the pipeline's own default.
        batch_size: Pictures to generate at once; None for the family's.
        height: Height of a picture in pixels; None for the pipeline's own default.
        width: Width of a picture in pixels; None for the pipeline's own default.
        dtype: Number format to load it in, a name in ``PRECISIONS``; empty for that of its files.
        clip: Name of the embedded joint CLIP that its text encoder belongs to; empty for none.
    """

    name: str = ""
    steps: int | None = None
    guidance: float | None = None
    batch_size: int | None = None
    height: int | None = None
    width: int | None = None
    dtype: str = ""
    clip: str = ""

    def __post_init__(self) -> None:
        """ModelError for a value that cannot be."""
        for name in ("steps", "batch_size", "height", "width"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            _require(value is None or whole, f"{name} of at least 1", value)
        number = isinstance(self.guidance, int | float) and not isinstance(self.guidance, bool)
        fits = number and 0 <= self.guidance < float("inf")  # type: ignore[operator]
        _require(self.guidance is None or fits, "guidance of at least 0", self.guidance)
        known = self.dtype == "" or (isinstance(self.dtype, str) and self.dtype in PRECISIONS)
        _require(known, f"dtype out of {', '.join(PRECISIONS)}", self.dtype)
        for name in ("name", "clip"):
            _require(isinstance(getattr(self, name), str), f"text as {name}", getattr(self, name))

    @property
    def precision(self) -> torch.dtype | None:
        """The number format to load in, or None where the files decide."""
        return PRECISIONS[self.dtype] if self.dtype else None


def read_card(folder: str | Path) -> Card:
    """The card in ``folder``, an empty one where there is none.

    Keys that this version does not know are left out: a later one may have written them.
    ModelError, naming the file, when it holds something else than a card.
    """
    file = Path(folder) / CARD_FILE
    if not file.is_file():
        return Card()
    try:
        values: Any = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"expected a JSON object, got {type(values).__name__}")
        known = {field.name for field in fields(Card)}
        return Card(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, ModelError) as error:
        raise ModelError(
            f"Cannot use {file}: {error}; correct it, or delete it to load the folder as any other."
        ) from error


def write_card(card: Card, folder: str | Path) -> None:
    """Write what ``card`` says into ``folder``; no file where it says nothing."""
    said = {name: value for name, value in asdict(card).items() if value not in (None, "")}
    if said:
        file = Path(folder) / CARD_FILE
        file.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _require(holds: bool, wanted: str, value: object) -> None:
    if not holds:
        raise ModelError(f"expected {wanted}, got {value!r}")
