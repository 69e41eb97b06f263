"""Z-Image: Qwen3 read by one projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from overpaint.models.conditioning import Conditioning, padded
from overpaint.models.families.base import (
    Family,
    Segment,
    Template,
    TextLayer,
    TextPath,
    after,
    chat,
    joint_layers,
)
from overpaint.models.model import Model
from overpaint.models.sites import site_at
from overpaint.types import Sampling


class ZImage(Family):
    """Z-Image and Z-Image-Turbo.

    Qwen3 is given a chat in which the user says the prompt. What reads its rows, after a norm, is
    ``cap_embedder``. There is no padding: the number of rows is that of the tokens.

    The two have one layout, so their defaults are the pipeline's; Turbo wants 9 steps and
    guidance 0.
    """

    name = "Z-Image"
    pipelines = ("ZImagePipeline",)
    others = (
        "ZImageImg2ImgPipeline",
        "ZImageInpaintPipeline",
        "ZImageControlNetPipeline",
        "ZImageControlNetInpaintPipeline",
    )
    denoiser = "transformer"
    picture_tokens = "noise_refiner.0"
    joint_attention = True
    fixed_length = False
    reads_padding = False

    def template(self, model: Model, prompt: str, component: str) -> Template:
        """The tokenizer's chat template."""
        tokenizer = model.tokenizer(component)

        def say(text: str) -> str:
            said = [{"role": "user", "content": text}]
            return tokenizer.apply_chat_template(
                said, tokenize=False, add_generation_prompt=True, enable_thinking=True
            )

        return chat(say, prompt)

    def stacked(self, value: Any) -> Tensor:
        """A list of prompts as a tensor; they are encoded one by one."""
        return value if isinstance(value, Tensor) else torch.stack(list(value))

    def arguments(self, conditioning: Conditioning) -> dict[str, Any]:
        """The pipeline takes lists, without padding."""
        found: dict[str, Any] = {}
        for name in ("prompt_embeds", "negative_prompt_embeds"):
            if name in conditioning.tensors:
                rows, mask = conditioning[name], conditioning.tensors.get(f"{name}_mask")
                lengths = [rows.shape[1]] * len(rows) if mask is None else mask.sum(1).tolist()
                found[name] = [row[:length] for row, length in zip(rows, lengths, strict=True)]
        return found

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The normalised rows of Qwen3."""
        site = site_at(model, self.denoiser, "cap_embedder.1")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of every layer, which reads picture and text as one sequence."""
        return joint_layers(model, "layers", "attention", text="", text_first=False)

    def one_length(self, parts: Sequence[Conditioning]) -> list[Conditioning]:
        """Padding is cut off again before the pipeline is called."""
        return padded(parts, "prompt_embeds_mask")

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The normalised prompts; in a run, those of a batch are read as one long one."""
        states = self.encode(model, prompts)["prompt_embeds"]
        return (after(model, states, "cap_embedder.0"),)

    def guided(self, model: Model, sampling: Sampling) -> bool:  # noqa: ARG002
        """Scale 0 means no guidance here, and 1 what is 2 elsewhere."""
        return (sampling.guidance or 0.0) > 0
