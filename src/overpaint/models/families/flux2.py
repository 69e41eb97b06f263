"""FLUX.2: Mistral or Qwen3 read by one projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from overpaint.models.families.base import (
    Family,
    Segment,
    Template,
    TextLayer,
    TextPath,
    chat,
    joint_layers,
)
from overpaint.models.model import Model
from overpaint.models.sites import site_at
from overpaint.types import Sampling


class Flux2(Family):
    """FLUX.2 dev.

    Mistral is given a chat with a system prompt, in which the user says the prompt. Three of its
    layers side by side are what ``context_embedder`` reads: 512 rows, padding included. Guidance is
    distilled, so there is no negative prompt.
    """

    name = "FLUX.2"
    pipelines = ("Flux2Pipeline",)
    denoiser = "transformer"
    joint_attention = True
    encoded = ("prompt_embeds", "")
    unsupported: ClassVar[dict[str, str]] = {
        "negative prompt": "FLUX.2 dev reads no negative prompt: its guidance is distilled; leave "
        "the negative prompt out"
    }

    def template(self, model: Model, prompt: str, component: str) -> Template:
        """The chat that the pipeline makes."""
        from diffusers.pipelines.flux2.pipeline_flux2 import format_input

        given: Any = model.pipeline.tokenizer

        def say(text: str) -> str:
            messages = format_input([text], system_message=model.pipeline.system_message)
            return given.apply_chat_template(messages, add_generation_prompt=False, tokenize=False)[
                0
            ]

        tokenizer = model.tokenizer(component)
        # A tokenizer adds nothing to a chat; a processor does, unless the template has.
        start = tokenizer.bos_token
        written = start is not None and say("").startswith(start)
        return chat(say, prompt, special=given is not tokenizer and not written)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The rows of the language model."""
        site = site_at(model, self.denoiser, "context_embedder")
        return (TextPath("sequence", ((site,),), (Segment("text_encoder"),)),)

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The joint attention of the blocks with two streams, then of those with one."""
        single = joint_layers(model, "single_transformer_blocks", text="")
        return joint_layers(model, "transformer_blocks") + single

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The encoded prompts themselves."""
        return (self.encode(model, prompts)["prompt_embeds"],)

    def guided(self, model: Model, sampling: Sampling) -> bool:  # noqa: ARG002
        """There is no negative branch."""
        return False


class Flux2Klein(Flux2):
    """FLUX.2 klein: Qwen3 in place of Mistral, no system prompt, classifier-free guidance.

    The distilled ones need 4 steps and ignore the guidance.
    """

    name = "FLUX.2-klein"
    pipelines = ("Flux2KleinPipeline",)
    others = ("Flux2KleinKVPipeline", "Flux2KleinInpaintPipeline")
    separate_negative = True
    unsupported: ClassVar[dict[str, str]] = {}

    def template(self, model: Model, prompt: str, component: str) -> Template:
        """The tokenizer's chat template."""
        tokenizer = model.tokenizer(component)

        def say(text: str) -> str:
            said = [{"role": "user", "content": text}]
            return tokenizer.apply_chat_template(
                said, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )

        return chat(say, prompt)

    def distilled(self, pipeline: Any) -> bool:
        """Whether guidance has no effect."""
        return bool(getattr(pipeline.config, "is_distilled", False))

    def defaults(self, pipeline: Any) -> Sampling:
        """The pipeline's own, or 4 steps without guidance for distilled models."""
        if not self.distilled(pipeline):
            return super().defaults(pipeline)
        return Sampling(steps=4, guidance=1.0, batch_size=self.batch_size)

    def guided(self, model: Model, sampling: Sampling) -> bool:
        """Above 1, unless the model is distilled."""
        return not self.distilled(model.pipeline) and (sampling.guidance or 0.0) > 1
