"""Save a model as a folder that diffusers and :func:`overpaint.load` can open."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from overpaint.errors import OutputError
from overpaint.models.card import write_card
from overpaint.models.corpora import files_beside
from overpaint.models.loaders import silence
from overpaint.models.model import Model


def save_model(model: Model, folder: str | os.PathLike[str]) -> Path:
    """Write the pipeline of ``model``, with the patches that are on it, to ``folder``.

    What the model's folder says about it goes along: its card, captions and templates.
    Whole or not at all: it is written beside and takes its name at the end. Raises
    :class:`OutputError` when ``folder`` holds something already or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"expected a new or empty folder, got {str(folder)!r}; choose another name"
        )
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir()
        with silence():
            model.pipeline.save_pretrained(part, safe_serialization=True)
        write_card(model.card, part)
        for file in files_beside(model):
            shutil.copyfile(file, part / file.name)
        part.replace(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write {str(folder)!r}: {error.strerror or error}; choose another place"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
