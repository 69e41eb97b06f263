"""How much a run will paint, before it does: so that nobody finds out after a night."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from overpaint.benchmark.gender_table import Cases, GenderConfig
from overpaint.benchmark.plan import Plan, needed
from overpaint.benchmark.rows import PEOPLE
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Studio
from overpaint.generate import generate
from overpaint.models.clip import image_features
from overpaint.types import Sampling

TRIED = (1, 3)  # steps of the batches that are timed


@dataclass(frozen=True)
class Amount:
    """What a run has left to do.

    ``rows``      results that are missing.
    ``pictures``  different ones that fill them, each painted once.
    ``edits``     states of the model to compute for them.
    ``at_most``   a search may end earlier, so that there may be fewer pictures.
    """

    rows: int
    pictures: int
    edits: int = 0
    at_most: bool = False


def of_plan(plan: Plan, store: Store | None) -> Amount:
    """What is missing of a plan: all of it without a ``store``."""
    keys = [key for ask in plan.asks for key in ask.keys()]
    missing = set(store.missing(keys) if store else keys)
    pictures = {
        (ask.state.key, ask.prompt, seed)
        for ask, seeds in needed(plan.asks, missing)
        for seed in seeds
    }
    states = {ask.state.key: ask.state.edits for ask, _ in needed(plan.asks, missing)}
    return Amount(len(missing), len(pictures), sum(edits > 0 for edits in states.values()))


def at_most(
    people: Cases, rows: Sequence[str], seeds: int, config: GenderConfig, store: Store | None
) -> int:
    """Pictures of a run on professions, if every search goes to its end."""
    measures = store.measures() if store else []
    done = {(m.condition, m.case) for m in measures if m.name == PEOPLE}
    count = 0
    for row in rows:
        todo = [case for case in people if (row, case.edit.source) not in done]
        count += sum(1 + len(case.examples) for case in todo)  # whether there are people; the test
        if todo and row == "time":
            count += len(todo) * config.time.steps
        elif todo and row in ("time-multi", "uce"):
            steps = config.time.steps if row == "time-multi" else config.uce.steps
            count += len(people) * steps
    return count * seeds


def pace(room: Studio) -> float:
    """Seconds per picture in full batches, the judge's look included; edits are not.

    From two batches of a few steps each: what is once for a picture, and what is once for a step.
    """
    short, long = (_timed(room, steps) for steps in TRIED)
    step = max(0.0, (long - short) / (TRIED[1] - TRIED[0]))
    return (short + step * ((room.how.steps or 1) - TRIED[0])) / room.batch


def _timed(room: Studio, steps: int) -> float:
    """Seconds for a batch; the better of two, as the first one warms up."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        pictures = generate(
            room.model,
            ["a"],
            range(room.batch),
            Sampling(steps=steps).over(room.how),
            output_type="pt",
        )
        image_features(room.judge, pictures[0])
        took.append(time.perf_counter() - began)
    return min(took)
