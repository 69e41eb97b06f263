"""The models that come with the library: where their files are, and what belongs to each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from overpaint.errors import ModelError


@dataclass(frozen=True)
class Embedded:
    """An embedded model.

    ``folder``  of its pipeline, below the package's weights; the card in it says how it is painted.
    ``judge``   name of the CLIP that judges its pictures, in :data:`CLIPS`.
    """

    folder: str
    judge: str


EMBEDDED = {"toybox": Embedded("pipeline", judge="toybox-judge")}
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
            "with `python -m overpaint.toybox.train`."
        )
    return folder


def judge_of(name: str, otherwise: str) -> str:
    """Name of the CLIP that judges the pictures of the model whose card says ``name``.

    ``otherwise`` where that is no embedded model.
    """
    return EMBEDDED[name].judge if name in EMBEDDED else otherwise
