"""Whole calls as a user waits for them, on a random model of Stable Diffusion 1.4's true size.

The model is loaded; everything else counts, from the prompts to the patch. Each figure is the
median of a few calls after one that warms up; the first call, which also takes the model's
fingerprint, has a row of its own.

    python benchmarks/speed.py                      # on the CPU
    python benchmarks/speed.py --device cuda --json bench/speed-gpu.json
    python benchmarks/speed.py --quick              # fewer and smaller
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from common import console, keep
from rich.table import Table

import overpaint as op
import random_models
from overpaint.methods.mass import MassConfig
from overpaint.methods.uce import UCEConfig
from overpaint.models.corpora import default_corpus
from overpaint.models.model import Model
from overpaint.models.moments import second_moment
from overpaint.models.sites import mlp_site

NAMES = ("rose", "car", "cat", "house", "king", "doctor", "boat", "cup", "tree", "bird")
COLOURS = ("red", "blue", "green", "yellow", "old", "small", "wooden", "quiet", "bright", "tall")


@dataclass(frozen=True)
class Timing:
    """Seconds of one kind of call: median, extremes, and the peak of GPU memory in MiB."""

    name: str
    seconds: float
    least: float
    most: float
    memory: float | None = None


def edits(count: int) -> list[op.Edit]:
    """``count`` different edits; the targets are few, as in real lists of concepts."""
    made = []
    for number in range(count):
        first, second, third = (number // 10**k % 10 for k in range(3))
        source = f"a {COLOURS[first]} {COLOURS[second]} {NAMES[third]}"
        made.append(op.Edit(source, f"a {NAMES[(third + 1) % 10]}", subject=NAMES[third]))
    return made


class Clock:
    """Times calls on one device."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.rows: list[Timing] = []

    def once(self, call: Callable[[], object]) -> float:
        """Seconds of one call, to the end of what it put on the GPU."""
        self._wait()
        began = time.perf_counter()
        call()
        self._wait()
        return time.perf_counter() - began

    def measure(self, name: str, call: Callable[[], object], rounds: int = 5) -> None:
        """Add the median of ``rounds`` calls after one that does not count."""
        call()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        took = [self.once(call) for _ in range(rounds)]
        self.add(name, took)

    def add(self, name: str, took: list[float]) -> None:
        """Add a row."""
        memory = torch.cuda.max_memory_allocated() / 2**20 if self.cuda else None
        row = Timing(name, statistics.median(took), min(took), max(took), memory)
        self.rows.append(row)
        console.print(f"{name}: {row.seconds:.3f} s ({row.least:.3f} to {row.most:.3f})")

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def measure(model: Model, clock: Clock, *, quick: bool) -> None:
    """All rows for one model."""
    rose = op.Edit("a rose", "a blue rose")
    clock.add("TIME edit, first call", [clock.once(lambda: op.time_edit(model, [rose]))])
    clock.measure("TIME edit", lambda: op.time_edit(model, [rose]))
    patch = op.time_edit(model, [rose])
    clock.measure("apply and revert a TIME patch", lambda: op.apply(model, patch).revert())
    for count in (1, 10, 100) if quick else (1, 10, 100, 1000):
        many = edits(count)
        config = UCEConfig(templates=("{}",))
        rounds = 5 if count <= 100 else 2
        clock.measure(
            f"UCE, {count} concepts", lambda m=many, c=config: op.uce(model, m, c), rounds
        )
    for name, config in refact_settings():
        clock.measure(name, lambda c=config: op.refact(model, [rose], c), 3)
    requests = edits(30 if quick else 300)
    mass = MassConfig(covariance_weight=0.0, padding=False, mentions=0, stop=1.0)
    clock.measure(
        f"{len(requests)} requests in one mass edit", lambda: op.mass(model, requests, mass), 1
    )
    corpus, site = default_corpus(model), mlp_site(model, 9)
    with tempfile.TemporaryDirectory() as folder:
        took = clock.once(lambda: second_moment(model, site, corpus, cache_dir=folder))
    clock.add(f"covariance of a layer, {len(corpus.captions):,} captions", [took])


def refact_settings() -> Iterator[tuple[str, op.ReFACTConfig]]:
    """ReFACT of 100 steps: random weights never reach the probability at which it would stop."""
    yield (
        "ReFACT edit, 100 steps, covariance left out",
        op.ReFACTConfig(covariance_weight=0.0, stop=1.0),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()
    if flags.threads:
        torch.set_num_threads(flags.threads)
    device = torch.device(flags.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    pipeline = random_models.build("SD1", size="full")
    clock = Clock(device)
    measure(op.load(pipeline.to(device)), clock, quick=flags.quick)
    table = Table("work, model of SD1.4's size, float32", "s", "from", "to", "MiB", title=name)
    for row in clock.rows:
        memory = "" if row.memory is None else f"{row.memory:.0f}"
        table.add_row(row.name, f"{row.seconds:.3f}", f"{row.least:.3f}", f"{row.most:.3f}", memory)
    console.print(table)
    if flags.json:
        keep(flags.json, {"device": name, "rows": [asdict(row) for row in clock.rows]})


if __name__ == "__main__":
    main()
