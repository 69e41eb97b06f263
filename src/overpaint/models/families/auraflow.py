"""AuraFlow: Pile-T5 read by one projection."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import Family, Segment, TextLayer, TextPath, joint_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at


class AuraFlow(Family):
    """AuraFlow.

    The transformer's blocks read a text stream that depends on the picture; what reads the prompt
    itself is ``context_embedder``. Padding is zero there, so that there is nothing to edit in it.
    """

    name = "AuraFlow"
    pipelines = ("AuraFlowPipeline",)
    denoiser = "transformer"
    picture_tokens = "pos_embed"
    joint_attention = True
    encoded = (
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    )
    reads_padding = False

    def encode(
        self,
        model: Model,
        prompts: Sequence[str],
        *,
        negative: str | None = None,
        guided: bool = False,
        clip_skip: int | None = None,
    ) -> Conditioning:
        """The masks have one number for each of an embedding's; one for each token says it all."""
        found = super().encode(
            model, prompts, negative=negative, guided=guided, clip_skip=clip_skip
        )
        length = found["prompt_embeds"].shape[1]
        masks = {name: value for name, value in found.tensors.items() if name.endswith("mask")}
        short = {k: v.unflatten(1, (length, -1))[..., 0].clone() for k, v in masks.items()}
        return found.replace(**short)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The tokens of T5."""
        site = site_at(model, self.denoiser, "context_embedder")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of the blocks with two streams, then of those with one."""
        single = joint_layers(model, "single_transformer_blocks", text="")
        return joint_layers(model, "joint_transformer_blocks") + single

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The encoded prompts themselves."""
        return (self.encode(model, prompts)["prompt_embeds"],)
