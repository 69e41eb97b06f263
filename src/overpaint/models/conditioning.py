"""What a pipeline is given for a set of prompts once they are encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NEGATIVE = "negative_"


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompts as keyword arguments of the pipeline's own call.

    Attributes:
        tensors: Argument name to tensor, one row per prompt: ``prompt_embeds [n, L, d]``,
            ``negative_prompt_embeds [n, L, d]`` and whatever else the family reads, such as
            ``pooled_prompt_embeds [n, p]`` or ``prompt_attention_mask [n, L]``.
    """

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def guided(self) -> bool:
        """Whether the negative branch of classifier-free guidance is there."""
        return bool(self.negative)

    @property
    def positive(self) -> Conditioning:
        """The same prompts without the negative branch."""
        return Conditioning({k: v for k, v in self.tensors.items() if not k.startswith(NEGATIVE)})

    @property
    def negative(self) -> dict[str, Tensor]:
        """The tensors of the negative branch."""
        return {k: v for k, v in self.tensors.items() if k.startswith(NEGATIVE)}

    @property
    def layout(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of one row; only rows of one layout fit into one batch."""
        return tuple((name, tuple(t.shape[1:])) for name, t in sorted(self.tensors.items()))

    def rows(self, index: Tensor | Sequence[int]) -> Conditioning:
        """The prompts ``index [b]``, in that order."""
        chosen = torch.as_tensor(index)
        return Conditioning({k: v[chosen.to(v.device)] for k, v in self.tensors.items()})

    def split(self) -> Iterator[Conditioning]:
        """One conditioning per prompt."""
        return (self.rows([i]) for i in range(len(self)))

    def replace(self, **tensors: Tensor) -> Conditioning:
        """The same with some tensors exchanged."""
        return Conditioning({**self.tensors, **tensors})


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """All prompts of ``parts``, which must have one layout, in one conditioning."""
    return Conditioning({k: torch.cat([p.tensors[k] for p in parts]) for k in parts[0].tensors})


def padded(parts: Sequence[Conditioning], mask: str) -> list[Conditioning]:
    """``parts`` with their texts padded to the longest, so that they fit into one batch.

    Texts ``[n, L, d]`` are padded with zeros, and masks ``[n, L]`` say so.

    Args:
        parts: Encoded prompts, whose texts have no padding yet.
        mask: Name of the mask; that of the negative branch has :data:`NEGATIVE` before it.
    """
    longest: dict[str, int] = {}
    for part in parts:
        for name, tensor in part.tensors.items():
            if tensor.dim() == 3:
                longest[name] = max(longest.get(name, 0), tensor.shape[1])

    def longer(part: Conditioning) -> Conditioning:
        found = dict(part.tensors)
        for name, length in longest.items():
            rows, real, width = part[name].shape
            missing = length - real
            found[name] = torch.cat([part[name], part[name].new_zeros(rows, missing, width)], 1)
            kept = torch.arange(length, device=part[name].device) < real
            sign = NEGATIVE if name.startswith(NEGATIVE) else ""
            found[sign + mask] = kept.long().expand(rows, -1)
        return Conditioning(found)

    return [longer(part) for part in parts]
