"""Where pictures are made, looked at and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from overpaint.benchmark.shared import Shared
from overpaint.benchmark.store import picture_hash
from overpaint.models.clip import Clip, text_features
from overpaint.models.model import Model
from overpaint.models.sampling import sampling_for
from overpaint.pictures import save_picture, to_image
from overpaint.types import Sampling


@dataclass(frozen=True, eq=False)
class Studio:
    """A model that generates, a judge that looks, and how pictures are generated."""

    model: Model
    judge: Clip
    how: Sampling

    @property
    def batch(self) -> int:
        """Pictures generated at once."""
        return self.how.batch_size or 1


def studio(model: Model, judge: Clip, how: Sampling | None = None) -> Studio:
    """A studio with the model's own settings where ``how`` says nothing."""
    return Studio(model, judge, sampling_for(model, how))


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
    ``shared``    pictures that other runs have painted, and where they find those of this one.
    """

    folder: Path
    keep: int
    captions: bool = False
    shared: Shared | None = None

    def hang(self, picture: Tensor, seed: int, *, caption: bool = False) -> str:
        """The hash of ``picture [3, H, W]``, which is the name of its file if it is kept."""
        name = picture_hash(picture.numpy().tobytes(), tuple(picture.shape))
        path = self.folder / f"{name}.png"
        if self.keeps(seed, caption) and not path.exists():
            self.folder.mkdir(exist_ok=True)
            save_picture(to_image(picture), path)
        return name

    def keeps(self, seed: int, caption: bool) -> bool:
        """Whether a picture of that seed is kept."""
        return seed < self.keep or (caption and self.captions)
