"""CLIP-Scores of pictures, and which of them say that an attribute has been found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from overpaint.errors import EditError, PromptError
from overpaint.models.clip import Clip, image_features, text_features


@dataclass(frozen=True)
class Kind:
    """How windows are compared for one kind of attribute (LocoGen, section 5.1.2).

    ``by_target``  whether pictures are held against the target prompt, or the original one.
    ``sign``       +1 where a higher CLIP-Score means that the window controls the attribute, -1
        where a lower one does.
    """

    name: str
    by_target: bool
    sign: int

    def prompts(self, originals: Sequence[str], targets: Sequence[str]) -> list[str]:
        """The prompts to hold the pictures against."""
        return list(targets if self.by_target else originals)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("style", by_target=False, sign=-1),
        Kind("object", by_target=False, sign=-1),
        Kind("fact", by_target=True, sign=+1),
    )
}


def kind_called(name: str) -> Kind:
    """The kind of that name; EditError when there is none."""
    if name not in KINDS:
        raise EditError(f"expected a kind of attribute out of {', '.join(KINDS)}, got {name!r}")
    return KINDS[name]


def check_prompts(originals: Sequence[str], targets: Sequence[str]) -> None:
    """PromptError unless there are as many targets as originals, and at least one."""
    if isinstance(originals, str) or isinstance(targets, str):
        raise PromptError("expected lists of prompts, got a single string; put it in []")
    if not originals or len(originals) != len(targets):
        raise PromptError(
            f"expected as many target prompts as original ones, got {len(targets)} and "
            f"{len(originals)}; give one target for each original"
        )


def clip_scores(clip: Clip, pictures: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
    """CLIP-Score ``[..., n, seeds]`` of ``pictures [..., n, seeds, 3, H, W]`` with their n prompts.

    100 times the cosine (Hessel et al. 2021) without its cut at 0: a cut would hide differences
    between pictures that are all unlike the prompt.
    """
    words = text_features(clip, prompts).unsqueeze(-2)
    seen = image_features(clip, pictures.flatten(0, -4)).unflatten(0, pictures.shape[:-3])
    return 100 * (seen * words).sum(-1)
