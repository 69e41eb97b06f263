"""What a run does: edits and their pictures, windows of layers, or professions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from overpaint.benchmark import entries
from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.costs import Costs
from overpaint.benchmark.estimate import Amount, at_most, of_plan
from overpaint.benchmark.feasible import check_edits
from overpaint.benchmark.finish import finish
from overpaint.benchmark.gender import Portraits
from overpaint.benchmark.gender_table import GenderConfig, gender_config, gender_measures
from overpaint.benchmark.paint import paint
from overpaint.benchmark.plan import Plan, needed
from overpaint.benchmark.plan_edits import plan_edits
from overpaint.benchmark.quality import add_quality, check_quality
from overpaint.benchmark.rows import ConditionRow
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Gallery, Studio
from overpaint.benchmark.windows import check_pairs, paint_windows, plan_windows, wanted
from overpaint.models.model import Model
from overpaint.types import GenderCase, Progress


def task_of(config: BenchConfig) -> Gender | Windows | Edits:
    """What the data asks for, checked as far as it can be without a model."""
    found = entries.load_entries(config)
    people = entries.professions(config, found)
    if people:
        return Gender(people, gender_config(config.settings))
    every = entries.subjects(config, found)
    if config.window:
        check_pairs(every)
        return Windows(every)
    check_quality(config)
    return Edits(plan_edits(config, every, entries.captions(config)))


@dataclass(frozen=True, eq=False)
class Setup:
    """What a task works with: where it paints, where results and pictures go, what is asked for."""

    room: Studio
    store: Store
    gallery: Gallery
    config: BenchConfig
    progress: Progress | None = None


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits, alone and many at once, and captions that no edit is about.

    Of every task :meth:`amount` says what is left to do, and a call does it and returns the number
    of pictures it has painted. Settings in ``growing`` may be larger when a run goes on.
    """

    growing: ClassVar = frozenset({"seeds"})

    plan: Plan

    def amount(self, config: BenchConfig, model: Model, store: Store | None) -> Amount:  # noqa: ARG002
        check_edits(model, self.plan.asks)
        return of_plan(self.plan, store)

    def __call__(self, to: Setup) -> int:
        room, store, gallery, progress = to.room, to.store, to.gallery, to.progress
        missing = set(store.missing(key for ask in self.plan.asks for key in ask.keys()))
        check_edits(room.model, (ask for ask, _ in needed(self.plan.asks, missing)))
        _describe(store, self.plan)
        costs = Costs(room.model, store, self.plan)
        painted = paint(room, store, self.plan.asks, gallery, made=costs.count, progress=progress)
        finish(store)
        add_quality(store, self.plan.asks, gallery.folder, to.config, room.judge, progress)
        return painted


@dataclass(frozen=True, eq=False)
class Windows:
    """LocoGen's windows of layers, on prompt pairs."""

    growing: ClassVar = frozenset({"seeds"})

    subjects: Sequence[entries.Subject]

    def amount(self, config: BenchConfig, model: Model, store: Store | None) -> Amount:
        plan = plan_windows(config, model, self.subjects)
        keys = [key for s in self.subjects for key in wanted(config, plan, s.name)]
        left = store.missing(keys) if store else keys
        return Amount(len(left), len(left))

    def __call__(self, to: Setup) -> int:
        plan = plan_windows(to.config, to.room.model, self.subjects)
        _describe(to.store, plan)
        painted = paint_windows(
            to.room, to.store, to.config, plan, self.subjects, to.gallery, to.progress
        )
        finish(to.store)
        return painted


@dataclass(frozen=True, eq=False)
class Gender:
    """The gender of professions; its pictures are looked at and not kept."""

    growing: ClassVar = frozenset()  # λ was searched with the seeds there were

    people: Sequence[GenderCase]
    settings: GenderConfig

    def amount(self, config: BenchConfig, model: Model, store: Store | None) -> Amount:  # noqa: ARG002
        pictures = at_most(self.people, config.methods, config.seeds, self.settings, store)
        return Amount(pictures, pictures, at_most=True)

    def __call__(self, to: Setup) -> int:
        rows, known = to.config.methods, to.store.measures
        to.store.describe_conditions(ConditionRow(name, name) for name in rows)
        portraits = Portraits(to.room, self.people, range(to.config.seeds))
        for row in rows:
            for batch in gender_measures(
                portraits, row, self.settings, known=known(), progress=to.progress
            ):
                to.store.add_measures(batch)
        return portraits.painted


def _describe(store: Store, plan: Plan) -> None:
    counts: dict[str, int] = {}
    asked: dict[str, dict[str, set[str]]] = {}
    for ask in plan.asks:
        counts[ask.condition] = counts.get(ask.condition, 0) + len(ask.seeds)
        asked.setdefault(ask.condition, {}).setdefault(ask.case, set()).add(ask.place)
    rows = []
    for row in plan.conditions:
        about: dict[str, Any] = {"pictures": counts[row.name]} if row.name in counts else {}
        left_out = _left_out(plan, asked.get(row.name, {}))
        rows.append(replace(row, about=about | ({"left_out": left_out} if left_out else {})))
    store.describe_conditions(rows)
    store.describe_cases(plan.cases)


def _left_out(plan: Plan, asked: Mapping[str, set[str]]) -> list[list[str]]:
    """[case, place] of the prompts that a condition leaves out of cases it looks at."""
    return [
        [case.name, probe["place"]]
        for case in plan.cases
        for probe in case.probes
        if case.name in asked and probe["place"] not in asked[case.name]
    ]
