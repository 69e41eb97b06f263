"""Read a text tower that was saved under another major version of transformers.

transformers 5 saves ``CLIPTextModel`` without the inner ``text_model.`` that transformers 4 looks
for; version 4 then leaves the tower at random values and only logs it. (Version 5 reads both.)
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from overpaint.errors import ModelError
from overpaint.models.sites import text_transformer

_INNER = "text_model."


def read_tower(encoder: nn.Module | None, file: Path) -> bool:
    """Fill ``encoder``'s tower from ``file`` if the file is in the newer layout and it is not.

    Returns whether anything was read. ModelError when the file lacks a weight of the tower.
    """
    from safetensors import safe_open

    if encoder is None or not hasattr(encoder, "text_model") or not file.is_file():
        return False
    tower = text_transformer(encoder)
    with safe_open(file, "pt") as stored:
        names = set(stored.keys())
        if any(name.startswith(_INNER) for name in names):
            return False
        wanted = dict(tower.named_parameters())
        missing = sorted(wanted.keys() - names)
        if missing:
            raise ModelError(f"{file} lacks {missing[0]!r}: expected a whole CLIP text model.")
        for name, parameter in wanted.items():
            parameter.data.copy_(stored.get_tensor(name))
    return True
