"""What the judge saw in every picture so far, on disk: a killed benchmark goes on where it was.

A line of JSON holds the judge's features of the pictures of one prompt. Features instead of
scores: one picture may be asked about in many ways (the unedited rose serves every case that has
a rose in it) and no picture is ever painted twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from overpaint.errors import DataError, OutputError


def identity(networks: Sequence[nn.Module], *rest: object) -> str:
    """8 bytes in hexadecimal over all weights of ``networks`` and whatever else counts."""
    digest = hashlib.blake2b(repr(rest).encode(), digest_size=8)
    for network in networks:
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


class FeatureCache:
    """Features ``[d]`` by (condition, prompt, seed), all of one identity, in a file or only here.

    Lines of other identities stay in the file and are left alone. The last line of a run that was
    killed may be torn; it is dropped. DataError for a file that is something else.
    """

    def __init__(self, path: Path | None, owner: str) -> None:
        self.path, self.owner = path, owner
        self._known: dict[tuple[str, str, int], Tensor] = {}
        if path is not None and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._known)

    def missing(self, condition: str, prompt: str, seeds: Sequence[int]) -> tuple[int, ...]:
        """Those of ``seeds`` whose picture has not been judged."""
        return tuple(s for s in seeds if (condition, prompt, s) not in self._known)

    def features(self, condition: str, prompt: str, seeds: Sequence[int]) -> Tensor:
        """``[n_seeds, d]``; KeyError when one is missing."""
        return torch.stack([self._known[condition, prompt, s] for s in seeds])

    def add(self, condition: str, prompt: str, seeds: Sequence[int], features: Tensor) -> None:
        """Keep ``features [n_seeds, d]``, in memory and at once on disk."""
        self._keep(condition, prompt, seeds, features.float().cpu())
        if self.path is None:
            return
        packed = base64.b64encode(features.float().cpu().contiguous().numpy().tobytes()).decode()
        line = json.dumps(
            {
                "owner": self.owner,
                "condition": condition,
                "prompt": prompt,
                "seeds": list(seeds),
                "features": packed,
            }
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}; give another"
            ) from error

    def _keep(self, condition: str, prompt: str, seeds: Sequence[int], features: Tensor) -> None:
        for seed, row in zip(seeds, features, strict=True):
            self._known[condition, prompt, seed] = row

    def _read(self, path: Path) -> None:
        raw = path.read_bytes()
        whole, newline, torn = raw.rpartition(b"\n")
        if torn:
            with path.open("r+b") as file:  # what a killed run left half-written
                file.truncate(len(whole) + len(newline))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if entry["owner"] != self.owner:
                    continue
                values = np.frombuffer(base64.b64decode(entry["features"]), dtype=np.float32)
                rows = torch.from_numpy(values.copy()).view(len(entry["seeds"]), -1)
                self._keep(entry["condition"], entry["prompt"], entry["seeds"], rows)
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                raise DataError(
                    f"{path}, line {number}: expected a line of a benchmark's cache, got "
                    f"{line[:40]!r}; remove the file or name another"
                ) from error
