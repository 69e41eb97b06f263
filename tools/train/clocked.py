"""A training loop that ends at a time, not at a step, for a GPU that is lent for some minutes.

The learning rate follows the clock; on CUDA the whole step (forward, backward, optimizer) is
captured as one CUDA graph, since thousands of small kernels otherwise wait for Python to launch
them. :mod:`tools.train.loop` is for everything else: it can be stopped and resumed.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from tools.train.bank import Bank

AHEAD = 3  # steps the CPU may be ahead of the GPU
EVERY = 4  # steps between two updates of the average
WORD = 10.0  # seconds between two lines of the log


@dataclass(frozen=True)
class Pace:
    """How a model is trained. ``batch`` pictures a step; ``hold`` is the share of the time at full
    rate, before the cosine; ``recent`` is the share of all steps that the average covers.
    """

    batch: int
    lr: float
    weight_decay: float = 0.01
    warmup: int = 300
    hold: float = 0.45
    recent: float = 0.04
    clip_norm: float = 1.0


class Task(Protocol):
    """A model with the buffers its loss reads, at fixed addresses."""

    module: Any  # of diffusers

    def fill(self, bank: Bank, index: torch.Tensor) -> None:
        """Put the pictures ``index [b]``, fresh noise and times into the buffers."""
        ...

    def loss(self) -> torch.Tensor:
        """The loss of the buffers, a scalar."""
        ...


@dataclass(frozen=True)
class Appointment:
    """``do(average)`` once, when the share ``at`` (0 to 1) of the time has passed."""

    at: float
    do: Callable[[Any], None]


@dataclass
class Log:
    """What happened, for the documentation."""

    name: str
    lines: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Note and print one line."""
        self.lines.append(f"[{time.monotonic() - self.start:6.1f} s] {self.name}: {text}")
        sys.stdout.write(self.lines[-1] + "\n")
        sys.stdout.flush()


class NotFiniteError(Exception):
    """The loss is no longer a number."""


def fit(
    task: Task,
    bank: Bank,
    pace: Pace,
    until: float,
    log: Log,
    *,
    graph: bool = True,
    fused: bool = False,
    appointments: tuple[Appointment, ...] = (),
) -> Any:
    """Train until ``until`` (of ``time.monotonic()``) and return the averaged module.

    ``graph``  capture the step as a CUDA graph, on CUDA.
    ``fused``  compile the repeated blocks and compute them in bfloat16: most of a step of these
        small models is spent on moving activations through memory.

    Raises NotFiniteError; and torch's own errors where the step cannot be captured.
    """
    params = [p for p in task.module.parameters() if p.requires_grad]
    device = params[0].device
    cuda = device.type == "cuda"
    rate = torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(
        params,
        lr=rate if cuda else pace.lr,
        weight_decay=pace.weight_decay,
        betas=(0.9, 0.98),
        fused=cuda,
        capturable=cuda,
    )
    average = copy.deepcopy(task.module).requires_grad_(False).eval()
    followed, leading = list(average.parameters()), list(task.module.parameters())
    total = torch.zeros((), device=device)
    if fused:
        task.module.compile_repeated_blocks(fullgraph=True, dynamic=False)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        # What autocast caches in one step would be read by every replay of a captured one.
        with torch.autocast(device.type, torch.bfloat16, enabled=fused, cache_enabled=False):
            loss = task.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(params, pace.clip_norm)
        optimizer.step()
        total.add_(loss.detach())

    task.fill(bank, bank.draw(pace.batch))
    run = step
    if cuda and graph:
        rate.fill_(1e-6)
        run = captured(step)
        log.say(f"captured; {torch.cuda.max_memory_reserved() / 2**30:.1f} GiB")
    start, done, said = time.monotonic(), 0, 0
    total.zero_()
    waiting: deque[torch.cuda.Event] = deque()
    due = sorted(appointments, key=lambda a: a.at)
    next_word = start + WORD / 2
    while (now := time.monotonic()) < until:
        passed = (now - start) / (until - start)
        value = pace.lr * rate_at(passed, pace.hold) * min(1.0, (done + 1) / pace.warmup)
        if cuda:
            rate.fill_(value)
        else:
            optimizer.param_groups[0]["lr"] = value
        task.fill(bank, bank.draw(pace.batch))
        run()
        done += 1
        if done % EVERY == 0:
            with torch.no_grad():
                torch._foreach_lerp_(followed, leading, EVERY / (pace.recent * done + 2 * EVERY))
        if cuda:
            waiting.append(torch.cuda.Event())
            waiting[-1].record()
            if len(waiting) > AHEAD:
                waiting.popleft().synchronize()
        if done % 25 == 0:
            bank.grow(limit=4)
        if now > next_word:
            loss = total.item() / (done - said)
            total.zero_()
            log.say(
                f"step {done}, loss {loss:.4f}, rate {value:.1e}, "
                f"{done / (now - start):.1f} steps/s, "
                f"{done * pace.batch / 1e6:.2f} M seen of {bank.size} pictures"
            )
            if not math.isfinite(loss):
                raise NotFiniteError(f"{log.name}: the loss is {loss} at step {done}")
            said, next_word = done, now + WORD
        while due and passed >= due[0].at:
            due.pop(0).do(average)
    log.say(f"ended after {done} steps, {done * pace.batch / 1e6:.2f} M pictures seen")
    return average


def rate_at(passed: float, hold: float) -> float:
    """Share of the full learning rate when the share ``passed`` of the time is over."""
    if passed < hold:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (passed - hold) / (1 - hold))))


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """``step`` as one CUDA graph; it has to read from and write to fixed addresses."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries set themselves up, the optimizer its state
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.cuda.synchronize()
    return graph.replay
