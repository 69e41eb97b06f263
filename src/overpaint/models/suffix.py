"""CLIP's text tower from one token on: all that a change at layer l, position i can still reach.

Attention is causal, so with δ added to the MLP output of layer l at the subject token i, nothing
before position i and nothing up to layer l depends on δ. A :class:`Suffix` holds what is left: it
runs each context once, keeps the keys and values of the positions before i, and from then on
computes only layers > l at positions i to the end token (methods.md, "Speed"). Of layer l+1 only
the subject token's query, key and value change, and of the last layer only the end token is read.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from overpaint.errors import SiteError
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, text_transformer
from overpaint.models.text import hidden_states, text_projection, whole_tower
from overpaint.models.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Suffix:
    """c contexts of R requests, cut down to what depends on δ.

    The contexts' tokens from the subject token to the end token stand one after another, T in
    all; S is the longest such run, P the longest prefix, H the heads, d the width.

    ``key [c, d_in]``, ``value [c, d]``  input and output of layer l's fc2 at the subject token.
    ``base [T, d]``     residual stream after layer l, without δ.
    ``owner [c]``       the request that each context belongs to.
    ``first``, ``last [c]``  where a context's subject token and end token stand among the T.
    ``slot [T]``        where each token stands in a grid of c rows and S columns.
    ``sees [c, 1, S, P + S]``  which of the prefix and the suffix each token attends to.
    ``plain``           query, key and value in layer l+1 without δ, each ``[T, d]``.
    ``past``            for each later layer its prefix's keys and values, ``[c, H, P, d / H]``.
    ``layers``, ``norm``, ``projection``  the modules; they are called, never changed.
    """

    key: Tensor
    value: Tensor
    base: Tensor
    owner: Tensor
    first: Tensor
    last: Tensor
    slot: Tensor
    sees: Tensor
    plain: tuple[Tensor, ...]
    past: tuple[tuple[Tensor, Tensor], ...]
    layers: tuple[Any, ...]
    norm: Any
    projection: Any

    @property
    def stream(self) -> Tensor:
        """Residual stream after layer l at the subject token, ``[c, d]``."""
        return self.base[self.first]

    def features(self, delta: Tensor) -> Tensor:
        """Pooled text feature of every context, ``[c, p]``, with ``delta [R, d]`` added.

        Row r of ``delta`` goes to the contexts of request r. Equals the full forward pass, and so
        does its gradient.
        """
        hidden = self.base.index_add(0, self.first, delta[self.owner])
        for number in range(len(self.layers)):
            hidden = self._layer(number, hidden)
        pooled = self.norm(hidden)
        return pooled if self.projection is None else self.projection(pooled)

    def _layer(self, number: int, hidden: Tensor) -> Tensor:
        """One encoder layer, ``[T, d]`` to ``[T, d]``; the last one gives the end tokens only."""
        layer, ends = self.layers[number], number == len(self.layers) - 1
        attention = layer.self_attn
        maps = (attention.q_proj, attention.k_proj, attention.v_proj)
        if number == 0:
            normed = layer.layer_norm1(hidden[self.first])
            q, k, v = (
                x.index_copy(0, self.first, f(normed))
                for f, x in zip(maps, self.plain, strict=True)
            )
            q = q[self.last] if ends else q
        else:
            normed = layer.layer_norm1(hidden)
            q = maps[0](normed[self.last] if ends else normed)
            k, v = maps[1](normed), maps[2](normed)
        if ends:
            hidden = hidden[self.last]
        hidden = hidden + attention.out_proj(self._attend(number, attention.scale, q, k, v))
        return hidden + layer.mlp(layer.layer_norm2(hidden))

    def _attend(self, number: int, scale: float, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of the suffix (or of its end tokens) to prefix and suffix, ``[T or c, d]``."""
        past_k, past_v = self.past[number]
        rows, heads, _, width = past_k.shape
        columns = self.sees.shape[2]

        def grid(x: Tensor) -> Tensor:  # [T, d] -> [c, H, S, d / H], zeros where there is no token
            x = x.new_zeros(rows * columns, x.shape[1]).index_copy(0, self.slot, x)
            return x.view(rows, columns, heads, width).transpose(1, 2)

        k, v = torch.cat([past_k, grid(k)], dim=2), torch.cat([past_v, grid(v)], dim=2)
        ends = len(q) != len(self.slot)  # every run has a subject token and an end token
        if ends:
            q, sees = q.view(rows, heads, 1, width), self._end_sees()
        else:
            q, sees = grid(q), self.sees
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=sees, scale=scale)
        out = out.transpose(1, 2).reshape(-1, heads * width)
        return out if ends else out[self.slot]

    def _end_sees(self) -> Tensor:
        """The rows of ``sees`` of the end tokens, ``[c, 1, 1, P + S]``."""
        column = self.slot[self.last] % self.sees.shape[2]
        rows = torch.arange(len(column), device=column.device)
        return self.sees[rows, :, column][:, :, None]


def refuse_last_layer(model: Model, layer: int, component: str = "text_encoder") -> None:
    """SiteError unless something reads the subject token after ``layer``."""
    mlp_site(model, layer, component)  # refuses a layer that is not there
    depth = len(text_transformer(model.component(component)).encoder.layers)  # type: ignore[union-attr,arg-type]
    if layer == depth - 1:
        raise SiteError(
            f"Layer {layer} is the last one of {component} of {model.name}: nothing reads the "
            f"subject token after it, so an edit there has no effect; use 0 to {layer - 1}."
        )


def suffix(
    model: Model,
    tokens: Tokens,
    positions: Sequence[int],
    layer: int,
    *,
    owner: Sequence[int] | None = None,
    component: str = "text_encoder",
) -> Suffix:
    """Run the c contexts ``tokens`` once and keep what a change in ``layer`` needs.

    ``positions [c]`` are those of the subject tokens, ``owner [c]`` the request of each context
    (default: all of request 0). Weights below float32 are copied to float32. SiteError for a layer
    out of range, and for the last layer: nothing reads the subject token after it.
    """
    refuse_last_layer(model, layer, component)
    tower: Any = whole_tower(model, component)
    stack: Sequence[Any] = list(tower.encoder.layers)
    later, fc2 = stack[layer + 1 :], stack[layer].mlp.fc2
    maps = [f for m in later for f in (m.self_attn.k_proj, m.self_attn.v_proj)]
    with (
        torch.no_grad(),
        record(fc2, later[0]) as (keys, streams),
        record(fc2, later[0].self_attn.q_proj, *maps, outputs=True) as (values, queries, *kept),
    ):
        hidden_states(model, tokens.trimmed(), component, whole=True)
    starts = torch.as_tensor(positions, device=tokens.end.device)
    prefix, runs = int(starts.max()), tokens.end - starts + 1
    row = torch.arange(len(runs), device=runs.device)
    rows, columns = row.repeat_interleave(runs), _count_up(runs)
    places = starts[rows] + columns
    heads = later[0].self_attn.num_heads
    exact = [_in_float(x) for x in (*later, tower.final_layer_norm)]
    projection = text_projection(model, component)

    def past(x: Tensor) -> Tensor:  # [c, L, d] -> [c, H, P, d / H]
        return _float(x[:, :prefix]).unflatten(2, (heads, -1)).transpose(1, 2).contiguous()

    return Suffix(
        key=_float(keys[0][row, starts]),
        value=_float(values[0][row, starts]),
        base=_float(streams[0][rows, places]),
        owner=torch.as_tensor(owner or [0] * len(runs), device=runs.device),
        first=runs.cumsum(0) - runs,
        last=runs.cumsum(0) - 1,
        slot=rows * int(runs.max()) + columns,
        sees=_sees(starts, prefix, int(runs.max())),
        plain=tuple(_float(x[0][rows, places]) for x in (queries, kept[0], kept[1])),
        past=tuple((past(k[0]), past(v[0])) for k, v in zip(kept[::2], kept[1::2], strict=True)),
        layers=tuple(exact[:-1]),
        norm=exact[-1],
        projection=None if projection is None else _in_float(projection),
    )


def _sees(starts: Tensor, prefix: int, columns: int) -> Tensor:
    """``[c, 1, S, P + S]`` bool: a context's own prefix, and of the suffix what came before."""
    before = torch.arange(prefix, device=starts.device) < starts[:, None]
    causal = torch.ones(columns, columns, dtype=torch.bool, device=starts.device).tril()
    parts = (
        before[:, None].expand(-1, columns, -1),
        causal.expand(len(starts), -1, -1),
    )
    return torch.cat(parts, dim=2)[:, None]


def _count_up(runs: Tensor) -> Tensor:
    """0, 1, ... of every run, one after another: ``[3, 2]`` gives ``[0, 1, 2, 0, 1]``."""
    total = torch.arange(int(runs.sum()), device=runs.device)
    return total - (runs.cumsum(0) - runs).repeat_interleave(runs)


def _float(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _in_float(module: nn.Module) -> nn.Module:
    """``module`` itself, or a copy in float32 when its weights are less precise."""
    dtype = next(module.parameters()).dtype
    return copy.deepcopy(module).float() if dtype.itemsize < 4 else module
