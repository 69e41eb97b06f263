"""What cross-attention takes from a prompt, asked with queries of no picture in particular.

A picture's queries are known only while it is painted. But they are projections of what a layer
norm gives, numbers of mean 0 and variance 1, so random ones stand for them: what they read of two
prompts tells how differently a layer understands the two, whichever of its tokens, keys or values
differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from overpaint.errors import ModelError
from overpaint.models.model import Model
from overpaint.models.sites import submodule

Reading = tuple[Tensor, ...]
"""For each layer ``[n, queries, d]``: its output for every prompt and query."""


@torch.no_grad()
def attended(
    model: Model,
    prompts: Sequence[str],
    layers: Sequence[int] | None = None,
    *,
    queries: int = 24,
    batch: int = 16,
) -> Reading:
    """What ``queries`` random queries read of each prompt in cross-attention ``layers``.

    ``softmax(q kᵀ / √d) v`` of all heads, through the output projection, on the model as it stands
    now; ``q = W_q x`` with ``x ~ N(0, I)``, the same in every call. All layers by default, numbered
    in forward order. Prompts may be empty. ModelError for attention that is not a UNet's.
    """
    path = model.family.path(model, "sequence")
    read_alike = path.shared and all(
        tuple(site.name.rpartition(".")[2] for site in layer) == ("to_k", "to_v")
        for layer in path.layers
    )
    if not read_alike:
        raise ModelError(
            f"A strength is chosen by what cross-attention reads with to_k and to_v, and "
            f"{model.name} ({model.family.name}) reads its text otherwise; give the strength as a "
            "number."
        )
    owners = [layer[0].name.rpartition(".")[0] for layer in path.layers]
    modules = [_module(model, owners[i]) for i in (layers or range(len(owners)))]
    asked = [_queries(module, queries) for module in modules]
    parts: list[list[Tensor]] = [[] for _ in modules]
    for start in range(0, len(prompts), batch):
        (states,) = model.family.inputs(model, list(prompts[start : start + batch]), path)
        states = states.to(model.dtype)
        for part, module, query in zip(parts, modules, asked, strict=True):
            part.append(_read(module, query, states).float())
    return tuple(torch.cat(part) for part in parts)


def squared(one: Reading, other: Reading) -> Tensor:
    """Squared distance of two readings in each layer: ``[layers, n]``; n of either may be 1."""
    return torch.stack([(a - b).square().sum((1, 2)) for a, b in zip(one, other, strict=True)])


def _module(model: Model, name: str) -> Any:
    module: Any = submodule(model.denoiser, name)
    if not all(hasattr(module, part) for part in ("to_q", "to_k", "to_v", "to_out", "heads")):
        raise ModelError(
            f"expected cross-attention of a UNet at {name}, got {type(module).__name__}; give the "
            "strength as a number"
        )
    return module


def _queries(module: Any, count: int) -> Tensor:
    """``[count, heads * d]``, from the same noise for every layer of one width."""
    weight = module.to_q.weight
    noise = torch.randn(
        count, weight.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float32
    )
    return module.to_q(noise.to(weight))


def _read(module: Any, query: Tensor, states: Tensor) -> Tensor:
    heads = module.heads
    q = query.unflatten(-1, (heads, -1)).transpose(0, 1)
    k, v = (
        p(states).unflatten(-1, (heads, -1)).transpose(1, 2) for p in (module.to_k, module.to_v)
    )
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return module.to_out[0]((weights @ v).transpose(1, 2).flatten(2))
