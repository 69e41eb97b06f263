"""HunyuanDiT: BERT and mT5 read by the cross-attention of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from overpaint.errors import ModelError
from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import Family, Segment, TextPath, after
from overpaint.models.families.unets import key_value_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at
from overpaint.types import Sampling


class HunyuanDiT(Family):
    """HunyuanDiT 1.0 to 1.2.

    Every ``attn2`` reads the tokens of BERT, and after them those of mT5, which ``text_embedder``
    projects for all of them; rows of padding are replaced by learned ones. Beside that, attention
    pooling makes one feature of mT5's tokens, which is added to the time embedding.
    """

    name = "HunyuanDiT"
    pipelines = ("HunyuanDiTPipeline", "HunyuanDiTPAGPipeline")
    others = ("HunyuanDiTControlNetPipeline",)
    denoiser = "transformer"
    encoders = ("text_encoder", "text_encoder_2")
    encoded = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_attention_mask",
    )
    lengths: ClassVar[tuple[int, int]] = (77, 256)
    lora_forms = ()

    def max_length(self, model: Model, component: str) -> int:  # noqa: ARG002
        """77 tokens of BERT, 256 of mT5."""
        return self.lengths[self.encoders.index(component)]

    def encode(
        self,
        model: Model,
        prompts: Sequence[str],
        *,
        negative: str | None = None,
        guided: bool = False,
        clip_skip: int | None = None,  # noqa: ARG002
    ) -> Conditioning:
        """Both encoders, one after the other: mT5's tensors have names that end in ``_2``."""
        found: dict[str, Tensor] = {}
        for number, component in enumerate(self.encoders):
            if component not in model.text_encoders:
                raise ModelError(
                    f"{model.name} comes without its {component}, and HunyuanDiT reads both "
                    "encoders; load it with text_encoder and text_encoder_2."
                )
            asked = {
                "device": model.execution_device,
                "dtype": model.dtype,
                "do_classifier_free_guidance": guided,
                "max_sequence_length": self.lengths[number],
                "text_encoder_index": number,
            }
            if guided and negative is not None:
                asked["negative_prompt"] = [negative] * len(prompts)
            part = self._encoded(model, prompts, asked)
            found |= {name + ("_2" if number else ""): value for name, value in part.items()}
        return Conditioning(found)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The tokens of both encoders, and those of mT5 on their way to the pooled feature."""
        layers = key_value_layers(model, r"^blocks\.\d+\.attn2$")
        segments = (Segment("text_encoder"), Segment("text_encoder_2", self.lengths[0]))
        pool = tuple(
            site_at(model, self.denoiser, f"time_extra_emb.pooler.{name}")
            for name in ("k_proj", "v_proj")
        )
        return (
            TextPath("sequence", layers, segments),
            # Before the tokens it reads their mean.
            TextPath("pooling", (pool,), (Segment("text_encoder_2", 1),)),
        )

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """The encoded prompts as the transformer prepares them.

        The pooling reads the weights of its projections without calling them, so that they cannot
        be watched in a run.
        """
        denoiser: Any = model.denoiser
        found = self.encode(model, prompts)
        bert, t5 = found["prompt_embeds"], found["prompt_embeds_2"]
        if path.name == "pooling":
            places = denoiser.time_extra_emb.pooler.positional_embedding
            t5 = t5.to(places.device)
            return (torch.cat([t5.mean(1, keepdim=True), t5], 1) + places.to(t5.dtype),)
        projected = after(model, t5, "text_embedder")
        rows = torch.cat([bert.to(projected.device), projected], 1)
        masks = [found["prompt_attention_mask"], found["prompt_attention_mask_2"]]
        real = torch.cat(masks, 1).bool().unsqueeze(2).to(rows.device)
        return (torch.where(real, rows, denoiser.text_embedding_padding),)

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """Sizes are rounded to those the model was trained at, unless its own is smaller."""
        small = int(getattr(model.denoiser.config, "sample_size", 128)) < 64
        return {"use_resolution_binning": False} if small else {}
