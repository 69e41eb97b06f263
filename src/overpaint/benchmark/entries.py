"""The data sets of a run, as one list of cases with names that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.datasets import Caption, Entry, SeededCase, load
from overpaint.benchmark.plan import Place, places, unique
from overpaint.errors import ConfigError
from overpaint.methods.common import plain
from overpaint.toybox.cases import PromptPair
from overpaint.types import Case, Edit, GenderCase, Probe


@dataclass(frozen=True)
class Subject:
    """One case of a run: ``name`` is its own; ``group`` the kind it goes by in the tables."""

    name: str
    data: str
    group: str
    case: Case
    seeds: tuple[int, ...] = ()

    def places(self) -> list[Place]:
        """All its prompts."""
        return places(self.case, self.seeds)


def load_entries(config: BenchConfig) -> dict[str, tuple[Entry, ...]]:
    """The entries of every data set of ``config``, by its name; DataError for a bad one."""
    found = {}
    for text in config.data:
        name, _, path = text.partition("=")
        found[name] = load(name, path or None)
    kinds = {_sort(entry) for entries in found.values() for entry in entries}
    if len(kinds) != 1:
        raise ConfigError(
            f"expected data sets of one sort, got {' and '.join(sorted(kinds))}; begin a run each"
        )
    return found


def professions(config: BenchConfig, found: dict[str, tuple[Entry, ...]]) -> list[GenderCase]:
    """The professions among the entries, at most ``limit``; empty when they are something else."""
    every = [entry for entries in found.values() for entry in entries]
    return [e for e in every if isinstance(e, GenderCase)][: config.limit]


def subjects(config: BenchConfig, found: dict[str, tuple[Entry, ...]]) -> list[Subject]:
    """The edit cases among the entries, at most ``limit`` of each kind."""
    groups = {kind: name for name, kinds in config.groups.items() for kind in kinds}
    made: list[Subject] = []
    counts: dict[str, int] = {}
    for name, entries in found.items():
        for entry in entries:
            case, seeds = _case(entry)
            counts[case.kind] = counts.get(case.kind, 0) + 1
            if config.limit is None or counts[case.kind] <= config.limit:
                group = groups.get(case.kind, case.kind)
                made.append(Subject(case.name, name, group, case, seeds))
    names = unique(subject.name for subject in made)
    return [replace(subject, name=name) for subject, name in zip(made, names, strict=True)]


def captions(config: BenchConfig) -> list[Caption]:
    """The prompts that no edit is about, at most ``limit`` of them; for FID two at least."""
    if not config.captions:
        return []
    name, _, path = config.captions.partition("=")
    found = [e for e in load(name, path or None) if isinstance(e, Caption)]
    if not found:
        raise ConfigError(f"expected a data set of captions, got {name!r}; try coco")
    most = max(config.limit, 2) if config.limit and config.fid else config.limit
    return found[:most]


def in_turn(every: Sequence[Subject]) -> list[Subject]:
    """One of each data set after another, leaving out a source that is edited already.

    ReFACT, section 4.3, alternates so; TIME, appendix F, leaves those out.
    """
    lines: dict[str, list[Subject]] = {}
    for subject in every:
        lines.setdefault(subject.data, []).append(subject)
    longest = max(map(len, lines.values()), default=0)
    turns = [line[n] for n in range(longest) for line in lines.values() if n < len(line)]
    first: dict[str, Subject] = {}
    for subject in turns:
        first.setdefault(plain(subject.case.edit.source), subject)
    return list(first.values())


def _sort(entry: Entry) -> str:
    if isinstance(entry, GenderCase):
        return "professions"
    if isinstance(entry, Caption):
        return "captions"
    return "edits"


def _case(entry: Entry) -> tuple[Case, tuple[int, ...]]:
    """``entry`` as a case, with a seed for each positive if it says so."""
    if isinstance(entry, SeededCase):
        return entry.case, entry.seeds
    if isinstance(entry, PromptPair):
        edit = Edit(entry.original, entry.target, destination=entry.target)
        probe = Probe(entry.original, entry.original, entry.target)
        return Case(entry.attribute, edit, probe, (), ()), ()
    if isinstance(entry, Case):
        return entry, ()
    raise ConfigError(f"expected a data set of edits or professions, got {type(entry).__name__}s")
