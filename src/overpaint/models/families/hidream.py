"""HiDream-I1: Llama layer by layer, T5, and two CLIPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from overpaint.errors import ModelError
from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import Family, Segment, TextLayer, TextPath, joint_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at
from overpaint.types import Sampling


class HiDream(Family):
    """HiDream-I1 full, dev and fast.

    Each block of the transformer reads the rows of another layer of Llama, through a projection of
    its own (``caption_projection.0``, ``.1``, ...); T5's rows go through the last of these
    projections to all blocks. The pooled features of two CLIPs are read by ``p_embedder``. Padding
    is read.
    """

    name = "HiDream"
    pipelines = ("HiDreamImagePipeline",)
    denoiser = "transformer"
    joint_attention = True
    encoders = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
    towers = ("text_encoder", "text_encoder_2")
    reads: ClassVar[dict[str, str]] = {"text_encoder": "pooled", "text_encoder_2": "pooled"}
    encoded = (
        "prompt_embeds_t5",
        "negative_prompt_embeds_t5",
        "prompt_embeds_llama3",
        "negative_prompt_embeds_llama3",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    longest: ClassVar[int] = 128

    def max_length(self, model: Model, component: str) -> int:
        """128 tokens of each encoder, or fewer if its tokenizer says so; of CLIP always 128."""
        if component in self.towers:
            return self.longest
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
        """The prompts in all four encoders."""
        missing = [c for c in self.encoders if c not in model.text_encoders]
        if missing:
            raise ModelError(
                f"{model.name} comes without {', '.join(missing)}, and HiDream reads all four text "
                "encoders; load it with them (diffusers loads Llama, text_encoder_4, separately)."
            )
        return super().encode(model, prompts, negative=negative, guided=guided, clip_skip=clip_skip)

    def defaults(self, pipeline: Any) -> Sampling:
        """Distilled models have the scheduler of consistency models: 28 steps dev, 16 fast."""
        if type(pipeline.scheduler).__name__ != "FlowMatchLCMScheduler":
            return super().defaults(pipeline)
        steps = 28 if pipeline.scheduler.config.shift > 3 else 16
        return Sampling(steps=steps, guidance=0.0, batch_size=self.batch_size)

    def stacked(self, value: Any) -> Tensor:
        """Llama's layers ``[layers, n, L, d]`` with the prompts first."""
        return value.transpose(0, 1) if value.dim() == 4 else value

    def arguments(self, conditioning: Conditioning) -> dict[str, Any]:
        """Llama's layers come first."""
        tensors: Mapping[str, Tensor] = conditioning.tensors
        return {k: v.transpose(0, 1) if v.dim() == 4 else v for k, v in tensors.items()}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """Llama's rows, layer by layer; T5's; the pooled features."""
        denoiser: Any = model.denoiser
        count = len(denoiser.caption_projection)
        rows = [
            (site_at(model, self.denoiser, f"caption_projection.{number}.linear"),)
            for number in range(count)
        ]
        pooled = site_at(model, self.denoiser, "p_embedder.pooled_embedder.linear_1")
        llama = (Segment("text_encoder_4"),)
        return (
            TextPath("sequence", tuple(rows[:-1]), llama, shared=False),
            TextPath("t5", (rows[-1],), (Segment("text_encoder_3"),)),
            TextPath("pooled", ((pooled,),)),
        )

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of the blocks with two streams, then of those with one."""
        text, picture = "norm_encoder_hidden_states", "norm_hidden_states"
        double = joint_layers(
            model, "double_stream_blocks", "block.attn1", text=text, picture=picture
        )
        single = joint_layers(
            model, "single_stream_blocks", "block.attn1", text="", picture=picture, text_first=False
        )
        return double + single

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """The encoded prompts themselves; of Llama, the layers that the transformer takes."""
        found = self.encode(model, prompts)
        if path.name == "pooled":
            return (found["pooled_prompt_embeds"].unsqueeze(1),)
        if path.name == "t5":
            return (found["prompt_embeds_t5"],)
        config: Any = model.denoiser.config
        states = found["prompt_embeds_llama3"]
        return tuple(states[:, layer] for layer in config.llama_layers)

    def lora_key(self, component: str, name: str, form: str) -> str:
        """Loaders read LoRAs of the transformer alone."""
        return super().lora_key(component, name, form) if component == self.denoiser else ""
