"""From what the judge saw to efficacy, generality, specificity and F1 of a method.

All from the store alone: no model, no judge. Cases whose pictures are not all there yet (of a run
that goes on) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from overpaint import metrics
from overpaint.benchmark.plan import PARTS, Part
from overpaint.benchmark.rows import CaseRow, Result
from overpaint.benchmark.store import Store


@dataclass(frozen=True)
class Number:
    """A share over all pictures, its deviation over seeds, its 95 % interval over cases."""

    mean: float
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """The four columns of ReFACT's Table 1, and the mean by which TIME chooses.

    None for what no case measures: cases without negatives have no specificity and no F1.
    """

    efficacy: Number | None
    generality: Number | None
    specificity: Number | None
    f1: Number | None
    harmonic: Number | None
    cases: int = 0


class CaseScore(NamedTuple):
    """The shares of one case under one condition; None for what the case does not measure."""

    condition: str
    case: str
    kind: str
    efficacy: float | None
    generality: float | None
    specificity: float | None


Outcome = dict[Part, Tensor]
"""Of one case: 1 for every picture that is as it should be, ``[n_probes, n_seeds]`` per part."""


def summaries(store: Store) -> dict[tuple[str, str], Summary]:
    """By (condition, kind) and (condition, "all"), in the order of the plan."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    kinds = list(dict.fromkeys(case.kind for case in store.cases()))
    for name, scored in _outcomes(store):
        for kind in kinds:
            found[name, kind] = [o for case, o in scored if case.kind == kind]
        found[name, "all"] = [o for _, o in scored]
    return {place: summarise(outcomes) for place, outcomes in found.items() if outcomes}


def per_case(store: Store) -> list[CaseScore]:
    """Every case under every condition, in the order of the plan."""
    return [
        CaseScore(name, case.name, case.kind, *(_mean(outcome.get(part)) for part in PARTS))
        for name, scored in _outcomes(store)
        for case, outcome in scored
    ]


def _outcomes(store: Store) -> Iterator[tuple[str, list[tuple[CaseRow, Outcome]]]]:
    cases = store.cases()
    seeds = store.configuration.get("seeds", 0)
    for condition in store.conditions():
        seen: dict[str, dict[str, list[Result]]] = {}
        for result in store.results(condition.name):
            seen.setdefault(result.key.case, {}).setdefault(result.key.prompt, []).append(result)
        left_out = {(case, place) for case, place in condition.about.get("left_out", ())}
        scored = [
            (case, _outcome(case, seen.get(case.name, {}), seeds, left_out)) for case in cases
        ]
        yield condition.name, [(case, outcome) for case, outcome in scored if outcome]


def _outcome(
    case: CaseRow,
    seen: dict[str, list[Result]],
    seeds: object,
    left_out: Container[tuple[str, str]],
) -> Outcome:
    """Empty when a picture of the case is missing that the condition does not leave out."""
    found: dict[Part, list[Tensor]] = {}
    for probe in case.probes:
        if (case.name, probe["place"]) in left_out:
            continue
        own = probe.get("seeds", seeds)
        results = seen.get(probe["place"], [])
        if not results or len(results) < (own if isinstance(own, int) else len(list(own))):
            return {}
        new, old = (
            torch.tensor([getattr(result, name) for result in results], dtype=torch.float64)
            for name in ("new", "old")
        )
        part: Part = probe["part"]
        wanted = (old, new) if part == "specificity" else (new, old)
        found.setdefault(part, []).append(metrics.chosen(*wanted))
    return {part: torch.stack(rows) for part, rows in found.items()}


def _mean(hits: Tensor | None) -> float | None:
    return None if hits is None else hits.mean().item()


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """One row of a table from the outcomes of its cases."""
    numbers = {part: _number(part, outcomes) for part in PARTS}
    return Summary(
        **numbers,
        f1=_combined(outcomes, metrics.f1),
        harmonic=_combined(outcomes, metrics.harmonic),
        cases=len(outcomes),
    )


def _number(part: Part, outcomes: Sequence[Outcome]) -> Number | None:
    measured = [o[part] for o in outcomes if part in o]
    if not measured:
        return None
    hits = _stacked(measured)
    _, spread = metrics.over_seeds(hits.nanmean(dim=0))
    low, high = metrics.bootstrap(torch.stack([own.mean() for own in measured]))
    return Number(hits.nanmean().item(), spread.item(), low, high)


def _combined(
    outcomes: Sequence[Outcome], mean: Callable[[Tensor, Tensor], Tensor]
) -> Number | None:
    """A mean of generality and specificity, taken of their totals as the papers' tables do."""
    both: tuple[Part, Part] = ("generality", "specificity")
    measured = [o for o in outcomes if all(part in o for part in both)]
    if not measured:
        return None
    general, specific = (_stacked([o[part] for o in measured]) for part in both)
    _, spread = metrics.over_seeds(mean(general.nanmean(dim=0), specific.nanmean(dim=0)))
    table = torch.stack([torch.stack([o[part].mean() for part in both]) for o in measured])
    low, high = metrics.bootstrap(table, lambda means: mean(means[:, 0], means[:, 1]))
    return Number(mean(general.nanmean(), specific.nanmean()).item(), spread.item(), low, high)


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    """``[n, n_seeds]`` of all rows; NaN where a case has fewer seeds than another."""
    width = max(row.shape[1] for row in rows)
    return torch.cat(
        [functional.pad(row, (0, width - row.shape[1]), value=torch.nan) for row in rows]
    )
