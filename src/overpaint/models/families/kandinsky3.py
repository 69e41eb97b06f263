"""Kandinsky 3: T5 read by the cross-attention of a UNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from overpaint.models.families.base import Family, Segment, TextPath, after
from overpaint.models.families.unets import key_value_layers
from overpaint.models.model import Model


class Kandinsky3(Family):
    """Kandinsky 3 and 3.1.

    ``encoder_hid_proj`` projects the tokens of T5 once for all layers. The first that reads them is
    ``add_time_condition``, which pools them into the time embedding; the others are the
    cross-attention layers. Their number changes with the prompt: the padding is cut off.
    """

    name = "Kandinsky3"
    pipelines = ("Kandinsky3Pipeline",)
    others = ("Kandinsky3Img2ImgPipeline",)
    encoded = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "attention_mask",
        "negative_attention_mask",
    )
    # The negative prompt is cut to the length of the prompt beside it.
    shared_negative = False
    fixed_length = False
    reads_padding = False
    output_type = "np"  # "pt" is not in [0, 1]
    lora_forms = ()  # its UNet takes no adapters

    def max_length(self, model: Model, component: str) -> int:  # noqa: ARG002
        """128 tokens of T5."""
        return 128

    def encode_options(self, model: Model) -> dict[str, Any]:  # noqa: ARG002
        """The pipeline's own call cuts the padding off."""
        return {"_cut_context": True}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The projected tokens of T5, read by every layer."""
        pooling = key_value_layers(model, r"^add_time_condition\.attention$")
        # In every block, attention 0 is self-attention.
        cross = key_value_layers(model, r"^(down|up)_blocks\.\d+\.attentions\.[1-9]\d*\.attention$")
        return (TextPath("sequence", pooling + cross, (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The projected prompts."""
        states = self.encode(model, prompts)["prompt_embeds"]
        return (after(model, states, "encoder_hid_proj"),)
