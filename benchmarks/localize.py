"""Does fast LocoGen find the exhaustive winner, and what does it save? All localization cases.

    python benchmarks/localize.py --json localize.json
    python benchmarks/localize.py --kinds style --limit 4 --seeds 2 --steps 8

Each prompt pair of the embedded world is a case of its own; the pairs of a kind share batches.
Prints how often the exhaustive winner is among the first k of the estimate, and how often the
whole fast search ends with it. An evaluation is one row through the denoiser; a forward and
backward pass counts for three. The exhaustive search is charged for its windows alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import bar, console
from rich.table import Table

from overpaint.localize.fast import FastConfig, layer_effects
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of
from overpaint.models.clip import load_clip
from overpaint.models.load import load
from overpaint.toybox.cases import load as load_cases


def measure(kind: str, flags: argparse.Namespace) -> dict[str, Any]:
    """Exhaustive scores and first-order estimates of every case of ``kind``."""
    pairs = [p for p in load_cases("localization") if p.attribute == kind][: flags.limit]
    config = LocoGenConfig(flags.window, seeds=tuple(range(flags.seeds)), steps=flags.steps)
    originals, targets = [p.original for p in pairs], [p.target for p in pairs]
    scorer = load_clip("toybox-judge", device=flags.device)
    painter = Painter(flags.model, scorer, kind, originals, targets, config)
    windows = windows_of(painter.depth, flags.window)
    start = time.perf_counter()
    with bar(kind) as progress:
        pictures = painter.pictures(windows, config.seeds, "all windows", progress)
        scores = painter.scores(pictures) * painter.rule.sign
        whole, took = painter.evaluations, time.perf_counter() - start
        effects = layer_effects(painter, config.seeds[: flags.fast.trial], flags.fast, progress)
    expected = effects.unfold(1, flags.window, 1).sum(-1) * painter.rule.sign
    return {
        "kind": kind,
        "originals": originals,
        "targets": targets,
        "scores": scores.permute(1, 0, 2),  # [prompts, windows, seeds], higher is better
        "expected": expected,  # [prompts, windows]
        "exhaustive": whole / len(pairs),
        "gradients": (painter.evaluations - whole) / len(pairs),
        "seconds": took,
        "fast_seconds": time.perf_counter() - start - took,
    }


def judge(found: dict[str, Any], fast: FastConfig, depths: Sequence[int]) -> dict[str, Any]:
    """Recall of the exhaustive winner, and evaluations of both searches."""
    scores, expected = found["scores"], found["expected"]
    winners = scores.mean(-1).argmax(1)
    ranked = expected.argsort(dim=1, descending=True)
    recall = {k: (ranked[:, :k] == winners[:, None]).any(1).float().mean().item() for k in depths}
    tried = ranked[:, : fast.candidates]
    trial = scores[:, :, : fast.trial].mean(-1).gather(1, tried)
    ends = tried.gather(1, trial.argmax(1, keepdim=True))[:, 0]
    windows, seeds = scores.shape[1:]
    a_picture = found["exhaustive"] / windows / seeds
    painted = fast.candidates * fast.trial + max(0, seeds - fast.trial)
    cost = found["gradients"] + painted * a_picture
    lost = (scores.mean(-1).amax(1) - scores.mean(-1).gather(1, ends[:, None])[:, 0]).mean().item()
    return {
        "cases": len(scores),
        "recall": recall,
        "same winner": (ends == winners).float().mean().item(),
        "score lost": lost,
        "exhaustive": found["exhaustive"],
        "fast": cost,
        "saved": found["exhaustive"] / cost,
    }


def main() -> None:
    """Measure, print, write."""
    flags = parse()
    flags.model = load("toybox", device=flags.device)
    depths = (1, 2, 3, 4, 5)
    found = [measure(kind, flags) for kind in flags.kinds]
    results = {each["kind"]: judge(each, flags.fast, depths) for each in found}
    table = Table(title=f"windows of {flags.window}, {flags.seeds} seeds, {flags.fast}", box=None)
    heads = ["kind", "cases", *(f"in first {k}" for k in depths)]
    for head in (*heads, "same winner", "score lost", "exhaustive", "fast", "saved"):
        table.add_column(head, justify="right")
    for kind, each in results.items():
        table.add_row(
            kind,
            str(each["cases"]),
            *(f"{100 * each['recall'][k]:.0f} %" for k in depths),
            f"{100 * each['same winner']:.0f} %",
            f"{each['score lost']:.2f}",
            f"{each['exhaustive']:.0f}",
            f"{each['fast']:.0f}",
            f"{each['saved']:.1f}x",
        )
    console.print(table)
    if flags.json:
        plain = [
            {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in each.items()}
            for each in found
        ]
        flags.json.write_text(json.dumps({"results": results, "cases": plain}, indent=1))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kinds", nargs="+", default=["style", "object", "fact"])
    parser.add_argument("--limit", type=int, help="cases of each kind")
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--fast", nargs=4, type=int, metavar=("STEPS", "TIMES", "CANDIDATES", "TRIAL")
    )
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    flags.fast = FastConfig(*flags.fast) if flags.fast else FastConfig()
    return flags


if __name__ == "__main__":
    main()
