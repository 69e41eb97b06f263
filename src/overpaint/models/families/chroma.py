"""Chroma: FLUX.1 without CLIP, with negative prompts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from overpaint.models.families.base import Family, Segment, TextLayer, TextPath, joint_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at


class Chroma(Family):
    """Chroma.

    ``context_embedder`` reads the tokens of T5. Attention masks the padding except for its first
    token.
    """

    name = "Chroma"
    pipelines = ("ChromaPipeline",)
    others = ("ChromaImg2ImgPipeline", "ChromaInpaintPipeline")
    denoiser = "transformer"
    joint_attention = True
    encoded = (
        "prompt_embeds",
        "",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "",
        "negative_prompt_attention_mask",
    )
    reads_padding = False

    def read_length(self, model: Model, component: str, count: int) -> int:
        """One row of padding is read."""
        return min(count + 1, self.max_length(model, component))

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The tokens of T5."""
        site = site_at(model, self.denoiser, "context_embedder")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of the blocks with two streams, then of those with one."""
        single = joint_layers(model, "single_transformer_blocks", text="")
        return joint_layers(model, "transformer_blocks") + single

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The encoded prompts themselves."""
        return (self.encode(model, prompts)["prompt_embeds"],)
