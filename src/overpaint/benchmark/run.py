"""A run: from a configuration to a folder with every result in it; begun, or gone on with.

The folder holds ``run.sqlite`` (:mod:`overpaint.benchmark.store`) and ``pictures``. Going on is
doing what has no row yet, so a run may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.estimate import Amount, pace
from overpaint.benchmark.plan import Plan
from overpaint.benchmark.provenance import code, identity, versions
from overpaint.benchmark.rows import PICTURES, STORE
from overpaint.benchmark.shared import Shared
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Gallery, Studio, studio
from overpaint.benchmark.tasks import Edits, Setup, task_of
from overpaint.errors import OutputError
from overpaint.models.clip import Clip
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.types import Progress, Sampling


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
    share: Path | None = None,
) -> Done:
    """Do all that ``config`` asks for and ``folder`` does not have yet.

    ``model`` and ``judge`` are those the configuration names, if they are loaded already.
    ``notes`` are kept with the run, e.g. the command. ``progress`` counts pictures. ``share`` is a
    folder from which pictures of edits are taken that another run has painted, and to which those
    of this one are added (:mod:`overpaint.benchmark.shared`).
    ConfigError, DataError or EditError before anything is loaded for a configuration that makes no
    sense; EditError before the first picture for edits that their method refuses; DataError when
    the folder holds a run of another configuration or of other weights. More ``seeds`` than the
    run was begun with are painted in addition, except of professions.
    """
    task = task_of(config)
    room = _room(config, model, judge, device)
    model, judge = room.model, room.judge
    config = replace(config, steps=room.how.steps, guidance=room.how.guidance)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    made_with = {"weights": identity(model, judge), "precision": str(model.dtype)}
    with ExitStack() as stack:
        store = stack.enter_context(
            Store(folder / STORE, {**config.kept, **made_with}, growing=task.growing)
        )
        store.note({**(notes or {}), "versions": versions(), "batch": room.batch})
        common = *made_with.values(), *versions().values(), code(), *room.how.settings.items()
        shared = stack.enter_context(Shared.open(share, common)) if share else None
        captions = bool(config.fid or config.scorer)
        gallery = Gallery(folder / PICTURES, config.keep, captions, shared)
        painted = task(Setup(room, store, gallery, config, progress))
    for part in (folder / PICTURES).glob(".*.part"):
        part.unlink(missing_ok=True)  # what a killed process left half-written
    return Done(folder, painted)


def check(config: BenchConfig) -> None:
    """The errors that :func:`run` would raise before it loads anything."""
    task_of(config)


def estimate(
    config: BenchConfig,
    folder: Path | None = None,
    *,
    model: Model | None = None,
    judge: Clip | None = None,
    device: str = "cpu",
) -> tuple[Amount, float]:
    """What a run has to paint, or has left in ``folder``, and the seconds a picture takes here.

    Paints a few batches to see. The errors of :func:`check`, and EditError for edits that their
    method refuses.
    """
    task = task_of(config)
    room = _room(config, model, judge, device)
    if folder is None or not (folder / STORE).is_file():
        return task.amount(config, room.model, None), pace(room)
    with Store.open(folder / STORE) as store:
        return task.amount(config, room.model, store), pace(room)


def plan_of(config: BenchConfig) -> Plan:
    """All rows, cases and pictures of a run that edits; the errors of :func:`check`."""
    task = task_of(config)
    return task.plan if isinstance(task, Edits) else Plan()


def _room(config: BenchConfig, model: Model | None, judge: Clip | None, device: str) -> Studio:
    return studio(
        model or load(config.model, device=device),
        judge or load_clip(config.judge, device=device),
        Sampling(
            steps=config.steps,
            guidance=config.guidance,
            batch_size=config.batch,
            height=config.size,
            width=config.size,
        ),
    )
