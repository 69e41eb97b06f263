"""Does fast LocoGen find the exhaustive winner, and what does it save? All localization cases.

    python benchmarks/localize.py
    python benchmarks/localize.py --kinds style --cases 4 --seeds 2 --steps 8

First each prompt pair of the embedded world is a case of its own; then, as in the paper, all pairs
of one style, one object or one office together are one. Exhaustive scores are kept in a file and
not painted again as long as the model, the judge and the settings are the same.

``strict``  the window found is the exhaustive winner.
``tolerant``  it is, or the winner is not better than chance allows: picture by picture, its lead
    over the window found is on average within two standard errors of nothing, or below 0.1 points
    (where no window does anything, all pictures are alike and so is their error).
``anew``  it is, or painted from --fresh other seeds it is no worse than the exhaustive winner.
``itself``  for comparison: how often the exhaustive search agrees strictly with itself, when the
    winner on every second picture is looked for with the others.
``nominated``  the exhaustive winner was among the windows that were sketched.
``kept``  how much of the winners' effect (their scores less the unchanged model's) the windows
    found have, all cases together.

An evaluation is one row through the denoiser, in either branch of guidance. The fast search is
charged for its sketches and for the pictures of what it found, the exhaustive one for its windows
alone. The fewer steps the sampler takes, the less there is to save: sketches have their own.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from common import bar, console, keep
from rich.table import Table

from overpaint.localize.fast import FastConfig, choose
from overpaint.localize.locogen import LocoGenConfig, windows_of
from overpaint.localize.painter import Painter
from overpaint.models.fingerprint import fingerprint
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.models.sampling import sampling_for
from overpaint.toybox.cases import PromptPair
from overpaint.toybox.cases import load as load_cases
from overpaint.toybox.world import CHARACTERS, OFFICES, STYLES

STORE = Path("bench/localize.jsonl")
NEGLIGIBLE = 0.1  # points of CLIP-Score, out of 100


@dataclass(frozen=True)
class Outcome:
    """One case. Scores are turned so that more is better.

    ``scores [windows, pictures]`` exhaustive, ``clean [pictures]`` of the unchanged model; ``best``
    and ``candidates`` are what the fast search said; then evaluations of both, and how much better
    the exhaustive winner is than ``best`` on other seeds.
    """

    kind: str
    name: str
    scores: torch.Tensor
    clean: torch.Tensor
    best: int
    candidates: tuple[int, ...]
    exhaustive: int
    fast: int
    lead: float = 0.0

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
        return bool(lead.mean() <= max(NEGLIGIBLE, 2 * float(lead.std()) / len(lead) ** 0.5))

    @property
    def anew(self) -> bool:
        """Whether it found it, or one that is as good on other seeds."""
        return self.strict or self.lead <= 0

    @property
    def itself(self) -> bool:
        """Whether half of the seeds find what the other half finds."""
        halves = self.scores[:, ::2], self.scores[:, 1::2]
        return len({int(half.mean(1).argmax()) for half in halves if half.shape[1]}) == 1

    def effect(self, window: int) -> float:
        """How much better a window's mean is than the unchanged model's."""
        return float(self.scores[window].mean() - self.clean.mean())


def painted(
    painter: Painter,
    windows: Sequence[range],
    seeds: Sequence[int],
    store: dict[str, Any],
    flags: Any,
    tick: Any,
    *about: int,
) -> torch.Tensor:
    """Scores of ``windows`` painted in full, ``[windows, prompts · seeds]``, more is better."""
    scores = []
    for original, target in zip(painter.originals, painter.targets, strict=True):
        pair = [painter.rule.name, original, target]
        key = json.dumps([*flags.marks, *pair, flags.window, flags.seeds, flags.steps, *about])
        if key not in store:
            alone = Painter(
                painter.model, painter.clip, pair[0], [original], [target], painter.config
            )
            pictures = alone.pictures(windows, seeds, "exhaustive", tick)
            store[key] = alone.scores(pictures)[:, 0].tolist()
            flags.store.parent.mkdir(parents=True, exist_ok=True)
            with flags.store.open("a") as file:
                file.write(json.dumps({"key": key, "scores": store[key]}) + "\n")
        scores.append(torch.tensor(store[key]))
    return torch.cat(scores, dim=1) * painter.rule.sign


def measure(
    pairs: Sequence[PromptPair], judge: Any, store: dict[str, Any], flags: Any, tick: Any
) -> Outcome:
    """Both searches on one case."""
    config = LocoGenConfig(flags.window, seeds=tuple(range(flags.seeds)), steps=flags.steps)
    kind, originals = pairs[0].attribute, [pair.original for pair in pairs]
    painter = Painter(flags.model, judge, kind, originals, [p.target for p in pairs], config)
    windows = windows_of(painter.depth, flags.window)
    scores = painted(painter, [range(0), *windows], config.seeds, store, flags, tick)
    choice = choose(painter, windows, flags.fast, tick)
    branches = 1 + flags.model.family.guided(flags.model, painter.how)
    a_window = len(pairs) * flags.seeds * flags.steps * branches
    found = Outcome(
        kind,
        ", ".join(originals),
        scores[1:],
        scores[0],
        choice.best,
        choice.candidates,
        len(windows) * a_window,
        painter.evaluations + a_window,
    )
    if found.strict or not flags.fresh:
        return found
    fresh = range(flags.seeds, flags.seeds + flags.fresh)
    winner, best = (
        painted(painter, [windows[j]], fresh, store, flags, tick, j, flags.fresh).mean()
        for j in (found.winner, found.best)
    )
    return replace(found, lead=float(winner - best))


def together(pairs: Sequence[PromptPair]) -> list[list[PromptPair]]:
    """Pairs of one style, one object or one office."""
    groups: dict[str, list[PromptPair]] = {}
    for pair in pairs:
        words = re.findall(r"\w+", pair.original)
        thing = next(name for name in (*STYLES, *CHARACTERS, *OFFICES) if name in words)
        groups.setdefault(thing, []).append(pair)
    return list(groups.values())


def summary(found: Sequence[Outcome]) -> dict[str, float]:
    """Means over cases."""

    def share(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return {
        "cases": len(found),
        "strict": share([each.strict for each in found]),
        "tolerant": share([each.tolerant for each in found]),
        "ties": sum(each.tolerant and not each.strict for each in found),
        "anew": share([each.anew for each in found]),
        "itself": share([each.itself for each in found]),
        "nominated": share([each.winner in each.candidates for each in found]),
        "kept": sum(e.effect(e.best) for e in found) / sum(e.effect(e.winner) for e in found),
        "exhaustive": share([each.exhaustive for each in found]),
        "fast": share([each.fast for each in found]),
        "saved": sum(each.exhaustive for each in found) / sum(each.fast for each in found),
    }


def main() -> None:
    """Measure, print, write."""
    flags = parse()
    flags.model = load("toybox", device=flags.device)
    flags.steps = flags.steps or sampling_for(flags.model).steps
    judge = load_clip("toybox-judge", device=flags.device)
    weights = sum(float(p.double().sum()) for p in judge.network.parameters())
    flags.marks = [fingerprint(flags.model), f"{weights:.6f}"]
    store = {}
    if flags.store.exists():
        lines = map(json.loads, flags.store.read_text().splitlines())
        store = {line["key"]: line["scores"] for line in lines}
    results = {}
    for title, grouped in (("each pair alone", False), ("pairs of one thing together", True)):
        found: list[Outcome] = []
        for kind in flags.kinds:
            every = load_cases("localization", flags.split)
            pairs = [pair for pair in every if pair.attribute == kind][: flags.cases]
            cases = together(pairs) if grouped else [[pair] for pair in pairs]
            for number, case in enumerate(cases, 1):
                with bar(f"{kind} {number}/{len(cases)}") as tick:
                    found.append(measure(case, judge, store, flags, tick))
        results[title] = {
            **{k: summary([each for each in found if each.kind == k]) for k in flags.kinds},
            "all": summary(found),
        }
        show(title, results[title], flags)
        for line in misses(found) if flags.misses else []:
            console.print(line)
    if flags.json:
        keep(flags.json, results)


def misses(found: Sequence[Outcome]) -> list[str]:
    """One line for every case in which the two searches differ."""
    lines = []
    for each in (each for each in found if not each.strict):
        lead = float((each.scores[each.winner] - each.scores[each.best]).mean())
        kind = "a tie" if each.tolerant else "a miss"
        where = "" if each.winner in each.candidates else ", not nominated"
        windows = f"found {each.best}, winner {each.winner}, lead {lead:.2f}, anew {each.lead:.2f}"
        lines.append(f"{each.name}: {windows}: {kind}{where}")
    return lines


def show(title: str, results: dict[str, dict[str, float]], flags: Any) -> None:
    """One row a kind."""
    how = f"windows of {flags.window}, {flags.seeds} seeds, {flags.steps} steps"
    table = Table(title=f"{title}: {how}\n{flags.fast}", box=None)
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
    parser.add_argument("--split", default="test", choices=["test", "validation"])
    parser.add_argument("--cases", type=int, help="cases of each kind; all unless given")
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fresh", type=int, default=8, help="other seeds for what differs")
    parser.add_argument("--device", default="cpu")
    settings = [field.name.upper() for field in fields(FastConfig)]
    parser.add_argument("--fast", nargs=len(settings), type=int, metavar=tuple(settings))
    parser.add_argument("--store", type=Path, default=STORE, help="exhaustive scores")
    parser.add_argument("--misses", action="store_true", help="name the cases that differ")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()
    flags.fast = FastConfig(*flags.fast) if flags.fast else FastConfig()
    return flags


if __name__ == "__main__":
    main()
