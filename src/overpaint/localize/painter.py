"""Paint prompts while windows of layers read other prompts, and score the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from overpaint.localize.reading import routed, texts
from overpaint.localize.score import check_prompts, clip_scores, kind_called
from overpaint.localize.search import LocoGenConfig
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.models.sampling import sample, sampling_for
from overpaint.types import Progress, Sampling


class Painter:
    """Paints ``originals`` with windows of layers that read ``targets``, and scores the pictures.

    All texts are encoded and projected when it is made. ``depth`` is M, the number of layers;
    ``ours`` and ``theirs [prompts]`` are the prompts' numbers among ``texts``; ``evaluations``
    counts the rows that the denoiser was given, both branches of guidance, without those that only
    fill a batch.
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
        """EditError for an unknown kind, PromptError for prompts that cannot be painted."""
        self.rule = kind_called(kind)
        check_prompts(originals, targets)
        self.model, self.clip, self.config = model, clip, config
        self.originals, self.targets = tuple(originals), tuple(targets)
        self.how = sampling_for(model, config)
        self.texts = texts(model, [*originals, *targets], self.how)
        self.depth = 1 + self.texts.projected[-1][0]
        self.ours = torch.tensor([self.texts.number(p) for p in originals])
        self.theirs = torch.tensor([self.texts.number(p) for p in targets])
        self.words = self.rule.prompts(originals, targets)
        self.evaluations = 0

    def table(self, windows: Sequence[range]) -> torch.Tensor:
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
        guidance: float | None = None,
        snug: bool = False,
    ) -> torch.Tensor:
        """What is painted when each window reads the targets: ``[windows, prompts, seeds, ...]``.

        Windows, prompts, seeds and both branches of guidance share their batches. ``steps`` and
        ``guidance`` replace those of the search. With ``snug`` a single batch is no larger than it
        has to be, which saves time; the last bit of a picture may then depend on its company.
        """
        how = Sampling(steps=steps, guidance=guidance).over(self.how)
        table = self.table(windows)
        own = self.ours.repeat(len(windows)).tolist()
        if snug:
            batch = min(how.batch_size or 1, len(own) * len(seeds))
            how = Sampling(batch_size=batch).over(how)
        guided = self.model.family.guided(self.model, how)
        given = [self.texts.given[number - 1] for number in own]
        pictures = sample(
            self.model,
            given if guided else [text.positive for text in given],
            seeds,
            how,
            around=routed(self.texts, table.flatten(0, 1), guided=guided),
            progress=progress and (lambda done, total, _: progress(done, total, what)),
        )
        self.evaluations += len(own) * len(seeds) * (how.steps or 0) * (1 + guided)
        return pictures.unflatten(0, table.shape[:2])

    def scores(self, pictures: torch.Tensor) -> torch.Tensor:
        """CLIP-Scores ``[windows, prompts, seeds]`` of what :meth:`pictures` gave."""
        return clip_scores(self.clip, pictures, self.words)

    def paint(
        self,
        windows: Sequence[range],
        what: str = "painting",
        progress: Progress | None = None,
        *,
        snug: bool = False,
    ) -> tuple[torch.Tensor, list[float]]:
        """Pictures ``[windows, prompts, seeds, 3, H, W]`` and the mean score of every window."""
        pictures = self.pictures(windows, self.config.seeds, what, progress, snug=snug)
        return pictures, self.scores(pictures).mean((-2, -1)).tolist()
