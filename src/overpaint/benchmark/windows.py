"""LocoGen as a benchmark: what every window of layers paints, and how it scores (figure 5).

Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi, "On Mechanistic Knowledge
Localization in Text-to-Image Generative Models", section 5.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import Tensor

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.entries import Subject
from overpaint.benchmark.plan import Plan, case_row
from overpaint.benchmark.rows import ConditionRow, Key, Result
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Captions, Gallery, Studio
from overpaint.errors import ConfigError
from overpaint.localize.locogen import LocoGenConfig, windows_of
from overpaint.localize.painter import Painter
from overpaint.localize.score import KINDS
from overpaint.models.clip import image_features
from overpaint.models.model import Model
from overpaint.types import Progress


def check_pairs(every: Sequence[Subject]) -> None:
    """ConfigError unless all are prompt pairs of kinds that LocoGen knows."""
    for subject in every:
        if subject.case.kind not in KINDS:
            raise ConfigError(
                f"windows are for prompt pairs of the kinds {', '.join(KINDS)}, got "
                f"{subject.case.kind!r}; leave out window, or take other data"
            )


def plan_windows(config: BenchConfig, model: Model, every: Sequence[Subject]) -> Plan:
    """A condition for the unedited model and for each window of ``config.window`` layers."""
    depth = len(model.family.text_layers(model))
    if config.window > depth:
        raise ConfigError(f"expected a window of at most {depth} layers, got {config.window}")
    rows = [ConditionRow("baseline", "baseline")]
    for window in windows_of(depth, config.window):
        layers = {"layers": list(window)}
        rows.append(ConditionRow(_name(window), "locogen", layers, "locogen", float(window[0])))
    cases = [case_row(s.name, s.group, s.case, s.places()) for s in every]
    return Plan(tuple(rows), tuple(cases))


def wanted(config: BenchConfig, plan: Plan, case: str) -> list[Key]:
    """The rows that the pictures of one case fill, in the order they are painted."""
    seeds = range(config.seeds)
    return [Key(row.name, case, "source", seed) for row in plan.conditions for seed in seeds]


def paint_windows(
    room: Studio,
    store: Store,
    config: BenchConfig,
    plan: Plan,
    every: Sequence[Subject],
    gallery: Gallery,
    progress: Progress | None = None,
) -> int:
    """Paint every case that has a picture missing, all its windows at once; how many pictures."""
    todo = [s for s in every if store.missing(wanted(config, plan, s.name))]
    each = len(plan.conditions) * config.seeds
    captions, done = Captions(room.judge), 0
    for subject in todo:
        if progress:
            progress(done, each * len(todo), "painting")
        began = time.perf_counter()
        pictures = _painted(room, config, subject)
        seen = image_features(room.judge, pictures).double().cpu()
        seconds = (time.perf_counter() - began) / each
        probe, results = subject.case.source, []
        for key, picture, feature in zip(
            wanted(config, plan, subject.name), pictures, seen, strict=True
        ):
            name = gallery.hang(picture, key.seed)
            new, old = (captions.similarity(feature, text) for text in (probe.new, probe.old))
            results.append(Result(key, new, old, seconds, name))
        store.add(results)
        done += each
    if progress:
        progress(done, each * len(todo), "painting")
    return done


def _painted(room: Studio, config: BenchConfig, subject: Subject) -> Tensor:
    """``[n_conditions * n_seeds, 3, H, W]``: without a window first."""
    case = subject.case
    seeds = tuple(range(config.seeds))
    how = LocoGenConfig(config.window, seeds=seeds, **room.how.settings)
    painter = Painter(
        room.model, room.judge, case.kind, [case.edit.source], [case.edit.target], how
    )
    windows = [range(0), *windows_of(painter.depth, config.window)]
    return painter.pictures(windows, how.seeds).flatten(0, 2)


def _name(window: range) -> str:
    return f"layer {window[0]}" if len(window) == 1 else f"layers {window[0]}-{window[-1]}"
