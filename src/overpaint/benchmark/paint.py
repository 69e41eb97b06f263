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
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from overpaint.benchmark.patches import Made, patches
from overpaint.benchmark.plan import CAPTION, Ask, needed
from overpaint.benchmark.rows import Key, Result
from overpaint.benchmark.store import Store, picture_hash
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.models.conditioning import encode_alone
from overpaint.models.model import Model
from overpaint.models.sampling import Sampling, sample_pairs
from overpaint.models.text import encode
from overpaint.models.weights import with_deltas
from overpaint.pictures import save_picture, to_image
from overpaint.types import Patch, Progress


@dataclass(frozen=True, eq=False)
class Studio:
    """A model that paints, a judge that looks, and how pictures are painted."""

    model: Model
    judge: Clip
    steps: int
    guidance: float
    batch: int
    size: int | None = None

    @property
    def how(self) -> Sampling:
        """The same, as the sampler wants it."""
        return Sampling(
            steps=self.steps, guidance=self.guidance, batch_size=self.batch, size=self.size
        )


def studio(
    model: Model,
    judge: Clip,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    batch: int | None = None,
    size: int | None = None,
) -> Studio:
    """A studio with the family's settings where none are given."""
    family = model.family
    steps = family.steps if steps is None else steps
    guidance = family.guidance if guidance is None else guidance
    return Studio(model, judge, steps, guidance, batch or family.batch_size, size)


class Captions:
    """What the judge makes of captions: each encoded once, alone."""

    def __init__(self, judge: Clip) -> None:
        self.judge = judge
        self._known: dict[str, Tensor] = {}

    def similarity(self, seen: Tensor, caption: str) -> float:
        """Cosine of one picture's feature ``seen [d]`` with ``caption``."""
        if caption not in self._known:
            self._known[caption] = text_features(self.judge, [caption])[0].double().cpu()
        return (seen * self._known[caption]).sum().item()


@dataclass(frozen=True, eq=False)
class Gallery:
    """Where pictures go: a folder, and of how many seeds they are kept.

    ``captions``  whether those of captions are kept too, whatever their seed.
    """

    folder: Path
    keep: int
    captions: bool = False

    def hang(self, picture: Tensor, seed: int, *, caption: bool = False) -> str:
        """The hash of ``picture [3, H, W]``, which is the name of its file if it is kept."""
        name = picture_hash(picture.numpy().tobytes(), tuple(picture.shape))
        path = self.folder / f"{name}.png"
        wanted = seed < self.keep or (caption and self.captions)
        if wanted and not path.exists():
            self.folder.mkdir(exist_ok=True)
            save_picture(to_image(picture), path)
        return name


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

    Each batch is one transaction. ``made`` is told of every patch; ``progress`` counts pictures.
    """
    jobs = _jobs(store, asks)
    states = tuple({ask.state.key: ask.state for ask in asks}.values())
    total = sum(len(own) for own in jobs.values())
    done = 0
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

    for batch in _batches(room, jobs, patched()):
        _paint_batch(room, store, gallery, captions, batch)
        done += len(batch.works)
        tick(done, total, "painting")
    return done


@dataclass(frozen=True, eq=False)
class _Work:
    """One picture: an embedding ``states [L, d]`` and that of no prompt, a seed, who asks for it.

    ``wanted`` has a row's key and the two captions for each.
    """

    states: Tensor
    empty: Tensor
    features: Tensor | None
    seed: int
    wanted: tuple[tuple[Key, str, str], ...]


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


def _batches(room: Studio, jobs: _Jobs, made: Iterable[Made]) -> Iterator[_Batch]:
    """Full batches; only the last of a kind may have fewer."""
    waiting: list[_Work] = []
    for one in made:
        works = _encoded(room.model, one.patch, jobs[one.state.key])
        if one.patch is not None and not _shareable(room.model, one.patch):
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
    model: Model,
    patch: Patch | None,
    jobs: dict[tuple[str, int], list[tuple[Key, str, str]]],
) -> list[_Work]:
    prompts = list(dict.fromkeys(prompt for prompt, _ in jobs))
    with torch.no_grad(), with_deltas(model, patch.deltas if patch else ()):
        states, features = encode_alone(model, prompts)
        empty = encode(model, [""])[0]
    place = {prompt: number for number, prompt in enumerate(prompts)}
    return [
        _Work(
            states[place[prompt]],
            empty,
            None if features is None else features[place[prompt]],
            seed,
            tuple(wanted),
        )
        for (prompt, seed), wanted in jobs.items()
    ]


def _paint_batch(
    room: Studio, store: Store, gallery: Gallery, captions: Captions, batch: _Batch
) -> None:
    works = batch.works
    began = time.perf_counter()
    extra = [work.features for work in works if work.features is not None]
    with with_deltas(room.model, batch.patch.deltas if batch.patch else ()):
        pictures = sample_pairs(
            room.model,
            torch.stack([work.states for work in works]),
            [work.seed for work in works],
            room.how,
            unconditional=torch.stack([work.empty for work in works]),
            pooled_conditioning=torch.stack(extra) if extra else None,
        )
    seen = image_features(room.judge, pictures).double().cpu()
    seconds = (time.perf_counter() - began) / len(works)
    results = []
    for work, picture, feature in zip(works, pictures, seen, strict=True):
        caption = any(key.prompt.startswith(CAPTION) for key, *_ in work.wanted)
        name = gallery.hang(picture, work.seed, caption=caption)
        for key, *texts in work.wanted:
            new, old = (captions.similarity(feature, text) for text in texts)
            results.append(Result(key, new, old, seconds, name))
    store.add(results)


def _shareable(model: Model, patch: Patch) -> bool:
    """Whether the patch is all in what the denoiser is given (SDXL is given more than that)."""
    encoders = model.family.text_encoders
    return len(encoders) == 1 and all(d.site.component in encoders for d in patch.deltas)
