"""Paint what is missing and let the judge look at it, in batches that are always full.

A patch of the text encoder only changes what the denoiser is given. So prompts are encoded under
their own patch and then painted together, whatever patch they come from; only a patch of the
denoiser itself needs batches of its own. Every picture is painted once, whoever asks for it.

No number depends on who else is in a batch: a batch that is not full is filled up, and every
prompt is encoded alone (see :mod:`overpaint.generate` and :mod:`overpaint.models.clip`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from overpaint.benchmark.patches import Made, patches
from overpaint.benchmark.plan import CAPTION, Ask, needed
from overpaint.benchmark.rows import Key, Result
from overpaint.benchmark.shared import Seen, Shared
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import Captions, Gallery, Studio
from overpaint.models.clip import image_features
from overpaint.models.conditioning import Conditioning
from overpaint.models.model import Model
from overpaint.models.sampling import sample_pairs
from overpaint.models.text import encode
from overpaint.models.weights import with_deltas
from overpaint.types import Patch, Progress


def paint(
    room: Studio,
    store: Store,
    asks: Sequence[Ask],
    gallery: Gallery,
    *,
    made: Callable[[Made], None] | None = None,
    progress: Progress | None = None,
) -> int:
    """Paint and judge all that ``asks`` want and ``store`` does not have; the number of pictures.

    Each batch is one transaction. ``made`` is told of every patch; ``progress`` counts pictures,
    also those that are shared already, which are not painted.
    """
    jobs = _jobs(store, asks)
    states = tuple({ask.state.key: ask.state for ask in asks}.values())
    total = sum(len(own) for own in jobs.values())
    done = painted = 0
    captions = Captions(room.judge)
    tick = progress or (lambda _done, _total, _what: None)
    tick(0, total, "painting")

    def computing(_done: int, _total: int, _what: str) -> None:
        tick(done, total, "computing edits")

    def patched() -> Iterator[Made]:
        for one in patches(room.model, states, jobs.keys(), computing):
            if made:
                made(one)
            yield one

    def unknown(works: list[_Work]) -> list[_Work]:
        nonlocal done
        rest = _taken(gallery.shared, store, gallery, captions, works) if gallery.shared else works
        done += len(works) - len(rest)
        return rest

    for batch in _batches(room, jobs, patched(), gallery.shared, unknown):
        _paint_batch(room, store, gallery, captions, batch)
        done += len(batch.works)
        painted += len(batch.works)
        tick(done, total, "painting")
    return painted


@dataclass(frozen=True, eq=False)
class _Work:
    """One picture: an encoded prompt, a seed, and who asks for it.

    ``wanted`` has a row's key and the two captions for each; ``key`` is what it is shared by.
    """

    text: Conditioning
    seed: int
    wanted: tuple[tuple[Key, str, str], ...]
    key: str = ""

    @property
    def caption(self) -> bool:
        """Whether somebody wants it as the picture of a caption that no edit is about."""
        return any(key.prompt.startswith(CAPTION) for key, *_ in self.wanted)

    def results(self, seen: Seen, captions: Captions) -> list[Result]:
        """The rows that the picture fills."""
        rows = []
        for key, *texts in self.wanted:
            new, old = (captions.similarity(seen.feature, text) for text in texts)
            rows.append(Result(key, new, old, seen.seconds, seen.picture))
        return rows


@dataclass(frozen=True, eq=False)
class _Batch:
    """Pictures that are painted together, under the deltas of ``patch`` if there is one."""

    works: Sequence[_Work]
    patch: Patch | None = None


_Jobs = dict[str, dict[tuple[str, int], list[tuple[Key, str, str]]]]
"""By the key of a state, then by prompt and seed: the rows that a picture fills."""


def _jobs(store: Store, asks: Sequence[Ask]) -> _Jobs:
    missing = set(store.missing(key for ask in asks for key in ask.keys()))
    jobs: _Jobs = {}
    for ask, seeds in needed(asks, missing):
        own = jobs.setdefault(ask.state.key, {})
        for seed in seeds:
            key = Key(ask.condition, ask.case, ask.place, seed)
            own.setdefault((ask.prompt, seed), []).append((key, ask.new, ask.old))
    return jobs


def _batches(
    room: Studio,
    jobs: _Jobs,
    made: Iterable[Made],
    shared: Shared | None,
    unknown: Callable[[list[_Work]], list[_Work]],
) -> Iterator[_Batch]:
    """Full batches of what is ``unknown``; only the last of a kind may have fewer."""
    waiting: list[_Work] = []
    for one in made:
        apart = one.patch is not None and not _shareable(room.model, one.patch)
        works = _encoded(room, one.patch, jobs[one.state.key])
        if shared:
            patch = one.patch if apart else None
            works = [replace(w, key=shared.key(w.text.tensors, w.seed, patch)) for w in works]
        works = unknown(works)
        if apart:
            for start in range(0, len(works), room.batch):
                yield _Batch(works[start : start + room.batch], one.patch)
            continue
        waiting += works
        while len(waiting) >= room.batch:
            yield _Batch(waiting[: room.batch])
            del waiting[: room.batch]
    if waiting:
        yield _Batch(waiting)


def _encoded(
    room: Studio,
    patch: Patch | None,
    jobs: dict[tuple[str, int], list[tuple[Key, str, str]]],
) -> list[_Work]:
    prompts = list(dict.fromkeys(prompt for prompt, _ in jobs))
    with with_deltas(room.model, patch.deltas if patch else ()):
        texts = dict(zip(prompts, encode(room.model, prompts, room.how), strict=True))
    return [_Work(texts[prompt], seed, tuple(wanted)) for (prompt, seed), wanted in jobs.items()]


def _taken(
    shared: Shared, store: Store, gallery: Gallery, captions: Captions, works: Sequence[_Work]
) -> list[_Work]:
    """Fill the rows of those ``works`` that are shared already; the others."""
    rest, results = [], []
    for work in works:
        seen = shared.find(work.key)
        kept = gallery.keeps(work.seed, work.caption)
        if seen is None or (kept and not shared.fetch(f"{seen.picture}.png", gallery.folder)):
            rest.append(work)
        else:
            results += work.results(seen, captions)
    if results:
        store.add(results)
    return rest


def _paint_batch(
    room: Studio, store: Store, gallery: Gallery, captions: Captions, batch: _Batch
) -> None:
    works = batch.works
    began = time.perf_counter()
    with with_deltas(room.model, batch.patch.deltas if batch.patch else ()):
        pictures = sample_pairs(
            room.model,
            [work.text for work in works],
            [work.seed for work in works],
            room.how,
        )
    seen = image_features(room.judge, pictures).double().cpu()
    seconds = (time.perf_counter() - began) / len(works)
    results, found = [], []
    for work, picture, feature in zip(works, pictures, seen, strict=True):
        name = gallery.hang(picture, work.seed, caption=work.caption)
        found.append((work.key, Seen(name, feature, seconds)))
        results += work.results(found[-1][1], captions)
    store.add(results)
    if gallery.shared:
        gallery.shared.add(found, gallery.folder)


def _shareable(model: Model, patch: Patch) -> bool:
    """Whether the patch is all in what the denoiser is given."""
    return all(delta.site.component in model.text_encoders for delta in patch.deltas)
