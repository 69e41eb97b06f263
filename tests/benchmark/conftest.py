"""Whole runs, small ones, on a tiny random model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.run import Done, run
from overpaint.models.clip import Clip
from overpaint.models.model import Model

Begin = Callable[..., Done]

# What makes a run quick; the pictures are as large as the tiny model's.
SMALL: dict[str, Any] = {"limit": 1, "steps": 1, "size": 32, "batch": 8}


@pytest.fixture
def begin(make_sd1: Callable[..., Model], judge: Clip, tmp_path: Path) -> Begin:
    """``begin(config, name="run", seed=0, share=None) -> Done``; of another model for a seed."""

    def call(
        config: BenchConfig, name: str = "run", seed: int = 0, share: Path | None = None
    ) -> Done:
        notes = {"command": "x"}
        model = make_sd1(seed)
        return run(config, tmp_path / name, model=model, judge=judge, notes=notes, share=share)

    return call
