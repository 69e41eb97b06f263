"""Who is in the pictures of a profession: paint, and let the judge tell women from men.

TIME, section 6.3: CLIP classifies the gender in each picture. The captions it chooses between are
the prompt itself with a woman and with a man of the profession in it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.benchmark.datasets.gender import VALIDATION
from overpaint.benchmark.studio import Studio
from overpaint.errors import DataError, EditError
from overpaint.generate import generate
from overpaint.methods.common import filled
from overpaint.metrics import chosen
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.toybox.scene import article
from overpaint.toybox.world import OBJECTS
from overpaint.types import GenderCase, Sampling

NOBODY = (
    "a photo of an object",
    "a photo of an animal",
    "a photo of a landscape without people",
    "a photo of an empty room",
)
"""What a picture may show when it shows no person."""


@dataclass(frozen=True)
class Seen:
    """What the judge says of pictures: ``women``, ``people [n_prompts, n_seeds]``, each 1 or 0.

    ``women`` is said of every picture, as in the paper, whether or not there are ``people``.
    """

    women: Tensor
    people: Tensor


class Portraits:
    """The pictures a model paints of professions, as it is when it is asked, and who is in them.

    ``seeds`` are painted for every prompt. It knows each case's source, validation and test
    prompts, and TIME's validation prompt; KeyError for others. ``painted`` counts the pictures.
    """

    def __init__(self, room: Studio, cases: Sequence[GenderCase], seeds: Sequence[int]) -> None:
        """DataError without cases or seeds."""
        if not cases or not seeds:
            raise DataError(f"expected professions and seeds, got {len(cases)} and {len(seeds)}")
        self.room, self.cases, self.seeds = room, tuple(cases), tuple(seeds)
        self.painted = 0
        self.captions = {
            prompt: case.described(prompt)
            for case in cases
            for prompt in (
                case.edit.source,
                filled(VALIDATION, case.edit.source),
                case.validation,
                *case.examples,
            )
        }
        self._nobody = text_features(room.judge, nobody(room.judge))

    def look(self, prompts: Sequence[str]) -> Seen:
        """Paint ``prompts`` with the weights the model has now, and look."""
        pictures = self._paint(prompts, self.seeds)
        return _stacked([self._classified(p, pictures[i]) for i, p in enumerate(prompts)])

    def oracle(self, prompts: Sequence[str]) -> Seen:
        """The same with a gender in every prompt, drawn anew for each picture (TIME, 6.4)."""
        return _stacked([self._drawn(prompt) for prompt in prompts])

    def share(self, prompt: str) -> float:
        """Share of women now: the ``measure`` of :func:`overpaint.methods.debias.debias`."""
        return self.look([prompt]).women.mean().item()

    def shares(self, prompt: str) -> tuple[float, float]:
        """Shares of women and of men now: what :func:`uce_debias` wants."""
        women = self.share(prompt)
        return women, 1 - women

    def require_people(self, prompts: Sequence[str]) -> Seen:
        """:meth:`look`; EditError when the judge sees nobody in any picture of one prompt."""
        seen = self.look(prompts)
        for prompt, row in zip(prompts, seen.people, strict=True):
            if not row.any():
                raise EditError(
                    f"expected people in the pictures of {prompt!r}, the judge sees none in "
                    f"{len(row)}; leave the profession out, or take another judge or model"
                )
        return seen

    def _paint(self, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        self.painted += len(prompts) * len(seeds)
        return _painted(self.room, prompts, seeds)

    def _classified(self, prompt: str, pictures: Tensor) -> Seen:
        texts = text_features(self.room.judge, self.captions[prompt])
        seen = image_features(self.room.judge, pictures)
        gendered, others = seen @ texts.T, seen @ self._nobody.T
        people = gendered.amax(dim=1) > others.amax(dim=1)
        return Seen(chosen(gendered[:, 0], gendered[:, 1]).cpu(), people.double().cpu())

    def _drawn(self, prompt: str) -> Seen:
        women = [random.Random(f"{prompt} {seed}").random() < 0.5 for seed in self.seeds]
        painted: dict[int, Tensor] = {}
        for wording, female in zip(self.captions[prompt], (True, False), strict=True):
            seeds = [s for s, woman in zip(self.seeds, women, strict=True) if woman == female]
            if seeds:
                pictures = self._paint([wording], seeds)[0]
                painted |= dict(zip(seeds, pictures, strict=True))
        return self._classified(prompt, torch.stack([painted[seed] for seed in self.seeds]))


def nobody(judge: Clip) -> tuple[str, ...]:
    """Captions of pictures without people, in words that ``judge`` knows."""
    if judge.name in ("toybox-judge", "toybox"):
        return tuple(article(name) for name in OBJECTS)
    return NOBODY


def _painted(room: Studio, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """``[n_prompts, n_seeds, 3, H, W]`` uint8, in equally full batches."""
    count = len(prompts) * len(seeds)
    batch = math.ceil(count / math.ceil(count / room.batch))
    how = Sampling(batch_size=batch).over(room.how)
    return generate(room.model, prompts, seeds, how, output_type="pt")


def _stacked(rows: Sequence[Seen]) -> Seen:
    return Seen(torch.stack([r.women for r in rows]), torch.stack([r.people for r in rows]))
