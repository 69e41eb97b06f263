"""Pictures that several runs want: painted by one of them, and taken by the others.

A folder with one SQLite file: for each picture its hash, what the judge sees in it, and the seconds
it took, under a key made of everything it depends on; beside it the pictures that were kept. A run
that finds a picture here has the very numbers that it would have painted, so that a run ends the
same, bit for bit, with this folder or without it. Several processes may use it at once, and one
that is killed leaves whole rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from overpaint.errors import OutputError
from overpaint.types import Patch

FILE, PICTURES = "shared.sqlite", "pictures"
PATIENCE = 60.0  # seconds to wait for another process that is writing
_TABLE = """
CREATE TABLE IF NOT EXISTS pictures (
    key TEXT PRIMARY KEY, picture TEXT NOT NULL, feature BLOB NOT NULL, seconds REAL NOT NULL
) WITHOUT ROWID
"""


class Seen(NamedTuple):
    """A painted picture: its hash, the judge's feature ``[d]`` in float64, seconds it took."""

    picture: str
    feature: Tensor
    seconds: float


@dataclass(frozen=True, eq=False)
class Shared:
    """The folder, and what all keys of one run have in common; use it in ``with``."""

    folder: Path
    common: str
    _base: sqlite3.Connection

    @classmethod
    def open(cls, folder: Path, common: Sequence[object]) -> Self:
        """Begin the folder, or go on with it; OutputError where nothing can be written.

        ``common`` is what the pictures of this run depend on beside prompt, patch and seed.
        """
        try:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(folder / FILE, timeout=PATIENCE, isolation_level=None)
            base.execute("PRAGMA journal_mode = WAL")
            base.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"cannot share pictures in {str(folder)!r}: {error}") from error
        return cls(folder, repr(list(common)), base)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def key(self, tensors: Mapping[str, Tensor], seed: int, patch: Patch | None) -> str:
        """The key of a picture: what the denoiser reads, its noise, and how it is changed."""
        digest = hashlib.blake2b(self.common.encode(), digest_size=16)
        for name, tensor in sorted(tensors.items()):
            digest.update(name.encode())
            _add(digest, tensor)
        for delta in patch.deltas if patch else ():
            digest.update(repr(delta.site).encode())
            for factor in delta.factors:
                _add(digest, factor)
        digest.update(str(seed).encode())
        return digest.hexdigest()

    def find(self, key: str) -> Seen | None:
        """The picture with that key, if somebody has painted it."""
        query = "SELECT picture, feature, seconds FROM pictures WHERE key = ?"
        row = self._base.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return Seen(row[0], torch.from_numpy(np.frombuffer(row[1], np.float64).copy()), row[2])

    def fetch(self, name: str, folder: Path) -> bool:
        """Put the picture called ``name`` into ``folder``; False where it was not kept."""
        return _copied(self.folder / PICTURES / name, folder / name)

    def add(self, found: Iterable[tuple[str, Seen]], folder: Path) -> None:
        """Share pictures, and those of their files that are in ``folder``: all of them or none."""
        rows = list(found)
        for _, seen in rows:
            name = f"{seen.picture}.png"
            _copied(folder / name, self.folder / PICTURES / name)
        add = "INSERT INTO pictures VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
        self._base.execute("BEGIN IMMEDIATE")
        try:
            for key, seen in rows:
                feature = seen.feature.double().cpu().numpy().tobytes()
                self._base.execute(add, (key, seen.picture, feature, seen.seconds))
            self._base.execute("COMMIT")
        except BaseException:
            self._base.execute("ROLLBACK")
            raise


def _copied(source: Path, goal: Path) -> bool:
    """Copy a file whole or not at all; whether it is there now."""
    if goal.exists():
        return True
    if not source.exists():
        return False
    goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_name(f".{goal.name}.{os.getpid()}.part")
    shutil.copyfile(source, part)
    part.replace(goal)
    return True


def _add(digest: hashlib.blake2b, tensor: Tensor | None) -> None:
    if tensor is None:
        digest.update(b"none")
        return
    whole = tensor.detach().cpu().float().contiguous()
    digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
    digest.update(whole.numpy().tobytes())
