"""Numbers that follow from a run's rows and are no share of right pictures: CLIP scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from overpaint import metrics
from overpaint.benchmark.plan import CAPTION
from overpaint.benchmark.rows import CaseRow, Measure, Result
from overpaint.benchmark.store import Store
from overpaint.localize.score import KINDS

SCORE = "CLIP score"


def finish(store: Store) -> None:
    """Write down the CLIP scores of every condition, from its rows alone.

    Of the captions that no edit is about, and, for cases that have nothing but a source, of its
    pictures: with what the edit is to show, or (LocoGen's styles and objects) to show no longer.
    Once more changes nothing.
    """
    bare = {case.name: case for case in store.cases() if len(case.probes) == 1}
    for condition in store.conditions():
        results = list(store.results(condition.name))
        found: dict[str, list[Result]] = {}
        for result in results:
            case = bare.get(result.key.case)
            if result.key.prompt.startswith(CAPTION):
                place = result.key.prompt.removeprefix(CAPTION)  # "" or ", RoAD"
                found.setdefault(f"{SCORE}{place}", []).append(result)
            elif case is not None:
                found.setdefault(_name(case), []).append(result)
        store.add_measures(_measure(condition.name, name, rows) for name, rows in found.items())


def _name(case: CaseRow) -> str:
    return f"{SCORE} with {'old' if by_old(case.kind) else 'new'}, {case.kind}"


def by_old(kind: str) -> bool:
    """Whether a lower CLIP score with the old caption tells success: LocoGen's styles, objects."""
    return kind in KINDS and not KINDS[kind].by_target


def _measure(condition: str, name: str, rows: Sequence[Result]) -> Measure:
    """Mean of 100 times the cosine, at least 0 (Hessel et al. 2021), and deviation over seeds."""
    old = " with old" in name
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        score = 100 * (row.old if old else row.new)
        by_seed.setdefault(row.key.seed, []).append(max(score, 0.0))
    scores = torch.tensor([s for own in by_seed.values() for s in own], dtype=torch.float64)
    cases = {row.key.case for row in rows}
    even = len(rows) == len(cases) * len(by_seed)  # captions have a seed each: nothing to compare
    spread = 0.0
    if even:
        spread = metrics.over_seeds(torch.tensor([*by_seed.values()]).double().T)[1].item()
    return Measure(condition, "", name, scores.mean().item(), spread)
