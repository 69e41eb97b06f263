"""Paint what is missing and let the judge look at it, in batches that are always full.

A patch of the text encoder only changes what the denoiser is given. So prompts are encoded under
their own patch and then painted together, whatever patch they come from; only a patch of the
denoiser itself needs batches of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from pathlib import Path

import torch
from torch import Tensor

from overpaint.benchmark.cache import FeatureCache, identity
from overpaint.benchmark.plan import Want, patches
from overpaint.generate import sample
from overpaint.models.clip import Clip, image_features
from overpaint.models.conditioning import encode_alone
from overpaint.models.model import Model
from overpaint.models.text import encode
from overpaint.models.weights import with_deltas
from overpaint.types import Patch, Progress


@dataclass(frozen=True, eq=False)
class Studio:
    """A model that paints, a judge that looks, and the cache of what the judge saw."""

    model: Model
    judge: Clip
    cache: FeatureCache
    steps: int
    guidance: float
    batch: int


def studio(
    model: Model,
    judge: Clip,
    cache: str | Path | None = None,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    batch: int | None = None,
) -> Studio:
    """A studio with the family's settings where none are given; ``cache`` is a file, or None."""
    family = model.family
    steps = family.steps if steps is None else steps
    guidance = family.guidance if guidance is None else guidance
    parts = [p for p in model.pipeline.components.values() if isinstance(p, torch.nn.Module)]
    owner = identity([*parts, judge.network], steps, guidance)
    kept = FeatureCache(Path(cache) if cache else None, owner)
    return Studio(model, judge, kept, steps, guidance, batch or family.batch_size)


def paint(room: Studio, wanted: Iterable[Want], progress: Progress | None = None) -> int:
    """Paint and judge all that is wanted and not in the cache yet; the number of new pictures.

    After every batch the cache has it. ``progress`` counts pictures.
    """
    todo = missing(room.cache, wanted)
    total, done = sum(len(want.seeds) for want in todo), 0
    if progress:
        progress(0, total, "painting")
    for chunk in _chunks(room, todo, progress):
        _paint_chunk(room, chunk)
        done += sum(len(row.want.seeds) for row in chunk.rows)
        if progress:
            progress(done, total, "painting")
    return total


def missing(cache: FeatureCache, wanted: Iterable[Want]) -> list[Want]:
    """What of ``wanted`` has to be painted: every picture once, in order of their conditions."""
    seen: dict[tuple[str, str], dict[int, None]] = {}
    first: dict[tuple[str, str], Want] = {}
    for want in wanted:
        place = want.condition.key, want.prompt
        first.setdefault(place, want)
        for seed in cache.missing(*place, want.seeds):
            seen.setdefault(place, {})[seed] = None
    return [Want(first[place].condition, place[1], tuple(seeds)) for place, seeds in seen.items()]


@dataclass(frozen=True, eq=False)
class _Row:
    """A prompt's embedding ``states [L, d]`` and that of no prompt, under the same patch."""

    want: Want
    states: Tensor
    empty: Tensor
    features: Tensor | None


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Rows that are painted together, under the deltas of ``patch`` if there is one."""

    rows: Sequence[_Row]
    patch: Patch | None = None


def _chunks(room: Studio, todo: Sequence[Want], progress: Progress | None) -> Iterator[_Chunk]:
    """Rows in groups that fill whole batches: rows with the same seeds, of as many patches."""
    waiting: dict[tuple[int, ...], list[_Row]] = {}
    groups = _by_condition(todo)
    made = patches(room.model, [group[0].condition for group in groups], progress)
    for group, patch in zip(groups, made, strict=True):
        rows = _encode(room.model, group, patch)
        if patch is not None and not _shareable(room.model, patch):
            for own in _by_seeds(rows).values():
                yield _Chunk(own, patch)
            continue
        for row in rows:
            line = waiting.setdefault(row.want.seeds, [])
            line.append(row)
            seeds = len(row.want.seeds)
            if len(line) == lcm(room.batch, seeds) // seeds:
                yield _Chunk(waiting.pop(row.want.seeds))
    for line in waiting.values():
        yield _Chunk(line)


def _paint_chunk(room: Studio, chunk: _Chunk) -> None:
    rows = chunk.rows
    extra = [row.features for row in rows if row.features is not None]
    with with_deltas(room.model, chunk.patch.deltas if chunk.patch else ()):
        pictures = sample(
            room.model,
            torch.stack([row.states for row in rows]),
            rows[0].want.seeds,
            unconditional=torch.stack([row.empty for row in rows]),
            pooled_conditioning=torch.stack(extra) if extra else None,
            steps=room.steps,
            guidance=room.guidance,
            batch_size=room.batch,
        )
    for row, own in zip(rows, pictures, strict=True):
        want = row.want
        seen = image_features(room.judge, own)
        room.cache.add(want.condition.key, want.prompt, want.seeds, seen)


def _encode(model: Model, wanted: Sequence[Want], patch: Patch | None) -> list[_Row]:
    with torch.no_grad(), with_deltas(model, patch.deltas if patch else ()):
        states, features = encode_alone(model, [want.prompt for want in wanted])
        empty = encode(model, [""])[0]
    return [
        _Row(want, states[i], empty, None if features is None else features[i])
        for i, want in enumerate(wanted)
    ]


def _shareable(model: Model, patch: Patch) -> bool:
    """Whether the patch is all in what the denoiser is given (SDXL is given more than that)."""
    encoders = model.family.text_encoders
    return len(encoders) == 1 and all(d.site.component in encoders for d in patch.deltas)


def _by_condition(wanted: Sequence[Want]) -> list[list[Want]]:
    groups: dict[str, list[Want]] = {}
    for want in wanted:
        groups.setdefault(want.condition.key, []).append(want)
    return list(groups.values())


def _by_seeds(rows: Iterable[_Row]) -> dict[tuple[int, ...], list[_Row]]:
    groups: dict[tuple[int, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.want.seeds, []).append(row)
    return groups
