"""Stable Diffusion 3 and 3.5: two CLIPs and T5, read by two projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from overpaint.models.families.base import Family, Segment, TextLayer, TextPath, joint_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at


class StableDiffusion3(Family):
    """Stable Diffusion 3 and 3.5, with T5 or without.

    ``context_embedder`` reads the tokens of both CLIPs side by side, and after them those of T5;
    ``time_text_embed.text_embedder`` reads the two CLIPs' pooled features. What the blocks read
    depends on the picture.
    """

    name = "SD3"
    pipelines = ("StableDiffusion3Pipeline",)
    others = (
        "StableDiffusion3Img2ImgPipeline",
        "StableDiffusion3InpaintPipeline",
        "StableDiffusion3ControlNetPipeline",
    )
    denoiser = "transformer"
    joint_attention = True
    encoders = ("text_encoder", "text_encoder_2", "text_encoder_3")
    towers = ("text_encoder", "text_encoder_2")
    reads: ClassVar[dict[str, str]] = {
        "text_encoder": "tokens and pooled",
        "text_encoder_2": "tokens and pooled",
    }
    clip = "openai/clip-vit-large-patch14"
    encoded = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    longest = 256
    lora_forms = ("peft", "kohya")
    lora_base = "sd3"
    kohya_components: ClassVar[dict[str, str]] = {
        "text_encoder": "lora_te1_text_model",
        "text_encoder_2": "lora_te2_text_model",
        "transformer": "lora_unet",
    }
    kohya_modules: ClassVar[dict[str, str]] = {
        "context_embedder": "context_embedder",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    }

    def max_length(self, model: Model, component: str) -> int:
        """77 tokens of CLIP, up to 256 of T5."""
        if component == "text_encoder_3":
            return min(self.longest, int(model.tokenizer(component).model_max_length))
        return int(model.pipeline.tokenizer_max_length)

    def encode_options(self, model: Model) -> dict[str, Any]:
        """As many tokens of T5 as the pipeline's own call reads."""
        if "text_encoder_3" not in model.text_encoders:
            return {}
        return {"max_sequence_length": self.max_length(model, "text_encoder_3")}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The tokens of CLIP and T5, and the pooled features."""
        sequence = site_at(model, self.denoiser, "context_embedder")
        pooled = site_at(model, self.denoiser, "time_text_embed.text_embedder.linear_1")
        segments = [Segment("text_encoder")]
        if "text_encoder_3" in model.text_encoders:
            segments.append(Segment("text_encoder_3", self.max_length(model, "text_encoder")))
        return (
            TextPath("sequence", ((sequence,),), tuple(segments)),
            TextPath("pooled", ((pooled,),)),
        )

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """The encoded prompts themselves."""
        found = self.encode(model, prompts)
        if path.name == "pooled":
            return (found["pooled_prompt_embeds"].unsqueeze(1),)
        return (found["prompt_embeds"],)

    def kohya_module(self, component: str, name: str) -> str:
        """The original code's names of the two projections; CLIP's layers keep theirs."""
        return self.kohya_modules.get(name, "") if component == self.denoiser else name

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of every block."""
        return joint_layers(model, "transformer_blocks")
