"""Lumina Image 2: Gemma read by one projection."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from torch import Tensor

from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import (
    Family,
    Segment,
    Template,
    TextLayer,
    TextPath,
    after,
    joint_layers,
)
from overpaint.models.model import Model
from overpaint.models.sites import site_at


class Lumina2(Family):
    """Lumina Image 2.

    Gemma is given a system prompt, a mark, and the prompt, 256 tokens in all. What reads its rows,
    after a norm, is ``time_caption_embed.caption_embedder``. Padding is masked. The negative prompt
    stands alone.
    """

    name = "Lumina2"
    pipelines = ("Lumina2Pipeline",)
    denoiser = "transformer"
    joint_attention = True
    encoded = (
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    )
    reads_padding = False

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """The system prompt of the pipeline, the mark, and the prompt."""
        return Template(f"{model.pipeline.system_prompt} <Prompt Start> ", prompt)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The normalised rows of Gemma."""
        site = site_at(model, self.denoiser, "time_caption_embed.caption_embedder.1")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The normalised prompts."""
        states = self.encode(model, prompts)["prompt_embeds"]
        return (after(model, states, "time_caption_embed.caption_embedder.0"),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of every layer, which reads text and picture as one sequence."""
        return joint_layers(model, "layers", text="")

    def layout(self, conditioning: Conditioning) -> Hashable:
        """Prompts of one length: the transformer pads a batch to its longest prompt."""
        masks = [v for k, v in sorted(conditioning.tensors.items()) if k.endswith("mask")]
        return conditioning.layout, tuple(int(mask.sum(-1).max()) for mask in masks)
