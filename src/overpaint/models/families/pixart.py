"""PixArt-alpha and PixArt-Sigma: T5 read by the cross-attention of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from torch import Tensor

from overpaint.models.families.base import Family, Segment, Template, TextPath
from overpaint.models.families.unets import key_value_layers
from overpaint.models.model import Model
from overpaint.types import Sampling


class PixArt(Family):
    """PixArt-alpha and PixArt-Sigma.

    Every ``attn2`` reads T5's tokens after ``caption_projection``, which all of them share.
    Attention masks the padding.
    """

    name = "PixArt"
    pipelines = ("PixArtAlphaPipeline", "PixArtSigmaPipeline")
    others = ("PixArtSigmaPAGPipeline",)
    denoiser = "transformer"
    encoded = (
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    )
    reads_padding = False
    lora_base = "pixart"
    bins: ClassVar[tuple[int, ...]] = (32, 64, 128, 256)
    """Latent sizes for which the pipeline knows resolution bins."""

    def max_length(self, model: Model, component: str) -> int:
        """120 tokens for alpha, 300 for Sigma."""
        longest = 300 if "Sigma" in type(model.pipeline).__name__ else 120
        return min(longest, int(model.tokenizer(component).model_max_length))

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """Prompts are read in lower case."""
        return Template("", prompt.strip().lower())

    def encode_options(self, model: Model) -> dict[str, Any]:
        """Captions are cleaned, as in the pipeline's own call, where its packages are there."""
        clean = find_spec("bs4") is not None and find_spec("ftfy") is not None
        length = self.max_length(model, "text_encoder")
        return {"clean_caption": clean, "max_sequence_length": length}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """T5's tokens as projected, read by every cross-attention layer."""
        layers = key_value_layers(model, r"^transformer_blocks\.\d+\.attn2$")
        return (TextPath("sequence", layers, (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The projected prompts."""
        denoiser: Any = model.denoiser
        states = self.encode(model, prompts)["prompt_embeds"].to(model.dtype)
        return (denoiser.caption_projection(states),)

    def fewest_steps(self, pipeline: Any) -> int:
        """PixArt-alpha takes a single step to mean that the model is distilled (PixArt-DMD)."""
        alpha = "Sigma" not in type(pipeline).__name__
        return 2 if alpha and not type(pipeline.scheduler).__name__.startswith("LCM") else 1

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """Sizes are rounded to the bins the model was trained at, where there are some."""
        known = getattr(model.denoiser.config, "sample_size", None) in self.bins
        return {} if known else {"use_resolution_binning": False}
