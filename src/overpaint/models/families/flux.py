"""FLUX.1: T5 tokens and CLIP's pooled feature, read by two projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from overpaint.errors import ModelError
from overpaint.models.conditioning import NEGATIVE, Conditioning
from overpaint.models.families.base import Family, Segment, TextLayer, TextPath, joint_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at
from overpaint.types import Sampling


class Flux(Family):
    """FLUX.1 dev and schnell.

    The transformer's blocks read a text stream that depends on the picture; what reads the prompt
    itself are ``context_embedder`` (a row for each T5 token) and the first layer of
    ``time_text_embed.text_embedder`` (CLIP's pooled feature).
    """

    name = "FLUX"
    pipelines = ("FluxPipeline",)
    others = (
        "FluxImg2ImgPipeline",
        "FluxInpaintPipeline",
        "FluxFillPipeline",
        "FluxControlPipeline",
        "FluxControlNetPipeline",
        "FluxKontextPipeline",
    )
    denoiser = "transformer"
    joint_attention = True
    encoders = ("text_encoder", "text_encoder_2")
    towers = ("text_encoder",)
    reads: ClassVar[dict[str, str]] = {"text_encoder": "pooled"}
    clip = "openai/clip-vit-large-patch14"
    encoded = ("prompt_embeds", "pooled_prompt_embeds", "")
    separate_negative = True
    longest = 512
    lora_forms = ("peft", "kohya")
    lora_base = "flux1"
    kohya_components: ClassVar[dict[str, str]] = {
        "text_encoder": "lora_te1_text_model",
        "transformer": "lora_unet",
    }
    kohya_modules: ClassVar[dict[str, str]] = {
        "context_embedder": "txt_in",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    }

    def max_length(self, model: Model, component: str) -> int:
        """77 tokens of CLIP, up to 512 of T5."""
        if component == "text_encoder":
            return super().max_length(model, component)
        return min(self.longest, int(model.tokenizer(component).model_max_length))

    def encode(
        self,
        model: Model,
        prompts: Sequence[str],
        *,
        negative: str | None = None,
        guided: bool = False,
        clip_skip: int | None = None,
    ) -> Conditioning:
        """Without T5, which diffusers advises to leave out to save memory, CLIP's part alone."""
        if len(model.text_encoders) == 2:
            return super().encode(
                model, prompts, negative=negative, guided=guided, clip_skip=clip_skip
            )
        if model.text_encoders != ("text_encoder",):
            raise ModelError(f"{model.name} comes without CLIP; load it with its text_encoder.")
        read, device = model.pipeline._get_clip_prompt_embeds, model.execution_device
        found = {"pooled_prompt_embeds": read(list(prompts), device=device)}
        if guided:
            other = read([negative or ""] * len(prompts), device=device)
            found[NEGATIVE + "pooled_prompt_embeds"] = other
        return Conditioning(found)

    def encode_options(self, model: Model) -> dict[str, Any]:
        """As many tokens of T5 as the pipeline's own call reads."""
        return {"max_sequence_length": self.max_length(model, "text_encoder_2")}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """T5's tokens, where T5 is there, and CLIP's pooled feature."""
        sequence = site_at(model, self.denoiser, "context_embedder")
        pooled = site_at(model, self.denoiser, "time_text_embed.text_embedder.linear_1")
        by_encoder = {
            "text_encoder_2": TextPath("sequence", ((sequence,),), (Segment("text_encoder_2"),)),
            "text_encoder": TextPath("pooled", ((pooled,),)),
        }
        return tuple(by_encoder[c] for c in by_encoder if c in model.text_encoders)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """The encoded prompts themselves."""
        found = self.encode(model, prompts)
        if path.name == "pooled":
            return (found["pooled_prompt_embeds"].unsqueeze(1),)
        return (found["prompt_embeds"],)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of the blocks with two streams, then of those with one."""
        single = joint_layers(model, "single_transformer_blocks", text="")
        return joint_layers(model, "transformer_blocks") + single

    def distilled(self, pipeline: Any) -> bool:
        """Whether guidance is an input of the transformer, as in dev."""
        return bool(getattr(pipeline.transformer.config, "guidance_embeds", False))

    def defaults(self, pipeline: Any) -> Sampling:
        """dev: the pipeline's own. schnell: 4 steps without guidance."""
        if self.distilled(pipeline):
            return super().defaults(pipeline)
        return Sampling(steps=4, guidance=0.0, batch_size=self.batch_size)

    def guided(self, model: Model, sampling: Sampling) -> bool:
        """Classifier-free guidance is on only with a negative prompt, as in the pipeline's call."""
        scale = sampling.true_cfg if self.distilled(model.pipeline) else sampling.guidance
        return sampling.negative_prompt is not None and (scale or 0.0) > 1

    def guidance(self, model: Model, sampling: Sampling) -> dict[str, Any]:
        """dev takes two scales: the distilled one and that of classifier-free guidance."""
        if self.distilled(model.pipeline):
            return {"guidance_scale": sampling.guidance, "true_cfg_scale": sampling.true_cfg}
        return {"true_cfg_scale": sampling.guidance}

    def check_generates(self, model: Model) -> None:
        """Pictures need both text encoders."""
        super().check_generates(model)
        if len(model.text_encoders) < 2:
            raise ModelError(
                f"{model.name} comes without its T5, so it can be edited but not generate; load "
                "it with text_encoder_2."
            )

    def kohya_module(self, component: str, name: str) -> str:
        """The original code's names of the two projections; CLIP's layers keep theirs."""
        return self.kohya_modules.get(name, "") if component == self.denoiser else name
