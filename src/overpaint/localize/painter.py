"""Generate with windows of layers that read other prompts, and score the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from overpaint.localize.reading import beside, reading, texts
from overpaint.localize.score import check_prompts, clip_scores, kind_called
from overpaint.models.clip import Clip
from overpaint.models.conditioning import Conditioning, join
from overpaint.models.model import Model
from overpaint.models.sampling import (
    for_trial,
    sample,
    sample_pairs,
    sampling_for,
)
from overpaint.types import Progress, Sampling

if TYPE_CHECKING:
    from overpaint.localize.locogen import LocoGenConfig

RUNS = 2
"""In joint attention, pictures beside each batch of windows: the original's and the target's."""


class Painter:
    """Generates ``originals`` with windows of layers that read ``targets``, and scores them.

    All texts are encoded when it is made, and projected where layers have cross-attention.

    Attributes:
        depth: M, the number of layers that read text.
        ours: The originals' numbers among ``texts``, ``[prompts]``.
        theirs: The targets' numbers, ``[prompts]``.
        evaluations: Rows that the denoiser was given, in both branches of guidance, without those
            that only fill a batch.
    """

    def __init__(
        self,
        model: Model,
        clip: Clip,
        kind: str,
        originals: Sequence[str],
        targets: Sequence[str],
        config: LocoGenConfig,
    ) -> None:
        """EditError for an unknown kind, PromptError for prompts that cannot be generated from."""
        self.rule = kind_called(kind)
        check_prompts(originals, targets)
        self.model, self.clip, self.config = model, clip, config
        self.originals, self.targets = tuple(originals), tuple(targets)
        self.how = sampling_for(model, config)
        self.texts = texts(model, [*originals, *targets], self.how)
        self.depth = len(self.texts.layers)
        self.ours = torch.tensor([self.texts.number(p) for p in originals])
        self.theirs = torch.tensor([self.texts.number(p) for p in targets])
        self.words = self.rule.prompts(originals, targets)
        self.evaluations = self.texts.evaluations

    @property
    def attention(self) -> str:
        """What kind of attention reads the text: cross-attention, or joint attention."""
        return "joint-attention" if self.texts.joint else "cross-attention"

    def table(self, windows: Sequence[range]) -> Tensor:
        """Number of the text that each layer reads, ``[windows, prompts, M]``."""
        table = self.ours[None, :, None].repeat(len(windows), 1, self.depth)
        for row, window in zip(table, windows, strict=True):
            row[:, list(window)] = self.theirs[:, None]
        return table

    def pictures(
        self,
        windows: Sequence[range],
        seeds: Sequence[int],
        what: str = "painting",
        progress: Progress | None = None,
        *,
        steps: int | None = None,
        trial: bool = False,
        snug: bool = False,
    ) -> Tensor:
        """What is generated when each window reads the targets.

        Windows, prompts, seeds and both branches of guidance share their batches.

        Args:
            windows: Windows of layers.
            seeds: Seeds of the noise.
            what: What ``progress`` says is being done.
            progress: Counts denoising steps.
            steps: Denoising steps in place of the search's.
            trial: Whether to take as few steps as possible, mostly one, without guidance.
            snug: Whether a single batch is no larger than it has to be, which saves time; the last
                bit of a picture may then depend on its company.

        Returns:
            uint8 ``[windows, prompts, seeds, 3, H, W]``.
        """
        how = Sampling(steps=steps).over(self.how)
        if trial:
            how = _unguided(self.model, for_trial(self.model, how))
        told = progress and (lambda done, total, _: progress(done, total, what))
        make = self._joint if self.texts.joint else self._crossed
        return make(windows, seeds, how, snug, told)

    def _crossed(
        self,
        windows: Sequence[range],
        seeds: Sequence[int],
        how: Sampling,
        snug: bool,
        progress: Progress | None,
    ) -> Tensor:
        """:meth:`pictures` where layers have cross-attention."""
        table = self.table(windows)
        rows, own = table.flatten(0, 1), self.ours.repeat(len(windows)).tolist()
        if snug:
            how = _batches_of(min(how.batch_size or 1, len(own) * len(seeds)), how)
        guided = self.model.family.guided(self.model, how)
        given = [_branches(self.texts.given[number], guided) for number in own]

        def around(numbers: Tensor) -> AbstractContextManager[None]:
            together = join([given[number] for number in numbers.tolist()])
            return reading(self.texts, together, rows[numbers])

        pictures = sample(self.model, given, seeds, how, around=around, progress=progress)
        self.evaluations += len(own) * len(seeds) * (how.steps or 0) * (1 + guided)
        return pictures.unflatten(0, table.shape[:2])

    def _joint(
        self,
        windows: Sequence[range],
        seeds: Sequence[int],
        how: Sampling,
        snug: bool,
        progress: Progress | None,
    ) -> Tensor:
        """:meth:`pictures` where layers have joint attention."""
        runs = [(p, seed) for p in range(len(self.originals)) for seed in range(len(seeds))]
        batch = max(RUNS + 1, how.batch_size or 1)
        if snug:
            batch = min(batch, len(runs) * (RUNS + len(windows)))
        how = _batches_of(batch, how)
        guided = self.model.family.guided(self.model, how)
        plan = _planned(runs, len(windows), batch)
        given = [self._given(picture, guided) for picture in plan]
        whole = [range(0), range(self.depth), *windows]

        def around(numbers: Tensor) -> AbstractContextManager[None]:
            part = [plan[number] for number in numbers.tolist()]
            sources = torch.stack([_sources(part, i, whole, self.depth) for i in range(len(part))])
            return beside(self.texts, join([given[n] for n in numbers.tolist()]), sources)

        chosen = [seeds[picture.seed] for picture in plan]
        found = sample_pairs(
            self.model, given, chosen, how, around=around, progress=progress, ordered=True
        )
        self.evaluations += sum(p.counts for p in plan) * (how.steps or 0) * (1 + guided)
        place = {(p.window, p.prompt, p.seed): number for number, p in enumerate(plan)}
        wanted = [(w, *run) for w in range(len(windows)) for run in runs]
        pictures = found[[place[RUNS + w, p, seed] for w, p, seed in wanted]]
        return pictures.unflatten(0, (len(windows), len(self.originals), len(seeds)))

    def _given(self, picture: _Picture, guided: bool) -> Conditioning:
        """What the pipeline is given for a picture."""
        ours, theirs = (int(numbers[picture.prompt]) for numbers in (self.ours, self.theirs))
        target = picture.window == 1
        text = self.texts.mixed(ours, theirs) if target else self.texts.given[ours]
        return _branches(text, guided)

    def scores(self, pictures: Tensor) -> Tensor:
        """CLIP-Scores ``[windows, prompts, seeds]`` of what :meth:`pictures` gave."""
        return clip_scores(self.clip, pictures, self.words)

    def paint(
        self,
        windows: Sequence[range],
        what: str = "painting",
        progress: Progress | None = None,
        *,
        snug: bool = False,
    ) -> tuple[Tensor, list[float]]:
        """Pictures ``[windows, prompts, seeds, 3, H, W]`` and the mean score of every window."""
        pictures = self.pictures(windows, self.config.seeds, what, progress, snug=snug)
        return pictures, self.scores(pictures).mean((-2, -1)).tolist()


@dataclass(frozen=True)
class _Picture:
    """A picture to be generated beside others of its prompt and seed.

    ``window`` is 0 for the original's run, 1 for the target's, then the windows from 2 on.
    ``counts`` is false for one that only fills a batch.
    """

    window: int
    prompt: int
    seed: int
    counts: bool = True


def _planned(runs: Sequence[tuple[int, int]], windows: int, batch: int) -> list[_Picture]:
    """Pictures in whole batches; the two runs stand before the windows in each batch they are in.

    ``runs`` are numbers of prompts and of seeds.
    """
    plan: list[_Picture] = []
    for prompt, seed in runs:
        left = list(range(RUNS, RUNS + windows))
        while left:
            room = -len(plan) % batch or batch
            if room <= RUNS:
                fill = plan[-1]
                plan += [_Picture(fill.window, fill.prompt, fill.seed, counts=False)] * room
                room = batch
            part, left = left[: room - RUNS], left[room - RUNS :]
            plan += [_Picture(window, prompt, seed) for window in (*range(RUNS), *part)]
    return plan


def _sources(part: Sequence[_Picture], place: int, windows: Sequence[range], depth: int) -> Tensor:
    """Places in the batch ``part`` from which the picture at ``place`` takes its text, ``[M]``."""
    picture = part[place]
    if picture.window < RUNS:
        return torch.full((depth,), place)
    run = [(p.prompt, p.seed, p.window) for p in part]
    original, target = (run.index((picture.prompt, picture.seed, w)) for w in range(RUNS))
    sources = torch.full((depth,), original)
    sources[list(windows[picture.window])] = target
    return sources


def _branches(text: Conditioning, guided: bool) -> Conditioning:
    return text if guided else text.positive


def _batches_of(size: int, how: Sampling) -> Sampling:
    return Sampling(batch_size=size).over(how)


def _unguided(model: Model, how: Sampling) -> Sampling:
    """``how`` without classifier-free guidance; guidance that is an input of the denoiser stays."""
    choices: list[dict[str, Any]] = [{}, {"true_cfg": 1.0}, {"guidance": 1.0}, {"guidance": 0.0}]
    changed = (Sampling(**choice).over(how) for choice in choices)
    return next(each for each in changed if not model.family.guided(model, each))
