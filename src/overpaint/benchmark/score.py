"""From what the judge saw to efficacy, generality, specificity and F1 of a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint import metrics
from overpaint.benchmark.cache import FeatureCache
from overpaint.benchmark.plan import PARTS, Condition, Part, asked, probes
from overpaint.models.clip import Clip, text_features
from overpaint.types import Case


@dataclass(frozen=True)
class Number:
    """A share over all pictures, its deviation over seeds, its 95 % interval over cases."""

    mean: float
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """The four columns of ReFACT's Table 1, and the mean by which TIME chooses."""

    efficacy: Number
    generality: Number
    specificity: Number
    f1: Number
    harmonic: Number


class Reader:
    """Similarities of judged pictures to captions; each caption is encoded once."""

    def __init__(self, judge: Clip, cache: FeatureCache) -> None:
        self.judge, self.cache = judge, cache
        self._texts: dict[str, Tensor] = {}

    def text(self, caption: str) -> Tensor:
        """The judge's unit feature of ``caption``, ``[d]``."""
        if caption not in self._texts:
            self._texts[caption] = text_features(self.judge, [caption])[0].cpu()
        return self._texts[caption]

    def similarity(
        self, condition: Condition, prompt: str, seeds: Sequence[int], caption: str
    ) -> Tensor:
        """Of the pictures of ``prompt`` to ``caption``: ``[n_seeds]``."""
        return self.cache.features(condition.key, prompt, seeds) @ self.text(caption)

    def outcome(
        self, case: Case, condition: Condition, seeds: Sequence[int], *, oracle: bool = False
    ) -> dict[Part, Tensor]:
        """For each part ``[n_probes, n_seeds]``: 1 for every picture that is as it should be."""
        found: dict[Part, Tensor] = {}
        for part in PARTS:
            rows = []
            for probe in probes(case, part):
                prompt = asked(probe, part, oracle=oracle)
                new, old = (
                    self.similarity(condition, prompt, seeds, caption)
                    for caption in (probe.new, probe.old)
                )
                wanted = (old, new) if part == "specificity" else (new, old)
                rows.append(metrics.chosen(*wanted))
            found[part] = torch.stack(rows)
        return found


def summarise(outcomes: Sequence[dict[Part, Tensor]]) -> Summary:
    """One row of a table from the outcomes of its cases (all with the same seeds)."""
    table = torch.stack([torch.stack([o[part].mean() for part in PARTS]) for o in outcomes])
    numbers: dict[Part, Number] = {}
    for column, part in enumerate(PARTS):
        mean, spread = metrics.over_seeds(torch.cat([o[part] for o in outcomes]))
        low, high = metrics.bootstrap(table[:, column])
        numbers[part] = Number(mean.item(), spread.item(), low, high)
    return Summary(
        **numbers,
        f1=_combined(outcomes, table, metrics.f1),
        harmonic=_combined(outcomes, table, metrics.harmonic),
    )


def _combined(
    outcomes: Sequence[dict[Part, Tensor]],
    table: Tensor,
    mean: Callable[[Tensor, Tensor], Tensor],
) -> Number:
    """A mean of generality and specificity, taken of their totals as the papers' tables do."""
    general, specific = (
        torch.cat([o[part] for o in outcomes]) for part in ("generality", "specificity")
    )
    _, spread = metrics.over_seeds(mean(general.mean(dim=0), specific.mean(dim=0)))
    low, high = metrics.bootstrap(table, lambda means: mean(means[:, 1], means[:, 2]))
    return Number(mean(general.mean(), specific.mean()).item(), spread.item(), low, high)
