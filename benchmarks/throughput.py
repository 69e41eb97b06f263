"""How many pictures a second `overpaint bench` paints and judges, against the plain loop.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --seeds 8 --rounds 5 --threads 2

The plain loop is what the papers' scripts do: the same prompts under the same patches, one call of
the diffusers pipeline for each picture, then CLIP on that picture and its two captions; the same
sampler, steps and guidance. Both take turns, a case each, so that a busy machine slows down both;
the runner paints all of the case's pictures, the loop as many as --loop says. Edits are computed
beforehand for both and not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import console, keep
from rich.table import Table

from overpaint.benchmark.paint import paint
from overpaint.benchmark.patches import patches
from overpaint.benchmark.plan import Ask, Plan
from overpaint.benchmark.presets import preset
from overpaint.benchmark.run import plan_of
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Gallery, Studio, studio
from overpaint.models.clip import image_features, text_features
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.models.weights import with_deltas
from overpaint.types import Patch, Sampling

Patches = dict[str, Patch | None]


def loop(room: Studio, asks: list[Ask], made: Patches, count: int) -> float:
    """Seconds per picture of the plain loop, over ``count`` pictures spread over all asked for."""
    pipeline: Any = room.model.pipeline
    pipeline.set_progress_bar_config(disable=True)
    jobs = [(ask, seed) for ask in asks for seed in ask.seeds]
    chosen = [jobs[i * len(jobs) // count] for i in range(count)]
    groups: dict[str, list[tuple[Ask, int]]] = {}
    for ask, seed in chosen:
        groups.setdefault(ask.state.key, []).append((ask, seed))
    began = time.perf_counter()
    for key, group in groups.items():
        patch = made[key]
        with with_deltas(room.model, patch.deltas if patch else ()), torch.no_grad():
            for ask, seed in group:
                picture = pipeline(
                    ask.prompt,
                    num_inference_steps=room.how.steps,
                    guidance_scale=room.how.guidance,
                    generator=torch.Generator().manual_seed(seed),
                    output_type="pt",
                ).images
                texts = text_features(room.judge, [ask.new, ask.old])
                pixels = picture.mul(255).round().to(torch.uint8)
                (image_features(room.judge, pixels) @ texts.T).tolist()
    return (time.perf_counter() - began) / count


def runner(room: Studio, asks: list[Ask], keep: int) -> tuple[float, int]:
    """Seconds of the runner for all of ``asks``, edits left out, and pictures it painted."""
    spent: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder / "run.sqlite", {}) as store:
            began = time.perf_counter()
            painted = paint(
                room,
                store,
                asks,
                Gallery(folder / "pictures", keep),
                made=lambda one: spent.append(one.seconds),
            )
            return time.perf_counter() - began - sum(spent), painted


def measure(room: Studio, plan: Plan, flags: argparse.Namespace) -> dict[str, Any]:
    """Both, in turns: pictures per second of each round."""
    names = [case.name for case in plan.cases]
    rounds = []
    for number in range(flags.rounds + 1):
        name = names[number % len(names)]
        asks = [ask for ask in plan.asks if ask.case == name]
        keys = {ask.state.key: ask.state for ask in asks}
        made = {one.state.key: one.patch for one in patches(room.model, [*keys.values()], keys)}
        rows = sum(len(ask.seeds) for ask in asks)
        slow = loop(room, asks, made, flags.loop if number else 2)
        if number:  # the first round only warms up
            seconds, painted = runner(room, asks, flags.keep)
            rounds.append(
                {"loop": 1 / slow, "runner": rows / seconds, "painted": painted / seconds}
            )
            console.print(f"{name}: {1 / slow:.2f} and {rows / seconds:.2f} pictures a second")
    return {
        "rounds": rounds,
        "ratio": median(r["runner"] / r["loop"] for r in rounds),
        "painted_ratio": median(r["painted"] / r["loop"] for r in rounds),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["baseline", "oracle", "refact"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", type=int, default=24, help="pictures of the loop in each round")
    parser.add_argument("--keep", type=int, default=2, help="seeds whose pictures are written")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, help="of torch; by default as many as cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()
    if flags.threads:
        torch.set_num_threads(flags.threads)

    config = preset("refact-table1", "toybox")
    config = replace(config, methods=tuple(flags.methods), seeds=flags.seeds, limit=3)
    how = Sampling(steps=flags.steps, batch_size=flags.batch)
    room = studio(load("toybox"), load_clip("toybox-judge"), how)
    result = measure(room, plan_of(config), flags)
    table = Table(title="pictures a second, median of the rounds")
    for name in ("", "pictures / s", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    middle = {k: median(r[k] for r in result["rounds"]) for k in ("loop", "runner", "painted")}
    table.add_row("plain loop", f"{middle['loop']:.2f}", "1.0")
    table.add_row("runner", f"{middle['runner']:.2f}", f"{result['ratio']:.1f}")
    told = "runner, each picture that is asked for twice counted once"
    table.add_row(told, f"{middle['painted']:.2f}", f"{result['painted_ratio']:.1f}")
    console.print(table)
    if flags.json:
        keep(flags.json, {**result, "middle": middle})


if __name__ == "__main__":
    main()
