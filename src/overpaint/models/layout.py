"""Text towers as files have them: read in whatever layout, and refused when weights are missing.

transformers leaves a weight that its file lacks at random values and only logs it, and version 4
does so with whole towers: version 5 saves ``CLIPTextModel`` without the inner ``text_model.`` that
version 4 looks for. (Version 5 reads both.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from overpaint.errors import ModelError
from overpaint.models.sites import text_transformer
from overpaint.models.stored import read_header

_INNER = "text_model."
_TIED = {"encoder.embed_tokens.weight": "shared.weight"}  # T5's table, under either name


def read_tower(encoder: nn.Module | None, files: Sequence[Path]) -> bool:
    """Fill ``encoder``'s CLIP tower from ``files`` if they are in the newer layout and it is not.

    Returns whether anything was read. ModelError when the files lack a weight of the tower, or of
    a T5; other encoders are left to transformers.
    """
    if encoder is None or not files:
        return False
    names = {name for file in files for name in read_header(file).tensors}
    try:
        tower = text_transformer(encoder)
    except ModelError:
        _check_t5(encoder, names, files[0])
        return False
    _check(dict(tower.named_parameters()), {n.removeprefix(_INNER) for n in names}, files[0])
    if tower is encoder or any(name.startswith(_INNER) for name in names):
        return False
    _copy(tower, files)
    return True


def _copy(tower: nn.Module, files: Sequence[Path]) -> None:
    from safetensors import safe_open

    wanted = dict(tower.named_parameters())
    for file in files:
        with safe_open(file, "pt") as stored:
            for name in stored.keys():
                if name in wanted:
                    wanted[name].data.copy_(stored.get_tensor(name))


def _check_t5(encoder: nn.Module, names: set[str], file: Path) -> None:
    if type(encoder).__name__ == "T5EncoderModel":
        known = {_TIED.get(name, name) for name in names}
        _check({_TIED.get(n, n): p for n, p in encoder.named_parameters()}, known, file)


def _check(wanted: dict[str, nn.Parameter], names: set[str], file: Path) -> None:
    missing = sorted(wanted.keys() - names)
    if missing:
        raise ModelError(
            f"{file} lacks {missing[0]!r}: expected all weights of the text encoder; copy or "
            "download it again."
        )
