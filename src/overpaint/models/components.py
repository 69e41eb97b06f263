"""The parts of a denoiser and of a text encoder that causal tracing restores one at a time.

Parts are found by the names that diffusers and transformers give them; which attention reads the
text, the family says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from overpaint.errors import ModelError
from overpaint.models.families import TextLayer
from overpaint.models.model import Model

UNET_KINDS = ("ResNet", "self-attention", "cross-attention", "feed-forward")
KINDS = (
    *UNET_KINDS[:3],
    "joint attention",
    "joint attention, text",
    "feed-forward",
    "feed-forward, text",
)
"""Kinds of parts of a denoiser, in the order in which a layer has them."""

TEXT_KINDS = ("self-attention", "MLP")

_PLACES = (
    # ResNets, attention and feed-forward of a UNet
    re.compile(
        r"(?P<block>down_blocks|mid_block|up_blocks)(?:\.(?P<number>\d+))?\."
        r"(?:resnets(?:_in|(?P<after>_out))?|attentions)\.(?P<unit>\d+)"
        r"(?:\.transformer_blocks\.(?P<inner>\d+))?(?:\.(?P<leaf>\w+))?"
    ),
    # blocks of a transformer
    re.compile(r"(?P<block>\w+)\.(?P<unit>\d+)\.(?:block\.)?(?P<leaf>\w+)"),
)
_FEED_FORWARD = {"ff": 0, "feed_forward": 0, "img_mlp": 0, "act_mlp": 0, "ff_i": 0}
_FEED_FORWARD |= {"ff_context": 1, "txt_mlp": 1, "ff_t": 1}  # the text's
_SELF_ATTENTION = ("attn", "attn1", "attn2", "attention")
_BLOCKS = ("down_blocks", "mid_block", "up_blocks")
_UNNAMED = ("transformer_blocks", "blocks", "layers")

_TEXT_PARTS = (
    # CLIP and language models; T5; BERT
    re.compile(r"(?:^|\.)layers\.(?P<layer>\d+)\.(?P<part>self_attn|mlp)$"),
    re.compile(
        r"(?:^|\.)block\.(?P<layer>\d+)\.layer\.\d+\.(?P<part>SelfAttention|DenseReluDense)$"
    ),
    re.compile(r"^encoder\.layer\.(?P<layer>\d+)\.(?P<part>attention\.output|output)\.dense$"),
)
_ATTENTION = ("self_attn", "SelfAttention", "attention.output")


@dataclass(frozen=True, eq=False)
class Component:
    """One part of a network whose output can be put in the place of another run's.

    Attributes:
        kind: One of ``KINDS`` or ``TEXT_KINDS``.
        place: Where it stands: ``"down 0.1"`` (block 0, second unit) in a UNet, ``"3"`` or
            ``"single 3"`` in a transformer; parts of one unit share their place.
        module: The module whose output it is.
        output: Which of the module's outputs, where it has several.
    """

    kind: str
    place: str
    module: nn.Module
    output: int = 0


def denoiser_components(model: Model) -> tuple[Component, ...]:
    """ResNets, attention and feed-forward of the denoiser, in the order of the forward pass.

    In joint attention and beside it, parts of the picture's stream and of the text's are apart
    where they have weights of their own.

    Raises:
        ModelError: If the denoiser has no layers that are known to read text.
    """
    readers = {layer.name: layer for layer in model.family.text_layers(model)}
    found: list[tuple[tuple[int, ...], Component]] = []
    for name, module in model.denoiser.named_modules():
        plain = name.replace("_orig_mod.", "")
        match = next((m for pattern in _PLACES if (m := pattern.fullmatch(plain))), None)
        if not match:
            continue
        parts = match.groupdict()
        leaf, reader = parts["leaf"] or "", readers.get(plain)
        for kind, output in _kinds(plain, leaf, module, reader):
            numbers = (int(parts.get(n) or 0) for n in ("number", "unit", "inner"))
            block = parts["block"]
            first = _BLOCKS.index(block) if block in _BLOCKS else 0
            # Within a unit the ResNet comes first, in the middle block too.
            after = bool(parts.get("after"))
            key = (first, *numbers, after, KINDS.index(kind)) if block in _BLOCKS else ()
            found.append((key, Component(kind, _place(parts), module, output)))
    return tuple(part for _, part in sorted(found, key=lambda pair: pair[0]))


def _kinds(
    name: str, leaf: str, module: nn.Module, reader: TextLayer | None
) -> Iterator[tuple[str, int]]:
    """Kinds of a module's outputs, with the number of each output."""
    if reader is not None and reader.projections:
        yield "cross-attention", 0
    elif reader is not None:
        yield "joint attention", 0
        if reader.text and not getattr(module, "context_pre_only", False):
            yield "joint attention, text", 1
    elif leaf in _FEED_FORWARD:
        yield ("feed-forward", "feed-forward, text")[_FEED_FORWARD[leaf]], 0
    elif leaf in _SELF_ATTENTION:
        yield "self-attention", 0
    elif not leaf and "resnets" in name:
        yield "ResNet", 0


def _place(parts: dict[str, str | None]) -> str:
    block, unit, number, inner = (parts.get(n) for n in ("block", "unit", "number", "inner"))
    if block in _BLOCKS:
        where = f"{block.split('_')[0]} {number}.{unit}" if number else f"mid {unit}"
        where += " after" if parts.get("after") else ""
        return where + (f"/{inner}" if inner and inner != "0" else "")
    return unit or "" if block in _UNNAMED else f"{(block or '').split('_')[0]} {unit}"


def text_components(model: Model, component: str = "text_encoder") -> tuple[Component, ...]:
    """Self-attention and MLP of every layer of a text encoder, in forward order.

    Raises:
        ModelError: If the text encoder is of a kind that is not known.
    """
    found = []
    for name, module in model.component(component).named_modules():
        match = next((m for pattern in _TEXT_PARTS if (m := pattern.search(name))), None)
        if match and "vis" not in name:  # language models may see, too
            kind = TEXT_KINDS[match["part"] not in _ATTENTION]
            found.append(Component(kind, match["layer"], module))
    if not found:
        title = type(model.component(component)).__name__
        raise ModelError(
            f"The layers of {component}, a {title}, are not known, so it cannot be traced; trace "
            "the denoiser, or another text encoder."
        )
    return tuple(sorted(found, key=lambda c: (int(c.place), TEXT_KINDS.index(c.kind))))


def is_causal(model: Model, component: str = "text_encoder") -> bool:
    """Whether tokens of a text encoder see only those before them, as in CLIP, not as in T5."""
    names = (name for name, _ in model.component(component).named_modules())
    return any(_TEXT_PARTS[0].search(name) for name in names)


def token_embedding(model: Model, component: str = "text_encoder") -> nn.Module:
    """The table that turns a text encoder's tokens into vectors."""
    encoder = model.component(component)
    inner = getattr(getattr(encoder, "encoder", None), "embed_tokens", None)
    return inner or encoder.get_input_embeddings()  # type: ignore[operator]
