"""A run: from a configuration to a folder with every result in it; begun, or gone on with.

The folder holds ``run.sqlite`` (:mod:`overpaint.benchmark.store`) and ``pictures``. Going on is
doing what has no row yet, so a run may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overpaint.benchmark import entries
from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.costs import Costs
from overpaint.benchmark.datasets import Profession
from overpaint.benchmark.finish import finish
from overpaint.benchmark.gender_table import GenderConfig, gender_config, gender_measures
from overpaint.benchmark.paint import Gallery, Studio, paint, studio
from overpaint.benchmark.plan import Plan
from overpaint.benchmark.plan_edits import plan_edits
from overpaint.benchmark.provenance import identity, versions
from overpaint.benchmark.quality import add_quality
from overpaint.benchmark.rows import PICTURES, STORE, ConditionRow
from overpaint.benchmark.store import Store
from overpaint.benchmark.windows import check_pairs, paint_windows, plan_windows
from overpaint.errors import OutputError
from overpaint.models.clip import Clip, load_clip
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.toybox.cases import GenderCase
from overpaint.types import Progress


@dataclass(frozen=True)
class Done:
    """A run that is finished: its folder, and how many pictures were painted for it just now."""

    folder: Path
    pictures: int

    def store(self) -> Store:
        """The results."""
        return Store.open(self.folder / STORE)


def run(
    config: BenchConfig,
    folder: Path,
    *,
    model: Model | None = None,
    judge: Clip | None = None,
    device: str = "cpu",
    notes: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Done:
    """Do all that ``config`` asks for and ``folder`` does not have yet.

    ``model`` and ``judge`` are those the configuration names, if they are loaded already.
    ``notes`` are kept with the run, e.g. the command. ``progress`` counts pictures. ConfigError,
    DataError or EditError before anything is loaded for a configuration that makes no sense;
    DataError when the folder holds a run of another configuration or of other weights.
    """
    task = _task(config)
    model = model or load(config.model, device=device)
    judge = judge or load_clip(config.judge, device=device)
    room = studio(
        model,
        judge,
        steps=config.steps,
        guidance=config.guidance,
        batch=config.batch,
        size=config.size,
    )
    config = replace(config, steps=room.steps, guidance=room.guidance)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    known = {**config.kept, "weights": identity(model, judge), "precision": str(model.dtype)}
    with Store(folder / STORE, known) as store:
        store.note({**(notes or {}), "versions": versions(), "batch": room.batch})
        gallery = Gallery(folder / PICTURES, config.keep, bool(config.fid or config.scorer))
        painted = task(room, store, config, gallery, progress)
    for part in (folder / PICTURES).glob(".*.part"):
        part.unlink(missing_ok=True)  # what a killed process left half-written
    return Done(folder, painted)


def check(config: BenchConfig) -> None:
    """The errors that :func:`run` would raise before it loads anything."""
    _task(config)


def plan_of(config: BenchConfig) -> Plan:
    """All rows, cases and pictures of a run that edits; the errors of :func:`check`."""
    task = _task(config)
    return task.plan if isinstance(task, _Edits) else Plan()


def _task(config: BenchConfig) -> _Gender | _Windows | _Edits:
    """What the data asks for, checked as far as it can be without a model."""
    found = entries.load_entries(config)
    people = entries.professions(config, found)
    if people:
        return _Gender(people, gender_config(config.settings))
    every = entries.subjects(config, found)
    if config.window:
        check_pairs(every)
        return _Windows(every)
    return _Edits(plan_edits(config, every, entries.captions(config)))


@dataclass(frozen=True, eq=False)
class _Edits:
    plan: Plan

    def __call__(
        self,
        room: Studio,
        store: Store,
        config: BenchConfig,
        gallery: Gallery,
        progress: Progress | None,
    ) -> int:
        _describe(store, self.plan)
        costs = Costs(room.model, store, self.plan)
        painted = paint(room, store, self.plan.asks, gallery, made=costs.count, progress=progress)
        costs.keep()
        finish(store)
        add_quality(store, self.plan.asks, gallery.folder, config, room.judge, progress)
        return painted


@dataclass(frozen=True, eq=False)
class _Windows:
    subjects: Sequence[entries.Subject]

    def __call__(
        self,
        room: Studio,
        store: Store,
        config: BenchConfig,
        gallery: Gallery,
        progress: Progress | None,
    ) -> int:
        plan = plan_windows(config, room.model, self.subjects)
        _describe(store, plan)
        painted = paint_windows(room, store, config, plan, self.subjects, gallery, progress)
        finish(store)
        return painted


@dataclass(frozen=True, eq=False)
class _Gender:
    people: Sequence[GenderCase | Profession]
    settings: GenderConfig

    def __call__(
        self,
        room: Studio,
        store: Store,
        config: BenchConfig,
        gallery: Gallery,  # noqa: ARG002
        progress: Progress | None,
    ) -> int:
        store.describe_conditions(ConditionRow(name, name) for name in config.methods)
        for name in config.methods:
            batches = gender_measures(
                room,
                self.people,
                name,
                range(config.seeds),
                self.settings,
                known=store.measures(),
                progress=progress,
            )
            for batch in batches:
                store.add_measures(batch)
        return 0


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
