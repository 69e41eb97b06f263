"""DeepFloyd IF: T5 read by a UNet that paints pixels, in stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from overpaint.models.families.base import (
    Family,
    Segment,
    Template,
    TextPath,
    after,
    can_clean,
    cleaned,
)
from overpaint.models.families.unets import key_value_layers
from overpaint.models.model import Model
from overpaint.models.sites import site_at, submodule


class DeepFloydIF(Family):
    """DeepFloyd IF, stages I and II.

    Stage I generates pictures of 64 pixels. Stage II enlarges them and needs one: edit both stages,
    apply the patches, and give the picture of the first to the second's own call, with the prompt::

        small = first.pipeline(prompt, output_type="pt").images
        second.pipeline(prompt, image=small).images[0].save("rose.png")

    Attention reads text and picture together. ``add_k_proj`` and ``add_v_proj`` read the text,
    which every layer normalises for itself. Beside that, attention pooling makes one feature of
    all tokens, which is added to the time embedding.
    """

    name = "IF"
    pipelines = ("IFPipeline",)
    others = (
        "IFSuperResolutionPipeline",
        "IFImg2ImgPipeline",
        "IFImg2ImgSuperResolutionPipeline",
        "IFInpaintingPipeline",
        "IFInpaintingSuperResolutionPipeline",
    )
    # The safety checker and the watermark of IF come with PIL alone; "pt" is not even in [0, 1].
    output_type = "pil"

    def max_length(self, model: Model, component: str) -> int:  # noqa: ARG002
        """77 tokens of T5, with which IF was trained."""
        return 77

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """Prompts are cleaned and read in lower case."""
        return Template("", cleaned(model.pipeline, prompt))

    def encode_options(self, model: Model) -> dict[str, Any]:
        """Captions are cleaned, as in the pipeline's own call, if the packages for it are there."""
        options = super().encode_options(model)
        return {**options, "clean_caption": can_clean()}

    def call_options(self, model: Model, sampling: Any) -> dict[str, Any]:  # noqa: ARG002
        """Nothing is left to clean."""
        return {"clean_caption": False}

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The tokens of T5, as attention reads them and as attention pooling does."""
        layers = key_value_layers(model, r"\.attentions\.\d+$", ("add_k_proj", "add_v_proj"))
        paths = [TextPath("sequence", layers, (Segment("text_encoder"),), shared=False)]
        if getattr(model.denoiser, "add_embedding", None) is not None:
            pool = tuple(
                site_at(model, self.denoiser, f"add_embedding.pool.{name}")
                for name in ("k_proj", "v_proj")
            )
            # Before the tokens it reads their mean.
            paths.append(TextPath("pooling", (pool,), (Segment("text_encoder", 1),)))
        return tuple(paths)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """The projected prompts as each layer normalises them.

        Without a run of the pipeline, which in stage II would need a picture.
        """
        denoiser: Any = model.denoiser
        states = self.encode(model, prompts)["prompt_embeds"]
        if path.name == "pooling":
            states = after(model, states, "add_embedding.norm1")
            mean = states.mean(1, keepdim=True)
            mean = mean + denoiser.add_embedding.pool.positional_embedding.to(states.dtype)
            return (torch.cat([mean, states], 1),)
        states = after(model, states, "encoder_hid_proj")
        found = []
        for layer in path.layers:
            attention: Any = submodule(denoiser, layer[0].name.rpartition(".")[0])
            normal = attention.norm_cross is not None
            found.append(attention.norm_encoder_hidden_states(states) if normal else states)
        return tuple(found)
