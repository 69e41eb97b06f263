"""Stable Diffusion 1 and 2, SDXL, and what all UNets with cross-attention have in common."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from overpaint.errors import ModelError
from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import Family, Segment, TextPath
from overpaint.models.model import Model
from overpaint.models.sites import site_at, text_transformer
from overpaint.types import Sampling

_BLOCKS = ("down_blocks", "mid_block", "up_blocks")


def cross_attention(model: Model, pattern: str, key: str = "to_k") -> tuple[str, ...]:
    """Names of the denoiser's cross-attention modules, in the order of its forward pass.

    In a UNet that is down, mid, up (16 layers in SD1 and SD2, 70 in SDXL), which neither
    alphabetical nor registration order gives.

    Raises:
        ModelError: If no module matches.
    """
    names = [
        plain
        for name, module in model.denoiser.named_modules()
        if re.search(pattern, plain := name.replace("_orig_mod.", ""))
        and getattr(module, key, None) is not None
    ]
    if not names:
        raise ModelError(
            f"{model.name} has no module that matches {pattern!r} in its {model.family.denoiser}; "
            f"it is probably not of family {model.family.name}."
        )
    return tuple(sorted(dict.fromkeys(names), key=_block_order))


def _block_order(name: str) -> int:
    """Rank of the block a module lies in; the sort is stable, so order inside a block remains."""
    block = name.split(".", 1)[0]
    return _BLOCKS.index(block) if block in _BLOCKS else 0


def key_value_layers(
    model: Model, pattern: str = r"(^|\.)attn2$", names: Sequence[str] = ("to_k", "to_v")
) -> tuple[tuple[Any, ...], ...]:
    """The sites of keys and values of every cross-attention layer."""
    return tuple(
        tuple(site_at(model, model.family.denoiser, f"{layer}.{name}") for name in names)
        for layer in cross_attention(model, pattern, names[0])
    )


_CLIP_LINEAR = re.compile(r"encoder\.layers\.\d+\.(mlp\.fc[12]|self_attn\.(q|k|v|out)_proj)")
_UNET_LINEAR = re.compile(
    r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.attentions\.\d+\.transformer_blocks\.\d+\."
    r"(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2))"
)


class KohyaNames(Family):
    """LoRA names of Stable Diffusion 1, 2 and XL.

    UNet blocks keep diffusers' names, for SDXL too, where kohya's trainer writes
    ``input_blocks``: diffusers takes them as they are, ComfyUI and A1111 map them. Text encoder
    names always contain ``text_model``, which diffusers removes where transformers has none.
    """

    lora_forms = ("kohya",)

    def kohya_module(self, component: str, name: str) -> str:
        """Attention and feed-forward layers, which every reader knows."""
        if component == self.denoiser:
            return name if _UNET_LINEAR.fullmatch(name) else ""
        return name if _CLIP_LINEAR.fullmatch(name) else ""


@contextmanager
def _inner_tower(encoder: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block ``encoder.text_model`` is CLIP's tower under transformers 5 too.

    One thread at a time, as another would take away what this one needs.
    """
    with _ONE_AT_A_TIME:
        missing = not hasattr(encoder, "text_model")
        if missing:  # not through __setattr__, which would make it a module inside itself
            encoder.__dict__["text_model"] = encoder
        try:
            yield
        finally:
            if missing:
                del encoder.__dict__["text_model"]


_ONE_AT_A_TIME = threading.RLock()


class StableDiffusion1(KohyaNames):
    """Stable Diffusion 1.x and its fine-tunes: one CLIP ViT-L/14, 16 cross-attention layers."""

    name = "SD1"
    pipelines = ("StableDiffusionPipeline",)
    towers = ("text_encoder",)
    others = (
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
        "StableDiffusionInstructPix2PixPipeline",
        "StableDiffusionUpscalePipeline",
        "StableDiffusionLatentUpscalePipeline",
        "StableDiffusionDepth2ImgPipeline",
        "StableDiffusionControlNetPipeline",
    )
    clip = "openai/clip-vit-large-patch14"
    batch_size = 4
    lora_base = "sd_v1"
    kohya_components: ClassVar[dict[str, str]] = {
        "text_encoder": "lora_te_text_model",
        "unet": "lora_unet",
    }
    reads_embeddings = True
    openclip: ClassVar[bool] = False

    def matches(self, pipeline: Any) -> bool:
        """SD1's CLIP is OpenAI's, SD2's is OpenCLIP; their activation functions tell."""
        config = getattr(getattr(pipeline, "text_encoder", None), "config", None)
        openclip = getattr(config, "hidden_act", "quick_gelu") == "gelu"
        return super().matches(pipeline) and openclip == self.openclip

    def encode(
        self,
        model: Model,
        prompts: Sequence[str],
        *,
        negative: str | None = None,
        guided: bool = False,
        clip_skip: int | None = None,
    ) -> Conditioning:
        """For ``clip_skip``, diffusers (0.42) looks for the tower where transformers 4 keeps it."""
        encoder = model.component("text_encoder")
        with _inner_tower(encoder) if clip_skip is not None else nullcontext():
            return super().encode(
                model, prompts, negative=negative, guided=guided, clip_skip=clip_skip
            )

    def encoder(self, pipeline: Any) -> Callable[..., Any]:
        """Old pipelines (InstructPix2Pix) have no ``encode_prompt``; SD1's own reads theirs."""
        if hasattr(pipeline, "encode_prompt"):
            return pipeline.encode_prompt
        from diffusers import StableDiffusionPipeline

        return partial(StableDiffusionPipeline.encode_prompt, pipeline)

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The last hidden states of CLIP, read by every cross-attention layer as they are."""
        return (TextPath("sequence", key_value_layers(model), (Segment("text_encoder"),)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The encoded prompts themselves."""
        return (self.encode(model, prompts)["prompt_embeds"],)

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """``clip_skip`` has done its work in ``encode_prompt``."""
        return {}


class StableDiffusion2(StableDiffusion1):
    """Stable Diffusion 2.x: OpenCLIP ViT-H/14 without its last layer."""

    name = "SD2"
    clip = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    lora_base = "sd_v2"
    openclip = True


class LatentConsistency(StableDiffusion1):
    """Latent consistency models: SD1's layout, guidance as an input, 4 steps."""

    name = "LCM"
    pipelines = ("LatentConsistencyModelPipeline",)
    others = ("LatentConsistencyModelImg2ImgPipeline",)

    def matches(self, pipeline: Any) -> bool:
        """By the class of the pipeline alone."""
        return Family.matches(self, pipeline)

    def guided(self, model: Model, sampling: Sampling) -> bool:  # noqa: ARG002
        """Guidance is an embedding: there is no negative branch."""
        return False


class StableDiffusionXL(KohyaNames):
    """SDXL, Turbo, Lightning, Playground and the refiner: two CLIPs, 70 cross-attention layers."""

    name = "SDXL"
    pipelines = ("StableDiffusionXLPipeline",)
    others = (
        "StableDiffusionXLImg2ImgPipeline",
        "StableDiffusionXLInpaintPipeline",
        "StableDiffusionXLInstructPix2PixPipeline",
        "StableDiffusionXLControlNetPipeline",
    )
    encoders = ("text_encoder", "text_encoder_2")
    towers = encoders
    reads: ClassVar[dict[str, str]] = {"text_encoder_2": "tokens and pooled"}
    lora_base = "sdxl_base_v1-0"
    kohya_components: ClassVar[dict[str, str]] = {
        "text_encoder": "lora_te1_text_model",
        "text_encoder_2": "lora_te2_text_model",
        "unet": "lora_unet",
    }
    clip = "openai/clip-vit-large-patch14"
    reads_embeddings = True
    encoded = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The last but one hidden states of both CLIPs side by side.

        The pooled feature, which is added to the time embedding, is read beside picture sizes by
        one layer for all purposes; no published editor changes it, and neither do ours.
        """
        segment = Segment(model.text_encoders[0])
        return (TextPath("sequence", key_value_layers(model), (segment,)),)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The encoded prompts themselves."""
        return (self.encode(model, prompts)["prompt_embeds"],)

    def used_layers(self, model: Model, component: str) -> int:
        """All layers of the encoder with a projection, all but the last of the other.

        Cross-attention reads the last but one hidden states; only the second encoder's pooled
        feature comes out of the last layer.
        """
        tower: Any = text_transformer(model.component(component))
        depth = len(tower.encoder.layers)
        return depth if component == "text_encoder_2" else depth - 1

    def defaults(self, pipeline: Any) -> Sampling:
        """Distilled models (Turbo, Lightning) are told by their scheduler: 4 steps, no guidance."""
        usual = super().defaults(pipeline)
        config = pipeline.scheduler.config
        spacing = config.get("timestep_spacing", "")
        euler = type(pipeline.scheduler).__name__.startswith("Euler")
        if euler and spacing == "trailing":
            return Sampling(steps=4, guidance=0.0, batch_size=usual.batch_size)
        return usual
