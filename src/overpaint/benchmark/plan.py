"""Which pictures a benchmark needs: the states of the model, and what each is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from overpaint.benchmark.rows import CaseRow, ConditionRow, Key
from overpaint.methods.common import settings
from overpaint.types import Case, Edit, Probe

Part = Literal["efficacy", "generality", "specificity"]
PARTS: tuple[Part, ...] = ("efficacy", "generality", "specificity")

CAPTION = "caption"
"""The place of a prompt that no edit is about."""


@dataclass(frozen=True)
class Step:
    """``edits`` made by one call of a method with ``config``."""

    edits: tuple[Edit, ...]
    config: Any


@dataclass(frozen=True, eq=False)
class State:
    """A state of the model: as it came, or after ``method`` has made all ``steps``.

    There is more than one step where edits of different kinds have different settings.
    """

    method: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def edits(self) -> int:
        """How many edits the model holds."""
        return sum(len(step.edits) for step in self.steps)

    @cached_property
    def key(self) -> str:
        """Says in a few letters what was done: equal for equal method, settings and edits."""
        if not self.method:
            return "unedited"
        done = [[_plain(step.config), [_told(e) for e in step.edits]] for step in self.steps]
        text = json.dumps([self.method, done], sort_keys=True)
        return f"{self.method}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


UNEDITED = State()


class Ask(NamedTuple):
    """Pictures of ``prompt`` by the model in ``state``, one for each of ``seeds``.

    They are the answer to ``place`` of ``case`` under ``condition``; a judge chooses between the
    captions ``new`` and ``old``.
    """

    condition: str
    case: str
    place: str
    state: State
    prompt: str
    new: str
    old: str
    seeds: tuple[int, ...]

    def keys(self) -> Iterator[Key]:
        """The rows of the store that these pictures fill."""
        return (Key(self.condition, self.case, self.place, seed) for seed in self.seeds)


@dataclass(frozen=True, eq=False)
class Plan:
    """All a run looks at: its rows, its cases, and every picture."""

    conditions: tuple[ConditionRow, ...] = ()
    cases: tuple[CaseRow, ...] = ()
    asks: tuple[Ask, ...] = field(default=(), repr=False)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """Every state of the model, each once, in the order of the plan."""
        return tuple({ask.state.key: ask.state for ask in self.asks}.values())

    def holders(self) -> dict[str, tuple[str, ...]]:
        """For the key of each state, the conditions that look at it."""
        names: dict[str, dict[str, None]] = {}
        for ask in self.asks:
            names.setdefault(ask.state.key, {})[ask.condition] = None
        return {key: tuple(own) for key, own in names.items()}


class Place(NamedTuple):
    """A prompt of a case: where it stands, what it measures, and its own seeds if it has any."""

    name: str
    part: Part
    probe: Probe
    seeds: tuple[int, ...] = ()


def places(case: Case, seeds: Sequence[int] = ()) -> list[Place]:
    """All prompts of ``case``; ``seeds [n_positives]`` is one for each positive, if given."""
    own = [(seed,) for seed in seeds] or [()] * len(case.positives)
    return [
        Place("source", "efficacy", case.source),
        *(
            Place(f"positive {n}", "generality", probe, seed)
            for n, (probe, seed) in enumerate(zip(case.positives, own, strict=True), start=1)
        ),
        *(
            Place(f"negative {n}", "specificity", probe)
            for n, probe in enumerate(case.negatives, start=1)
        ),
    ]


def asked(place: Place, *, oracle: bool) -> str:
    """What the model is asked for: the probe's prompt, or the oracle's way to say the new."""
    probe = place.probe
    return (probe.oracle or probe.new) if oracle and place.part != "specificity" else probe.prompt


def case_row(name: str, kind: str, case: Case, prompts: Iterable[Place]) -> CaseRow:
    """``case`` as the store keeps it."""
    probes = []
    for place in prompts:
        probe = place.probe
        told = {"prompt": probe.prompt, "old": probe.old, "new": probe.new, "oracle": probe.oracle}
        probe_row = {"place": place.name, "part": place.part, **told}
        probes.append({**probe_row, "seeds": list(place.seeds)} if place.seeds else probe_row)
    return CaseRow(name, kind, case.edit.source, case.edit.target, probes)


def unique(names: Iterable[str]) -> list[str]:
    """``names`` with a number after those that were there before."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def needed(asks: Iterable[Ask], missing: Container[Key]) -> Iterator[tuple[Ask, tuple[int, ...]]]:
    """The asks with a picture among ``missing``, and the seeds of those pictures."""
    for ask in asks:
        seeds = tuple(key.seed for key in ask.keys() if key in missing)
        if seeds:
            yield ask, seeds


def _plain(config: Any) -> dict[str, object]:
    return {name: value for name, value in settings(config).items() if name != "cache_dir"}


def _told(edit: Edit) -> list[str]:
    pictures = [hashlib.blake2b(i.numpy().tobytes()).hexdigest() for i in edit.images]
    return [edit.source, edit.target, edit.subject, edit.old, edit.destination, *pictures]
