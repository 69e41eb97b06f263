"""Does fast LocoGen find the exhaustive winner, and what does it save? All localization cases.

    python benchmarks/localize.py
    python benchmarks/localize.py --kinds style --cases 4 --seeds 2 --steps 8

Each prompt pair of the embedded world is a case of its own. Exhaustive scores are kept in a file
and not painted again as long as the model, the judge and the settings are the same.

``strict``  the window found is the exhaustive winner.
``tolerant``  it is, or the winner is not better than chance allows: seed by seed, its lead over
    the window found is on average within two standard errors of nothing.
``itself``  for comparison: how often the exhaustive search agrees strictly with itself, when the
    winner on every second seed is looked for with the other seeds.
``kept``  how much of the winner's effect (its score less the unchanged model's) the window found
    has, on average.

An evaluation is one row through the denoiser, in either branch of guidance. The fast search is
charged for foresight, sketches and the exact pictures of what it found, the exhaustive one for
its windows alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from common import bar, console
from rich.table import Table

from overpaint.localize.fast import FastConfig, choose
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of
from overpaint.models.clip import load_clip
from overpaint.models.fingerprint import fingerprint
from overpaint.models.load import load
from overpaint.toybox.cases import PromptPair
from overpaint.toybox.cases import load as load_cases

STORE = Path("bench/localize.jsonl")


@dataclass(frozen=True)
class Outcome:
    """One case. Scores are turned so that more is better.

    ``scores [windows, seeds]`` exhaustive, ``clean [seeds]`` of the unchanged model; ``best`` and
    ``sketched`` are what the fast search said; then evaluations of both, and its seconds.
    """

    kind: str
    pair: PromptPair
    scores: torch.Tensor
    clean: torch.Tensor
    best: int
    sketched: tuple[int, ...]
    exhaustive: int
    fast: int
    seconds: float

    @property
    def winner(self) -> int:
        """The window with the best mean."""
        return int(self.scores.mean(1).argmax())

    @property
    def strict(self) -> bool:
        """Whether the fast search found it."""
        return self.best == self.winner

    @property
    def tolerant(self) -> bool:
        """Whether it found it, or one that is as good within what seeds tell."""
        lead = self.scores[self.winner] - self.scores[self.best]
        if self.strict or len(lead) < 2:
            return self.strict
        return bool(lead.mean() <= 2 * lead.std() / len(lead) ** 0.5)

    @property
    def itself(self) -> bool:
        """Whether half of the seeds find what the other half finds."""
        halves = self.scores[:, ::2], self.scores[:, 1::2]
        return len({int(half.mean(1).argmax()) for half in halves if half.shape[1]}) == 1

    @property
    def kept(self) -> float:
        """Share of the winner's effect."""
        clean, means = self.clean.mean(), self.scores.mean(1)
        return float((means[self.best] - clean) / (means[self.winner] - clean))


def measure(pair: PromptPair, judge: Any, store: dict[str, Any], flags: Any, tick: Any) -> Outcome:
    """Both searches on one case; exhaustive scores come from ``store`` if they are there."""
    config = LocoGenConfig(flags.window, seeds=tuple(range(flags.seeds)), steps=flags.steps)
    prompts = [pair.original], [pair.target]
    painter = Painter(flags.model, judge, pair.attribute, *prompts, config)
    windows = windows_of(painter.depth, flags.window)
    key = json.dumps([flags.marks, *map(str, asdict(pair).values()), flags.window, flags.seeds])
    key += str(flags.steps or flags.model.family.steps)
    if key not in store:
        pictures = painter.pictures([range(0), *windows], config.seeds, "exhaustive", tick)
        store[key] = painter.scores(pictures)[:, 0].tolist()
        flags.store.parent.mkdir(exist_ok=True)
        with flags.store.open("a") as file:
            file.write(json.dumps({"key": key, "scores": store[key]}) + "\n")
    scores = torch.tensor(store[key]) * painter.rule.sign
    painter.evaluations, start = 0, time.perf_counter()
    choice = choose(painter, windows, flags.fast, tick)
    steps = flags.steps or flags.model.family.steps
    window = len(config.seeds) * steps * (1 + painter.guided)
    return Outcome(
        pair.attribute,
        pair,
        scores[1:],
        scores[0],
        choice.best,
        choice.sketched,
        len(windows) * window,
        painter.evaluations + window,
        time.perf_counter() - start,
    )


def summary(found: Sequence[Outcome]) -> dict[str, float]:
    """Means over cases."""

    def share(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return {
        "cases": len(found),
        "strict": share([each.strict for each in found]),
        "tolerant": share([each.tolerant for each in found]),
        "ties": sum(each.tolerant and not each.strict for each in found),
        "itself": share([each.itself for each in found]),
        "foreseen": share([each.winner in each.sketched for each in found]),
        "kept": share([each.kept for each in found]),
        "exhaustive": share([each.exhaustive for each in found]),
        "fast": share([each.fast for each in found]),
        "saved": sum(each.exhaustive for each in found) / sum(each.fast for each in found),
    }


def main() -> None:
    """Measure, print, write."""
    flags = parse()
    flags.model, judge = load("toybox", device=flags.device), None
    judge = load_clip("toybox-judge", device=flags.device)
    weights = sum(float(p.double().sum()) for p in judge.network.parameters())
    flags.marks = [fingerprint(flags.model), f"{weights:.6f}"]
    store = {}
    if flags.store.exists():
        lines = map(json.loads, flags.store.read_text().splitlines())
        store = {line["key"]: line["scores"] for line in lines}
    found: list[Outcome] = []
    for kind in flags.kinds:
        pairs = [p for p in load_cases("localization") if p.attribute == kind][: flags.cases]
        for number, pair in enumerate(pairs, 1):
            with bar(f"{kind} {number}/{len(pairs)}") as tick:
                found.append(measure(pair, judge, store, flags, tick))
    results = {k: summary([each for each in found if each.kind == k]) for k in flags.kinds}
    results["all"] = summary(found)
    show(results, flags)
    if flags.misses:
        for each in (each for each in found if not each.strict):
            lead = each.scores[each.winner] - each.scores[each.best]
            console.print(
                f"{each.pair.original} -> {each.pair.target}: found {each.best}, winner "
                f"{each.winner}, lead {lead.mean():.2f}, "
                + ("a tie" if each.tolerant else "a miss")
                + ("" if each.winner in each.sketched else ", not foreseen")
            )
    if flags.json:
        flags.json.write_text(json.dumps(results, indent=1))


def show(results: dict[str, dict[str, float]], flags: Any) -> None:
    """One row a kind."""
    steps = flags.steps or flags.model.family.steps
    title = f"windows of {flags.window}, {flags.seeds} seeds, {steps} steps\n{flags.fast}"
    table = Table(title=title, box=None)
    names = list(results["all"])
    for head in ("kind", *names):
        table.add_column(head, justify="right")
    for kind, each in results.items():
        cells = []
        for name in names:
            whole = name in ("cases", "ties", "exhaustive", "fast")
            text = f"{each[name]:.0f}" if whole else f"{100 * each[name]:.0f} %"
            cells.append(f"{each[name]:.1f}x" if name == "saved" else text)
        table.add_row(kind, *cells)
    console.print(table)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kinds", nargs="+", default=["style", "object", "fact"])
    parser.add_argument("--cases", type=int, help="cases of each kind; all unless given")
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cpu")
    settings = [field.name.upper() for field in fields(FastConfig)]
    parser.add_argument("--fast", nargs=len(settings), type=int, metavar=tuple(settings))
    parser.add_argument("--store", type=Path, default=STORE, help="exhaustive scores")
    parser.add_argument("--misses", action="store_true", help="name the cases that differ")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    flags.fast = FastConfig(*flags.fast) if flags.fast else FastConfig()
    return flags


if __name__ == "__main__":
    main()
