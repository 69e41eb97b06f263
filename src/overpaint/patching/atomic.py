"""Patch files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from overpaint import io
from overpaint.errors import PatchError


def write_whole(path: Path, data: bytes) -> None:
    """:func:`overpaint.io.write_whole`; PatchError if ``path`` cannot be written."""
    io.write_whole(path, data, PatchError)
