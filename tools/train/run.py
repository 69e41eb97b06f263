"""Where a training run keeps its files, and which of its stages are done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image


@dataclass(frozen=True)
class Run:
    """A folder with the state of one training run, and the device it trains on."""

    folder: Path
    device: str

    def path(self, name: str) -> Path:
        """A file or folder of the run."""
        return self.folder / name

    def done(self, stage: str) -> bool:
        """Whether the stage has finished."""
        return self.path(f"{stage}.done").exists()

    def finish(self, stage: str) -> None:
        """Mark the stage as finished."""
        self.path(f"{stage}.done").touch()

    @cached_property
    def pictures(self) -> np.ndarray:
        """All training pictures, ``[n, 64, 64, 3]`` uint8, mapped from disk."""
        return np.load(self.path("pictures.npy"), mmap_mode="r")

    @cached_property
    def captions(self) -> list[str]:
        """The captions of the pictures, in the same order."""
        return json.loads(self.path("captions.json").read_text())

    def batch(self, index: np.ndarray) -> torch.Tensor:
        """Pictures as float ``[b, 3, 64, 64]`` in [-1, 1] on the run's device."""
        pixels = torch.from_numpy(self.pictures[index])
        return pixels.to(self.device).permute(0, 3, 1, 2).float().div(127.5).sub(1)

    def sheet(self, name: str, rows: list[torch.Tensor]) -> None:
        """Save rows of pictures (each ``[n, 3, h, w]`` in [-1, 1]) as one sample sheet."""
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        pixels = grid.add(1).mul(127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
        image = Image.fromarray(pixels)
        double = image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)
        double.save(self.path(f"{name}.png"))
