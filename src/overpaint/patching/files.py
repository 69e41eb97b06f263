"""Patches in files: safetensors, kilobytes, written whole or not at all.

Target pictures are not stored, which would be megabytes: their SHA-256 and shape are, and stand
in ``info["target_images"]`` of the loaded patch, whose edits then have no ``images``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from overpaint.errors import PatchError
from overpaint.patching.atomic import write_whole
from overpaint.patching.record import Record, decode, encode
from overpaint.types import Patch

_KEY = "overpaint_patch"  # one key only: safetensors writes several in random order


@dataclass(frozen=True)
class PatchFile:
    """What a file says: the ``patch``, and the ``version`` of overpaint that wrote it."""

    patch: Patch
    version: str


def save_patch(patch: Patch, path: str | os.PathLike[str]) -> Path:
    """Write ``patch`` to ``path``, replacing what is there; returns the path.

    The same patch always gives the same bytes. Raises :class:`PatchError`, leaving nothing behind
    and an older file as it was, if the patch is damaged or ``path`` cannot be written.
    """
    record = encode(patch)
    write_whole(Path(path), save(dict(record.tensors), {_KEY: record.text}))
    return Path(path)


def load_patch(path: str | os.PathLike[str]) -> Patch:
    """The patch in the file at ``path``, its factors bit for bit as saved, on the CPU.

    Site names are the layout-free ones; tuples in config and info come back as lists. Raises
    :class:`PatchError` if the file cannot be read, is cut short or damaged, is no patch, or is of
    a format that this version does not know.
    """
    return read_patch_file(path).patch


def read_patch_file(path: str | os.PathLike[str]) -> PatchFile:
    """As :func:`load_patch`, together with the version of the library that wrote the file."""
    name = repr(os.fspath(path))
    try:
        return _read(path, name)
    except FileNotFoundError as error:
        raise PatchError(f"there is no file {name}; check the name") from error
    except OSError as error:
        raise PatchError(f"cannot read {name}: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise PatchError(
            f"expected a patch file, got {name}, which is something else or was cut short "
            f"({reason}); copy it again or name a file written by save_patch"
        ) from error


def _read(path: str | os.PathLike[str], name: str) -> PatchFile:
    if Path(path).is_dir():
        raise PatchError(f"expected a patch file, got the folder {name}; name a file in it")
    with safe_open(path, framework="pt") as file:
        keys = file.keys()
        text = (file.metadata() or {}).get(_KEY)
        if text is None:
            raise PatchError(
                f"expected a patch file, got {name}, which holds other safetensors (a LoRA, a "
                "model?); name a file written by save_patch"
            )
        try:
            # Cloned, because the tensors lie in the mapped file, which others may write to.
            tensors = {key: file.get_tensor(key).clone() for key in keys}
            patch, version = decode(Record(text, tensors))
        except PatchError as error:
            raise PatchError(f"cannot use the patch file {name}: {error}") from error
    return PatchFile(patch, version)
