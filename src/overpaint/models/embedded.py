"""The models that come with the library: where their files are, and what belongs to each.

The models show one painted world in different architectures. What they share (autoencoder, first
text encoder, tokenizer, joint CLIP, judge) is stored once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from overpaint.errors import ModelError


@dataclass(frozen=True)
class Embedded:
    """An embedded model.

    Attributes:
        folder: Of its pipeline, below the package's weights; the card in it says how it is used.
        judge: Name of the CLIP that judges its pictures, in :data:`CLIPS`.
        shared: Its components that are stored with :data:`DEFAULT`, by their names there.
    """

    folder: str
    judge: str
    shared: Mapping[str, str] = field(default_factory=dict)


EMBEDDED = {
    "toybox": Embedded("pipeline", judge="toybox-judge"),
    "toybox-xl": Embedded(
        "xl",
        judge="toybox-judge",
        shared={
            "vae": "vae",
            "text_encoder": "text_encoder",
            "tokenizer": "tokenizer",
            "tokenizer_2": "tokenizer",
        },
    ),
}
"""Name of an embedded model -> what belongs to it."""

DEFAULT = "toybox"
"""The model that the command line takes where none is named."""

CLIPS = {"toybox": "clip", "toybox-judge": "judge"}
"""Name of an embedded CLIP -> its folder."""

TOKENIZER = "pipeline/tokenizer"
"""Folder of the tokenizer that the embedded CLIPs read with."""


def toybox_folder(part: str) -> Path:
    """Folder of the embedded ``part``, such as ``"pipeline"``, ``"clip"`` or ``"judge"``."""
    folder = Path(str(resources.files("overpaint"))) / "toybox" / "weights" / part
    if not folder.is_dir():
        raise ModelError(
            f"The embedded model has no {part!r} at {folder}; reinstall overpaint, or rebuild it "
            "with `python -m tools.train` in its repository."
        )
    return folder


def judge_of(name: str, otherwise: str) -> str:
    """Name of the CLIP that judges the pictures of the model whose card says ``name``.

    ``otherwise`` where that is no embedded model.
    """
    return EMBEDDED[name].judge if name in EMBEDDED else otherwise
