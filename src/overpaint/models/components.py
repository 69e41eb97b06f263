"""The parts of the denoiser and of a text encoder that causal tracing restores one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from overpaint.errors import ModelError
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer

_PART = re.compile(
    r"^(?P<block>(?:down|up)_blocks\.\d+|mid_block)\."
    r"(?:resnets\.(?P<resnet>\d+)"
    r"|attentions\.(?P<attention>\d+)\.transformer_blocks\.(?P<inner>\d+)\.(?P<leaf>attn1|attn2|ff))$"
)
_LEAVES = {"attn1": "self-attention", "attn2": "cross-attention", "ff": "feed-forward"}
_BLOCKS = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}

UNET_KINDS = ("ResNet", "self-attention", "cross-attention", "feed-forward")
TEXT_KINDS = ("self-attention", "MLP")


@dataclass(frozen=True, eq=False)
class Component:
    """One part of a network whose output can be put in the place of another run's.

    ``kind``    one of ``UNET_KINDS`` or ``TEXT_KINDS``.
    ``place``   where it stands: ``"down 0.1"`` (block 0, second unit) or the layer's number; parts
        of one unit share their place.
    ``module``  the module whose output it is.
    """

    kind: str
    place: str
    module: nn.Module


def unet_components(model: Model) -> tuple[Component, ...]:
    """ResNets, self-attentions, cross-attentions and feed-forwards, down to mid to up.

    ModelError when the denoiser is no UNet of transformer blocks.
    """
    found: list[tuple[tuple[int, ...], Component]] = []
    for name, module in model.denoiser.named_modules():
        match = _PART.match(name)
        if not match:
            continue
        block, _, number = match["block"].partition(".")
        unit, inner = match["resnet"] or match["attention"], match["inner"] or "0"
        kind = _LEAVES[match["leaf"]] if match["leaf"] else "ResNet"
        where = f"{block.split('_')[0]} {number}.{unit}" if number else f"mid {unit}"
        place = where + (f"/{inner}" if inner != "0" else "")
        # Within a unit the ResNet comes first, in the middle block too.
        key = (_BLOCKS[block], int(number or 0), int(unit), int(inner), UNET_KINDS.index(kind))
        found.append((key, Component(kind, place, module)))
    if not any(c.kind == "cross-attention" for _, c in found):
        title = type(model.denoiser).__name__
        raise ModelError(f"Expected a UNet with transformer blocks to trace, got {title}.")
    return tuple(c for _, c in sorted(found, key=lambda pair: pair[0]))


def text_components(model: Model, component: str = "text_encoder") -> tuple[Component, ...]:
    """Self-attention and MLP of every layer of a CLIP text encoder, in forward order."""
    tower: Any = text_transformer(model.component(component))
    return tuple(
        Component(kind, str(number), module)
        for number, layer in enumerate(tower.encoder.layers)
        for kind, module in zip(TEXT_KINDS, (layer.self_attn, layer.mlp), strict=True)
    )


def token_embedding(model: Model, component: str = "text_encoder") -> nn.Module:
    """The table that turns a CLIP text encoder's tokens into vectors."""
    tower: Any = text_transformer(model.component(component))
    return tower.embeddings.token_embedding
