"""One training loop for every stage: deterministic batches, checkpoints, resuming after a kill."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn


@dataclass(frozen=True)
class Settings:
    """How a stage is trained. ``batch`` pictures or captions a step, ``steps`` steps in all."""

    steps: int
    batch: int
    lr: float
    weight_decay: float = 0.01
    warmup: int = 100
    hold: float = 0.3  # share of the steps at full rate, before the cosine
    ema: float = 0.0  # decay of the averaged copy that is kept, 0 for none
    bfloat16: bool = False
    seed: int = 0
    clip_norm: float = 1.0
    slow: float = 0.2  # rate of parameters named in `train(slow=...)`, relative to the others


Step = Callable[[np.random.Generator, int], torch.Tensor]
"""``step(rng, i) -> loss``, a scalar tensor to differentiate."""


@dataclass
class Running:
    """Everything a checkpoint must hold."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None
    done: int = 0
    losses: list[float] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the checkpoint beside its place, then move it there: a kill never tears it."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "done": self.done,
            "losses": self.losses,
        }
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.done, self.losses = state["done"], state["losses"]


def rate(settings: Settings, i: int) -> float:
    """Learning rate of step ``i``: linear warm-up, a flat part, then a cosine to 2 per cent."""
    warm = min(1.0, (i + 1) / settings.warmup)
    start = settings.hold * settings.steps
    t = max(0.0, (i - start) / max(1.0, settings.steps - start))
    return settings.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t)))


def train(
    module: Any,
    step: Step,
    settings: Settings,
    checkpoint: Path,
    *,
    slow: Iterable[nn.Parameter] = (),
    every_s: float = 60.0,
) -> Any:
    """Train ``module`` in place and return what to keep: the averaged copy where there is one.

    Batch ``i`` depends only on (seed, i), so a resumed run sees the pictures it would have seen.
    """
    slowed = {id(p) for p in slow}
    params = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in params if id(p) not in slowed], "scale": 1.0},
        {"params": [p for p in params if id(p) in slowed], "scale": settings.slow},
    ]
    optimizer = torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )
    average = copy.deepcopy(module).requires_grad_(False) if settings.ema else None
    run = Running(module, optimizer, average)
    run.load(checkpoint)
    device = params[0].device.type
    cast = torch.autocast(device, torch.bfloat16) if settings.bfloat16 else contextlib.nullcontext()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
    )
    saved = time.monotonic()
    with Progress(*columns) as bars:
        bar = bars.add_task(checkpoint.stem, total=settings.steps, completed=run.done, loss=0.0)
        while run.done < settings.steps:
            i = run.done
            for group in optimizer.param_groups:
                group["lr"] = rate(settings, i) * group["scale"]
            torch.manual_seed(settings.seed * 1_000_003 + i)
            with cast:
                loss = step(np.random.default_rng([settings.seed, i]), i)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            if average:
                _follow(average, module, min(settings.ema, (1 + i) / (10 + i)))
            run.done += 1
            run.losses.append(loss.item())
            recent = run.losses[-50:]
            bars.update(bar, completed=run.done, loss=sum(recent) / len(recent))
            if run.done == settings.steps or time.monotonic() - saved > every_s:
                run.save(checkpoint)
                saved = time.monotonic()
    return average or module


@torch.no_grad()
def _follow(average: nn.Module, module: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1 - decay)
