"""SANA: Gemma read by the cross-attention of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from overpaint.models.families.base import (
    Family,
    Segment,
    Template,
    TextPath,
    after,
    call_defaults,
    can_clean,
    cleaned,
)
from overpaint.models.families.unets import key_value_layers
from overpaint.models.model import Model
from overpaint.types import Sampling


class Sana(Family):
    """SANA and SANA 1.5.

    Gemma is given an instruction to embellish the prompt, and the prompt. Of its rows the first and
    the last 299 are kept; ``caption_projection`` and a norm prepare them for every ``attn2``.
    Attention masks the padding.
    """

    name = "SANA"
    pipelines = ("SanaPipeline", "SanaPAGPipeline")
    others = ("SanaControlNetPipeline",)
    denoiser = "transformer"
    encoded = (
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    )
    reads_padding = False

    def instruction(self, model: Model) -> str:
        """What stands before a prompt."""
        lines = call_defaults(model.pipeline).get("complex_human_instruction") or []
        return "\n".join(lines)

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """The instruction, and the prompt in lower case."""
        return Template(self.instruction(model), cleaned(model.pipeline, prompt))

    def dropped(self, model: Model, component: str) -> int:
        """Most of the instruction: of all but the last 299 rows, the first alone is kept."""
        instruction = self.instruction(model)
        if not instruction:
            return 0
        return len(model.tokenizer(component)(instruction, verbose=False).input_ids) - 2

    def pads_left(self, model: Model, component: str) -> bool:  # noqa: ARG002
        """The pipeline sets its tokenizer to pad on the right before it encodes."""
        return False

    def encode_options(self, model: Model) -> dict[str, Any]:
        """Captions are cleaned, as in the pipeline's own call, if the packages for it are there."""
        options = super().encode_options(model)
        return {**options, "clean_caption": options.get("clean_caption", False) and can_clean()}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The projected rows of Gemma, read by every cross-attention layer."""
        layers = key_value_layers(model, r"^transformer_blocks\.\d+\.attn2$")
        return (TextPath("sequence", layers, (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The projected and normalised prompts."""
        states = self.encode(model, prompts)["prompt_embeds"]
        return (after(model, states, "caption_projection", "caption_norm"),)

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """Sizes are rounded to the bins the model was trained at, where there are some."""
        known = getattr(model.denoiser.config, "sample_size", None) in (16, 32, 64, 128)
        return {} if known else {"use_resolution_binning": False}


class SanaSprint(Sana):
    """SANA-Sprint: two steps, guidance as an input of the transformer."""

    name = "SANA-Sprint"
    pipelines = ("SanaSprintPipeline",)
    others = ("SanaSprintImg2ImgPipeline",)
    encoded = ("prompt_embeds", "prompt_attention_mask")
    unsupported: ClassVar[dict[str, str]] = {
        "negative prompt": "SANA-Sprint reads no negative prompt: its guidance is distilled; "
        "leave the negative prompt out"
    }

    def guided(self, model: Model, sampling: Sampling) -> bool:  # noqa: ARG002
        """There is no negative branch."""
        return False

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:
        """The time between its two steps means nothing for another number of steps."""
        options = super().call_options(model, sampling)
        two = sampling.steps in (None, 2)
        return options if two else {**options, "intermediate_timesteps": None}
