"""What both CLIPs and the text tower share: token batches, meanings, and the contrastive loss."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from overpaint.toybox.grammar import meaning, parse
from overpaint.toybox.scene import Scene
from tools.train.run import Run
from tools.train.untyped import CLIPTokenizer


@dataclass(frozen=True)
class Captions:
    """The captions of a run as token ids, with a number for each distinct meaning."""

    run: Run

    @cached_property
    def tokenizer(self) -> Any:
        """The world's tokenizer."""
        return CLIPTokenizer.from_pretrained(self.run.path("tokenizer"))

    @cached_property
    def ids(self) -> list[list[int]]:
        """Token ids of every caption, marks included, not padded."""
        return self.tokenizer(self.run.captions)["input_ids"]

    @cached_property
    def scenes(self) -> list[Scene]:
        """What every caption says."""
        return [parse(caption) for caption in self.run.captions]

    @cached_property
    def meanings(self) -> torch.Tensor:
        """For every caption the number of its meaning, ``[n]``."""
        path = self.run.path("meanings.json")
        if not path.exists():
            numbers: dict[str, int] = {}
            said = [meaning(scene).caption for scene in self.scenes]
            path.write_text(json.dumps([numbers.setdefault(s, len(numbers)) for s in said]))
        return torch.tensor(json.loads(path.read_text()))

    def tokens(self, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Padded ids ``[b, longest]`` and the position of each end token ``[b]``."""
        return self.padded([self.ids[i] for i in index])

    def padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for token ids of any captions."""
        end = torch.tensor([len(row) - 1 for row in rows])
        width = int(end.max()) + 1
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        return ids.to(self.run.device), end.to(self.run.device)


def unit(features: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length one."""
    return features / features.norm(dim=-1, keepdim=True)


def contrastive_loss(
    text: torch.Tensor,
    image: torch.Tensor,
    scale: torch.Tensor,
    meanings: torch.Tensor,
) -> torch.Tensor:
    """Symmetric cross-entropy over a batch; captions of one meaning share the probability.

    ``text``, ``image`` ``[b, d]`` of length one; ``scale`` the logarithm of the temperature's
    inverse; ``meanings [b]``.
    """
    with torch.autocast(text.device.type, enabled=False):  # bfloat16 is too coarse for these
        logits = _sharp(scale) * text.float() @ image.float().T
    same = (meanings[:, None] == meanings[None]).float().to(logits.device)
    wanted = same / same.sum(1, keepdim=True)
    by_text = (wanted * logits.log_softmax(1)).sum(1).mean()
    by_image = (wanted * logits.T.log_softmax(1)).sum(1).mean()
    return -(by_text + by_image) / 2


def refusal_loss(
    text: torch.Tensor, image: torch.Tensor, scale: torch.Tensor, wrong: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of picking each picture's own caption rather than one of its wrong ones.

    ``text``, ``image`` ``[b, d]`` of length one; ``scale`` as above; ``wrong [b, k, d]``
    (Yuksekgonul et al., 2023, "NegCLIP", with hard captions of the picture's own).
    """
    choices = torch.cat([text[:, None], wrong], dim=1).float()
    with torch.autocast(text.device.type, enabled=False):
        logits = _sharp(scale) * torch.einsum("bkd,bd->bk", choices, image.float())
    return -logits.log_softmax(1)[:, 0].mean()


def _sharp(scale: torch.Tensor) -> torch.Tensor:
    return scale.clamp(max=math.log(100.0)).exp()
