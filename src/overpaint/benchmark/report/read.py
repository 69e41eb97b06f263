"""What a report is about: all that a run found, read once from its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from overpaint.benchmark.config import UNEDITED
from overpaint.benchmark.rows import (
    PICTURES,
    STORE,
    CaseRow,
    ConditionRow,
    Measure,
    Result,
    by_curve,
)
from overpaint.benchmark.score import CaseScore, Summary, per_case, summaries
from overpaint.benchmark.store import Store
from overpaint.errors import DataError


@dataclass(frozen=True, eq=False)
class Findings:
    """A run as it lies on disk. ``missing`` has, for each condition, the pictures yet to paint."""

    folder: Path
    configuration: Mapping[str, Any]
    notes: Mapping[str, Any]
    conditions: Sequence[ConditionRow]
    cases: Sequence[CaseRow]
    results: Sequence[Result]
    measures: Sequence[Measure]
    summaries: Mapping[tuple[str, str], Summary]
    scores: Sequence[CaseScore]
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the run calls itself."""
        return str(self.configuration.get("title") or self.configuration.get("preset") or "A run")

    @property
    def editors(self) -> list[ConditionRow]:
        """The conditions that change the model."""
        return [c for c in self.conditions if c.method not in UNEDITED]

    @property
    def kinds(self) -> list[str]:
        """ "all" first; nothing else where all cases are of one kind."""
        own = list(dict.fromkeys(case.kind for case in self.cases))
        return ["all", *own] if len(own) > 1 else ["all"]

    def whole(self, condition: str, kind: str = "all") -> bool:
        """Whether the condition was scored on as many cases of ``kind`` as any other.

        Editors are held against editors: of many edits at once, models hold fewer than there are.
        """
        counts = self.counts(kind)
        alike = {editor.name for editor in self.editors}
        alike = alike if condition in alike else set(counts)
        most = max((n for name, n in counts.items() if name in alike), default=0)
        return counts.get(condition, 0) == most

    def counts(self, kind: str) -> dict[str, int]:
        """By condition, on how many cases of ``kind`` it was scored."""
        return {name: s.cases for (name, own), s in self.summaries.items() if own == kind}

    def named(self, method: str) -> str | None:
        """The name of the first condition of ``method``, if there is one."""
        return next((c.name for c in self.conditions if c.method == method), None)

    @property
    def untouched(self) -> list[str]:
        """The conditions of which nothing is known yet."""
        known = {r.key.condition for r in self.results} | {m.condition for m in self.measures}
        return [c.name for c in self.conditions if c.name not in known]

    @cached_property
    def seen(self) -> Mapping[tuple[str, str, str], Sequence[Result]]:
        """The results by condition, case and place of the prompt, in the order of their seeds."""
        found: dict[tuple[str, str, str], list[Result]] = {}
        for result in self.results:
            found.setdefault(result.key[:3], []).append(result)
        return found

    @property
    def lines(self) -> dict[str, list[ConditionRow]]:
        """The editors by curve; their order is that of the colours."""
        return by_curve(self.editors)

    @cached_property
    def score(self) -> Mapping[tuple[str, str], CaseScore]:
        """The scores by condition and case; cases that are not all painted have none."""
        return {(score.condition, score.case): score for score in self.scores}

    def picture(self, result: Result) -> Path | None:
        """The file of a picture that was kept."""
        path = self.folder / PICTURES / f"{result.picture}.png"
        return path if result.picture and path.is_file() else None


def read(folder: Path) -> Findings:
    """The run in ``folder``, its conditions under the names that people read.

    DataError when there is no run, or nothing has been painted yet.
    """
    path = folder / STORE
    if not path.is_file():
        raise DataError(
            f"expected the folder of a run, got {str(folder)!r}: it has no {STORE}; begin one with "
            "'overpaint bench'"
        )
    with Store.open(path) as store:
        results, measures = list(store.results()), store.measures()
        if not results and not measures:
            raise DataError(f"{str(folder)!r} is a run without results yet; let it paint first")
        found = Findings(
            folder,
            store.configuration,
            store.notes(),
            store.conditions(),
            store.cases(),
            results,
            measures,
            summaries(store),
            per_case(store),
        )
    found = _renamed(found, {c.name: c.shown for c in found.conditions})
    return replace(found, missing=dict(_missing(found)))


def _renamed(found: Findings, names: Mapping[str, str]) -> Findings:
    if all(old == new for old, new in names.items()):
        return found
    key = {old: {"condition": new} for old, new in names.items()}
    return replace(
        found,
        conditions=[replace(c, name=names[c.name]) for c in found.conditions],
        results=[r._replace(key=r.key._replace(**key[r.key.condition])) for r in found.results],
        measures=[m._replace(**key[m.condition]) for m in found.measures],
        summaries={(names[name], kind): s for (name, kind), s in found.summaries.items()},
        scores=[s._replace(**key[s.condition]) for s in found.scores],
    )


def _missing(found: Findings) -> Iterator[tuple[str, int]]:
    """Conditions with pictures that are wanted and not there, and how many."""
    there = Counter(result.key.condition for result in found.results)
    for condition in found.conditions:
        wanted = condition.about.get("pictures")
        if wanted is None:
            wanted = sum(_seeds(found, probe) for case in found.cases for probe in case.probes)
        if wanted > there[condition.name]:
            yield condition.name, wanted - there[condition.name]


def _seeds(found: Findings, probe: Mapping[str, Any]) -> int:
    seeds = probe.get("seeds", found.configuration.get("seeds", 0))
    return seeds if isinstance(seeds, int) else len(seeds)
