"""The plan of a run that edits: every method on every case, and the curves beside the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overpaint.benchmark.apart import among
from overpaint.benchmark.config import EDITS, UNEDITED, BenchConfig, Sweep
from overpaint.benchmark.datasets import Caption
from overpaint.benchmark.datasets.locogen import ATTRIBUTES
from overpaint.benchmark.entries import Subject, in_turn
from overpaint.benchmark.plan import CAPTION, Ask, Place, Plan, State, Step, asked, case_row
from overpaint.benchmark.plan import UNEDITED as AS_IT_CAME
from overpaint.benchmark.rewrite import rewrite
from overpaint.benchmark.rows import ConditionRow
from overpaint.errors import ConfigError
from overpaint.methods.chosen import chosen_settings, of_kind, over
from overpaint.methods.configure import configure
from overpaint.methods.registry import METHODS
from overpaint.models.load import card_of
from overpaint.toybox.cases import EDIT_KINDS
from overpaint.types import Edit

KINDS = (*EDIT_KINDS, "people", *ATTRIBUTES, "concepts")
"""Kinds of cases that settings may speak of, whether or not the data has any."""


@dataclass(frozen=True)
class _Row:
    """A condition and its cases.

    ``held``  one model holds the edits of all cases at once, instead of one model for each.
    ``many``  a point of a curve over the number of edits: prompts are left out where nobody can
        say what they show once all edits are held, also where each edit has a model of its own, so
        that both can be compared.
    """

    condition: ConditionRow
    subjects: Sequence[Subject]
    held: bool = False
    many: bool = False


def plan_edits(
    config: BenchConfig, every: Sequence[Subject], captions: Sequence[Caption] = ()
) -> Plan:
    """All rows, cases and pictures of ``config``; ConfigError or EditError for a bad setting."""
    configs = _Configs(every)
    rows = [*_table(config, every), *_curves(config, every)]
    names = [row.condition.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two rows are called {name!r}; give a sweep another series")
    asks = [ask for row in rows for ask in _asks(config, row, configs)]
    for row in rows:
        if not row.condition.series:
            asks += _generic(row, captions, configs)
    cases = tuple(case_row(s.name, s.group, s.case, s.places()) for s in every)
    return Plan(tuple(row.condition for row in rows), cases, tuple(asks))


def _table(config: BenchConfig, every: Sequence[Subject]) -> Iterator[_Row]:
    for method in config.methods:
        settings = _settings(config, method, {})
        yield _Row(ConditionRow(method, method, settings), every)


def _curves(config: BenchConfig, every: Sequence[Subject]) -> Iterator[_Row]:
    turns = in_turn(every)
    for sweep in config.sweeps:
        series = sweep.series or sweep.method
        for value in _values(sweep, len(turns)):
            own = {} if sweep.over == EDITS else {sweep.over: value}
            settings = _settings(config, sweep.method, {**sweep.settings, **own})
            name = f"{series} {sweep.over}={value:g}"
            row = ConditionRow(name, sweep.method, settings, series, float(value))
            if sweep.over == EDITS:
                yield _Row(row, turns[:value], held=not sweep.alone, many=True)
            else:
                yield _Row(row, every)


def _values(sweep: Sweep, most: int) -> list[Any]:
    """The values of a sweep; numbers of edits no larger than there are edits."""
    if sweep.over != EDITS:
        return list(sweep.values)
    return sorted({most if value == "all" else min(value, most) for value in sweep.values})


def _settings(config: BenchConfig, method: str, own: Mapping[str, Any]) -> dict[str, Any]:
    if method in UNEDITED:
        return {}
    given = {**config.settings.get(method, {}), **own}
    return over(method, chosen_settings(card_of(config.model).name, method), given)


class _Configs:
    """A method's config for one kind of cases, made and checked once."""

    def __init__(self, every: Sequence[Subject]) -> None:
        self.kinds = {*KINDS, *(subject.case.kind for subject in every)}
        self._made: dict[tuple[str, str], Any] = {}

    def of(self, row: ConditionRow, kind: str) -> Any:
        """EditError for a setting that the method does not have, or a value out of range."""
        if (row.name, kind) not in self._made:
            for name in row.settings:
                scope, dot, _ = name.rpartition(".")
                if dot and scope not in self.kinds:
                    known = ", ".join(sorted(self.kinds))
                    raise ConfigError(
                        f"expected a kind of cases out of {known}, got {scope!r} in the setting "
                        f"{row.method}.{name}"
                    )
            method = METHODS.get(row.method)
            if method is None:
                raise ConfigError(f"{row.method!r} is for professions; choose another method")
            self._made[row.name, kind] = configure(
                row.method, method.config, of_kind(row.settings, kind)
            )
        return self._made[row.name, kind]

    def state(self, row: _Row, subjects: Sequence[Subject]) -> State:
        """The model with the edits of ``subjects``: one step for each config."""
        if row.condition.method in UNEDITED:
            return AS_IT_CAME
        steps: dict[Any, list[Edit]] = {}
        for subject in subjects:
            own = self.of(row.condition, subject.case.kind)
            steps.setdefault(own, []).append(subject.case.edit)
        return State(
            row.condition.method, tuple(Step(tuple(edits), own) for own, edits in steps.items())
        )


def _asks(config: BenchConfig, row: _Row, configs: _Configs) -> Iterator[Ask]:
    method, seeds = row.condition.method, tuple(range(config.seeds))
    together = configs.state(row, row.subjects) if row.held else None
    for subject in row.subjects:
        state = together or configs.state(row, [subject])
        for place in _places(row, subject):
            prompt = asked(place, oracle=method == "oracle")
            if method == "rewrite":
                prompt = rewrite(prompt, subject.case.edit)
            probe, own = place.probe, place.seeds or seeds
            name = row.condition.name
            yield Ask(name, subject.name, place.name, state, prompt, probe.new, probe.old, own)


def _places(row: _Row, subject: Subject) -> list[Place]:
    if not row.many:
        return subject.places()
    return [told if row.held else alone for alone, told in among(subject, row.subjects)]


def _generic(row: _Row, captions: Sequence[Caption], configs: _Configs) -> Iterator[Ask]:
    """Captions that no edit is about, spread over the edits of each kind (TIME, appendix C)."""
    if row.condition.method in ("oracle", "rewrite"):
        return
    groups: dict[str, list[Subject]] = {}
    for subject in row.subjects:
        groups.setdefault(subject.group, []).append(subject)
    for group, own in groups.items():
        for number, caption in enumerate(captions):
            state = configs.state(row, [own[number % len(own)]])
            text, case = caption.prompt, f"{CAPTION} {number}"
            place = f"{CAPTION}, {group}" if len(groups) > 1 else CAPTION
            name, seeds = row.condition.name, (caption.seed,)
            yield Ask(name, case, place, state, text, text, text, seeds)
