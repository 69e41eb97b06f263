"""Qwen-Image: Qwen2.5-VL read by one projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from overpaint.models.conditioning import NEGATIVE, Conditioning, padded
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
from overpaint.types import Sampling


class QwenImage(Family):
    """Qwen-Image.

    Qwen is given a chat in which the user says the prompt; the rows of what comes before it are
    dropped. What reads the others, after a norm, is ``txt_in``. There is no padding: the number of
    rows is that of the tokens.

    Guidance is classifier-free, and as in the pipeline's own call there is none without a negative
    prompt; " " is usual. Models whose guidance is distilled take both scales.
    """

    name = "Qwen-Image"
    pipelines = ("QwenImagePipeline",)
    others = (
        "QwenImageImg2ImgPipeline",
        "QwenImageInpaintPipeline",
        "QwenImageControlNetPipeline",
        "QwenImageControlNetInpaintPipeline",
    )
    denoiser = "transformer"
    joint_attention = True
    encoded = ("prompt_embeds", "prompt_embeds_mask")
    separate_negative = True
    guidance_argument = "true_cfg_scale"
    fixed_length = False
    reads_padding = False

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """The pipeline's chat."""
        before, after = model.pipeline.prompt_template_encode.split("{}")
        return Template(before, prompt, after)

    def dropped(self, model: Model, component: str) -> int:  # noqa: ARG002
        """What comes before the prompt."""
        return int(model.pipeline.prompt_template_encode_start_idx)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The normalised rows of Qwen."""
        site = site_at(model, self.denoiser, "txt_in")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The normalised prompts."""
        states = self.encode(model, prompts)["prompt_embeds"]
        return (after(model, states, "txt_norm"),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of every block."""
        return joint_layers(model, "transformer_blocks")

    def one_length(self, parts: Sequence[Conditioning]) -> list[Conditioning]:
        """Padding is masked."""
        return padded(parts, "prompt_embeds_mask")

    def guided(self, model: Model, sampling: Sampling) -> bool:
        """Only with a negative prompt, as in the pipeline's own call."""
        return sampling.negative_prompt is not None and self._scale(model, sampling) > 1

    def guidance(self, model: Model, sampling: Sampling) -> dict[str, Any]:
        """Distilled guidance has an argument of its own; without a negative prompt, scale 1."""
        scale = self._scale(model, sampling) if self.guided(model, sampling) else 1.0
        if not self.distilled(model):
            return {"true_cfg_scale": scale}
        return {"true_cfg_scale": scale, "guidance_scale": sampling.guidance}

    def distilled(self, model: Model) -> bool:
        """Whether guidance is an input of the transformer."""
        return bool(getattr(model.denoiser.config, "guidance_embeds", False))

    def _scale(self, model: Model, sampling: Sampling) -> float:
        """Scale of classifier-free guidance."""
        if self.distilled(model) or sampling.true_cfg is not None:
            return sampling.true_cfg or 0.0
        return sampling.guidance or 0.0

    def arguments(self, conditioning: Conditioning) -> dict[str, Any]:
        """``encode_prompt`` leaves out masks without padding, and the call warns about that."""
        given = dict(conditioning.tensors)
        for sign in ("", NEGATIVE):
            states = given.get(f"{sign}prompt_embeds")
            if states is not None:
                mask = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
                given.setdefault(f"{sign}prompt_embeds_mask", mask)
        return given
