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

from overpaint.models.conditioning import conditioning, encode_alone
from overpaint.models.hooks import replace, replace_input
from overpaint.models.model import Model
from overpaint.models.sampling import Around
from overpaint.models.sites import cross_attention_layers, cross_attention_sites, module_at


@dataclass(frozen=True, eq=False)
class Texts:
    """T prompts as the layers of one model read them. Number 0 is the unconditional one.

    ``prompts``    the others, each once; prompt i has number i + 1.
    ``states``     embeddings ``[T, L, d]``.
    ``pooled``     SDXL's pooled features ``[T - 1, p]`` of the prompts; None in other families.
    ``projected``  for every projection of a cross-attention layer, in forward order: the number of
        the layer, the module, and what it makes of each text ``[T, L, d_out]``.
    """

    prompts: tuple[str, ...]
    states: torch.Tensor
    pooled: torch.Tensor | None
    projected: tuple[tuple[int, nn.Linear, torch.Tensor], ...]

    def number(self, prompt: str) -> int:
        """The number of ``prompt`` in ``states``."""
        return self.prompts.index(prompt) + 1


@torch.no_grad()
def texts(model: Model, prompts: Sequence[str]) -> Texts:
    """Encode and project the different ones of ``prompts``, and the unconditional prompt.

    PromptError when one is empty or too long.
    """
    unique = tuple(dict.fromkeys(prompts))
    states, features = encode_alone(model, unique)
    given = conditioning(model, states, features=features)
    assert given.empty is not None
    every = torch.cat([given.empty[None], given.states])
    sites = cross_attention_sites(model)
    a_layer = len(sites) // len(cross_attention_layers(model))
    modules = [module_at(model, site) for site in sites]
    projected = tuple((i // a_layer, m, m(every)) for i, m in enumerate(modules))
    return Texts(unique, every, features, projected)


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
