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


def same_length(parts: Sequence[Conditioning]) -> list[Conditioning]:
    """``parts`` with their texts padded to the longest, so that they fit into one batch.

    Texts ``[n, L, d]`` are padded with zeros, and their masks ``[n, L]`` leave the padding out.
    Texts without a mask are left as they are.
    """
    masks = {name for name, t in parts[0].tensors.items() if "mask" in name and t.dim() == 2}
    if not masks:
        return list(parts)
    longest: dict[str, int] = {}  # both branches of guidance have one length
    for part in parts:
        for name, tensor in part.tensors.items():
            if name in masks or tensor.dim() == 3:
                plain = name.removeprefix(NEGATIVE)
                longest[plain] = max(longest.get(plain, 0), tensor.shape[1])

    def padded(name: str, tensor: Tensor) -> Tensor:
        if name not in masks and tensor.dim() != 3:
            return tensor
        missing = longest[name.removeprefix(NEGATIVE)] - tensor.shape[1]
        if not missing:
            return tensor
        return torch.cat([tensor, tensor.new_zeros(len(tensor), missing, *tensor.shape[2:])], dim=1)

    return [Conditioning({n: padded(n, t) for n, t in part.tensors.items()}) for part in parts]
