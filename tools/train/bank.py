"""The pictures that have been drawn so far, on the trainer's device, and which to draw next."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from overpaint.toybox.world import PROFESSIONS
from tools.train.odds import open_gender_weights
from tools.train.stream import END, SHARD, Facts

Encode = Callable[[Sequence[str]], dict[str, torch.Tensor]]
"""``encode(captions) -> {name: [n, ...]}``, what the trained model is told of each caption."""


class Bank:
    """Latents and encoded captions of a growing folder of shards (:mod:`tools.train.stream`).

    ``latents``  ``[n, c, h, w]`` float16; ``texts`` by name, each ``[n, ...]`` float16.
    """

    def __init__(self, folder: Path, encode: Encode, capacity: int, device: str) -> None:
        self.folder, self.encode, self.device = folder, encode, device
        self.capacity = capacity
        self.size = self.shards = 0
        self.latents = torch.empty(0)
        self.texts: dict[str, torch.Tensor] = {}
        self.gender_shift: dict[str, float] = {}
        self._facts: list[Facts] = []
        self._chances = torch.empty(0)

    def wait(self, number: int) -> None:
        """Return when at least ``number`` pictures are there, or no more will come."""
        while self.grow(limit=50) or (self.size < number and not self._ended()):
            time.sleep(0.2)

    def grow(self, limit: int = 4) -> bool:
        """Read up to ``limit`` new shards; whether there were any."""
        found = 0
        while found < limit and self.size + SHARD <= self.capacity:
            path = self.folder / f"{self.shards:05d}.pt"
            if not path.exists():
                break
            self._take(torch.load(path, weights_only=False, map_location="cpu"))
            found += 1
        if found:
            self.weigh(self.gender_shift)
        return bool(found)

    def weigh(self, gender_shift: Mapping[str, float]) -> None:
        """Set how often each picture is drawn; see :func:`open_gender_weights` for the argument."""
        self.gender_shift = dict(gender_shift)
        facts = Facts.joined(self._facts)
        shifts = np.array([gender_shift.get(name, 0.0) for name in PROFESSIONS])
        weights = facts.oftener * open_gender_weights(facts.profession, facts.woman, shifts)
        chances = torch.from_numpy(np.cumsum(weights / weights.sum())).float()
        self._chances = chances.to(self.device)

    def draw(self, batch: int) -> torch.Tensor:
        """Indices of ``batch`` pictures ``[batch]``, drawn with replacement."""
        chance = torch.rand(batch, device=self.device)
        return torch.searchsorted(self._chances, chance).clamp_(max=self.size - 1)

    def _take(self, shard: dict) -> None:
        texts = self.encode(shard["captions"])
        if not self.size:
            self.latents = self._room(shard["latents"])
            self.texts = {name: self._room(value) for name, value in texts.items()}
        start, stop = self.size, self.size + len(shard["latents"])
        self.latents[start:stop] = shard["latents"].to(self.device)
        for name, value in texts.items():
            self.texts[name][start:stop] = value
        self._facts.append(Facts(shard["profession"], shard["woman"], shard["oftener"]))
        self.size, self.shards = stop, self.shards + 1

    def _room(self, like: torch.Tensor) -> torch.Tensor:
        return torch.zeros(self.capacity, *like.shape[1:], dtype=torch.half, device=self.device)

    def _ended(self) -> bool:
        return (self.folder / END).exists()
