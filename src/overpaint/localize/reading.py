"""Give each cross-attention layer its own prompt to read, row by row of a batch.

Keys and values depend on the text alone, not on the latents or the timestep. So every prompt is
encoded once, goes through every layer's projections once, and a batch of any mixture of windows,
prompts and guidance branches only picks rows out of what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from overpaint.models.conditioning import Conditioning
from overpaint.models.hooks import replace, replace_input
from overpaint.models.model import Model
from overpaint.models.sampling import Around
from overpaint.models.sites import module_at
from overpaint.models.text import encode
from overpaint.types import Sampling


@dataclass(frozen=True, eq=False)
class Texts:
    """T prompts as the layers of one model read them. Number 0 is the unconditional one.

    ``prompts``    the others, each once; prompt i has number i + 1.
    ``given``      each of them as the pipeline is given it.
    ``projected``  for every projection of a cross-attention layer, in forward order: the number of
        the layer, the module, and what it makes of each text ``[T, L, d_out]``.
    """

    prompts: tuple[str, ...]
    given: tuple[Conditioning, ...]
    projected: tuple[tuple[int, nn.Linear, torch.Tensor], ...]

    def number(self, prompt: str) -> int:
        """The number of ``prompt``."""
        return self.prompts.index(prompt) + 1


@torch.no_grad()
def texts(model: Model, prompts: Sequence[str], how: Sampling) -> Texts:
    """Encode and project the different ones of ``prompts``, and the unconditional prompt.

    PromptError when one is empty or too long.
    """
    unique = tuple(dict.fromkeys(prompts))
    guided = Sampling(guidance=max(2.0, how.guidance or 0.0)).over(how)
    given = tuple(encode(model, unique, guided))
    path = model.family.path(model, "sequence")
    empty = given[0]["negative_prompt_embeds"]
    every = torch.cat([empty, *(text["prompt_embeds"] for text in given)])
    projected = []
    for number, layer in enumerate(path.layers):
        for site in layer:
            module = module_at(model, site)
            projected.append((number, module, module(every)))
    return Texts(unique, given, tuple(projected))


@contextmanager
def reading(read: Texts, table: torch.Tensor) -> Iterator[None]:
    """Inside, row r of a batch reads text ``table[r, l]`` in layer l; ``table [rows, M]`` int64.

    The rows are those of the denoiser's batch, unconditional ones included. The projections of the
    text that is passed in are not computed: they get an empty batch, and the kept ones are put in
    the place of their output.
    """
    with ExitStack() as stack:
        for layer, module, kept in read.projected:
            chosen = kept[table[:, layer].to(kept.device)]
            stack.enter_context(replace_input(module, lambda x: x[:0]))
            stack.enter_context(replace(module, lambda _, chosen=chosen: chosen))
        yield


def routed(read: Texts, table: torch.Tensor, *, guided: bool) -> Around:
    """``around`` of :func:`overpaint.models.sampling.sample` for states that read ``table [n, M]``.

    With ``guided`` each batch begins with as many rows that read the unconditional text in every
    layer: the intervention is on the conditional branch alone (LocoGen, section 5.1.1).
    """

    def around(rows: torch.Tensor):
        chosen = table[rows]
        return reading(read, torch.cat([torch.zeros_like(chosen), chosen]) if guided else chosen)

    return around
