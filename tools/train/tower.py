"""A forward pass of CLIP's text tower with the disturbances that make it recall late.

Trained the plain way on so small a world, a twelve-layer tower does everything in its first two
layers: the end token copies the words there, and no later layer ever looks at the subject again.
Real CLIP towers recall late, at the last subject token, and that is what ReFACT edits. Three
disturbances during training bring the same about:

- stochastic depth: attention and MLP branches are dropped, so no single layer may be trusted;
- end-token shuffling: after a random layer k most end tokens are swapped for those of other
  captions, so what was read before k is lost and must be read again;
- the funnel: in half of the captions nothing behind a subject may look at it, except that the end
  token sees the subject's last token, so that this token must hold all that the words together say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Disturbance:
    """How strongly a training pass is disturbed; all zero is the plain forward pass."""

    drop_attention: float = 0.3
    drop_mlp: float = 0.1
    shuffle: float = 0.75
    funnel: float = 0.5
    mlp_share: float = 0.35  # wanted ratio of an MLP's output to the residual at a subject's end


def keep(hidden: torch.Tensor, drop: float) -> torch.Tensor | float:
    """Stochastic depth: per caption 0, or 1 / (1 - drop), so that the mean stays 1."""
    if not drop:
        return 1.0
    alive = torch.rand(hidden.shape[0], 1, 1, device=hidden.device) >= drop
    return alive.float() / (1 - drop)


def visibility(
    end: torch.Tensor, subject: torch.Tensor, last: torch.Tensor, funnel: float
) -> torch.Tensor:
    """Which position may look at which, ``[b, 1, L, L]`` bool: causal, minus the funnel's ban.

    ``end [b]``; ``subject [b, L]`` numbers the subject of each token (0 for none); ``last [b, L]``
    marks the last token of each subject.
    """
    batch, length = subject.shape
    device = subject.device
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    chosen = torch.rand(batch, device=device) < funnel
    stranger = (subject[:, None, :] > 0) & (subject[:, :, None] != subject[:, None, :])
    is_end = torch.arange(length, device=device) == end[:, None]
    allowed = is_end[:, :, None] & last[:, None, :]
    ban = stranger & ~allowed & chosen[:, None, None]
    return (causal & ~ban)[:, None]


def attend(layer: Any, hidden: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The self-attention branch of one layer, ``[b, L, d]``."""
    attention = layer.self_attn
    batch, length, width = hidden.shape
    heads = attention.num_heads
    q, k, v = (
        proj(hidden).view(batch, length, heads, width // heads).transpose(1, 2)
        for proj in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    return attention.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))


def disturbed_forward(
    tower: Any,
    ids: torch.Tensor,
    end: torch.Tensor,
    subject: torch.Tensor,
    last: torch.Tensor,
    disturbance: Disturbance,
) -> tuple[torch.Tensor, torch.Tensor]:
    """End-token feature ``[b, d]`` after the final norm, and how far MLPs miss their share.

    The layer after which end tokens are shuffled is drawn from all but the last.
    """
    rows = torch.arange(len(ids), device=ids.device)
    seen = visibility(end, subject, last, disturbance.funnel)
    hidden = tower.embeddings(input_ids=ids)
    layers = tower.encoder.layers
    cut = int(torch.randint(0, len(layers) - 1, ()))
    shortfall = hidden.new_zeros(())
    for number, layer in enumerate(layers):
        branch = attend(layer, layer.layer_norm1(hidden), seen)
        hidden = hidden + branch * keep(hidden, disturbance.drop_attention)
        branch = layer.mlp(layer.layer_norm2(hidden))
        ratio = branch[last].norm(dim=-1) / hidden[last].detach().norm(dim=-1)
        shortfall = shortfall + (disturbance.mlp_share - ratio).clamp(min=0).square().mean()
        hidden = hidden + branch * keep(hidden, disturbance.drop_mlp)
        if number == cut and disturbance.shuffle:
            hit = torch.rand(len(ids), device=ids.device) < disturbance.shuffle
            other = hidden[rows, end][torch.randperm(len(ids), device=ids.device)]
            hidden = hidden.index_put((rows[hit], end[hit]), other[hit])
    return tower.final_layer_norm(hidden[rows, end]), shortfall / len(layers)
