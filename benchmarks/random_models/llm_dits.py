"""Diffusion transformers conditioned on the hidden states of a language model."""

from __future__ import annotations

from typing import Any

from random_models.autoencoders import (
    deep_autoencoder,
    flux2_autoencoder,
    qwen_autoencoder,
    sixteen_channel_autoencoder,
)
from random_models.dits import SMALL
from random_models.language_models import gemma2, llama, mistral3, qwen2_vl, qwen3
from random_models.registry import Parts, recipe
from random_models.schedules import flow_match
from random_models.text_encoders import clip_encoder, t5_encoder
from random_models.tokenizers import (
    clip_tokenizer,
    gemma_tokenizer,
    llama3_tokenizer,
    mistral_tokenizer,
    qwen_tokenizer,
    t5_tokenizer,
)

_SANA = {"height": 128, "width": 128, "num_inference_steps": 2, "use_resolution_binning": False}


@recipe("SANA", "SanaPipeline", call=_SANA)
def sana(**transformer: Any) -> Parts:
    """SANA: cross-attention to Gemma 2, linear self-attention, a scale factor of 32.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    from diffusers import DPMSolverMultistepScheduler, SanaTransformer2DModel

    tokenizer = gemma_tokenizer(length=300)
    shape: dict[str, Any] = {
        "sample_size": 4,
        "num_layers": 3,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "num_cross_attention_heads": 3,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 48,
        "caption_channels": 64,
    }
    return {
        "text_encoder": gemma2(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": SanaTransformer2DModel(**{**shape, **transformer}),
        "vae": deep_autoencoder(scaling=0.41407),
        "scheduler": DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    }


@recipe("SANA-Sprint", "SanaSprintPipeline", call=_SANA)
def sana_sprint(**transformer: Any) -> Parts:
    """SANA-Sprint: SANA distilled to two steps; the transformer is told the guidance."""
    from diffusers import SCMScheduler

    shape = {"guidance_embeds": True, "qk_norm": "rms_norm_across_heads", **transformer}
    return {**sana(**shape), "scheduler": SCMScheduler()}


@recipe("Lumina2", "Lumina2Pipeline", call=SMALL)
def lumina2(**transformer: Any) -> Parts:
    """Lumina Image 2: Gemma 2, refiner blocks, then joint attention with the image.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    from diffusers import Lumina2Transformer2DModel

    tokenizer = gemma_tokenizer(length=256)
    shape: dict[str, Any] = {
        "sample_size": 8,
        "hidden_size": 48,
        "num_layers": 3,
        "num_refiner_layers": 1,
        "num_attention_heads": 3,
        "num_kv_heads": 1,
        "multiple_of": 16,
        "axes_dim_rope": (4, 6, 6),
        "cap_feat_dim": 64,
    }
    return {
        "text_encoder": gemma2(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": Lumina2Transformer2DModel(**{**shape, **transformer}),
        "vae": sixteen_channel_autoencoder(scaling=0.3611, shift_factor=0.1159),
        "scheduler": flow_match(shift=6.0),
    }


@recipe(
    "HiDream",
    "HiDreamImagePipeline",
    call=SMALL,
    # The pipeline scales every image size to the area of this many squared latents.
    attributes={"default_sample_size": 8},
)
def hidream(**transformer: Any) -> Parts:
    """HiDream I1: two CLIPs' pooled embeddings, T5, and for each block a layer of Llama 3.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    from diffusers import HiDreamImageTransformer2DModel

    clips = clip_tokenizer(length=248), clip_tokenizer(length=248, pad_token="!")
    third, fourth = t5_tokenizer(length=512), llama3_tokenizer(length=512)
    shape: dict[str, Any] = {
        "patch_size": 2,
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "caption_channels": [64, 80],
        "text_emb_dim": 32 + 48,
        "axes_dims_rope": (8, 4, 4),
        "max_resolution": (16, 16),
        "llama_layers": [0, 1, 2, 2],
    }
    return {
        "text_encoder": clip_encoder(clips[0], width=32, projection=32),
        "text_encoder_2": clip_encoder(clips[1], width=48, projection=48, activation="gelu"),
        "text_encoder_3": t5_encoder(third, width=64),
        "text_encoder_4": llama(fourth, width=80),
        "tokenizer": clips[0],
        "tokenizer_2": clips[1],
        "tokenizer_3": third,
        "tokenizer_4": fourth,
        "transformer": HiDreamImageTransformer2DModel(**{**shape, **transformer}),
        "vae": sixteen_channel_autoencoder(scaling=0.3611, shift_factor=0.1159),
        "scheduler": flow_match(shift=3.0),
    }


@recipe(
    "Qwen-Image",
    "QwenImagePipeline",
    call={**SMALL, "negative_prompt": " "},  # without one there is no guidance
    gains={"transformer": {"norm_added_k": 3.0, r"attn.*(to_v|add_v_proj|to_out|to_add_out)": 2.0}},
)
def qwen_image(**transformer: Any) -> Parts:
    """Qwen-Image: joint blocks with the last hidden states of Qwen 2.5 VL.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    from diffusers import QwenImageTransformer2DModel

    tokenizer = qwen_tokenizer()
    shape: dict[str, Any] = {
        "num_layers": 3,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "joint_attention_dim": 64,
        "axes_dims_rope": (4, 6, 6),
    }
    return {
        "text_encoder": qwen2_vl(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": QwenImageTransformer2DModel(**{**shape, **transformer}),
        "vae": qwen_autoencoder(),
        "scheduler": flow_match(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, shift_terminal=0.02
        ),
    }


@recipe("Z-Image", "ZImagePipeline", call=SMALL)
def z_image(**transformer: Any) -> Parts:
    """Z-Image: Qwen 3, refiner blocks, then joint attention with the image.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    from diffusers import ZImageTransformer2DModel

    tokenizer = qwen_tokenizer()
    shape: dict[str, Any] = {
        "dim": 48,
        "n_layers": 3,
        "n_refiner_layers": 1,
        "n_heads": 3,
        "n_kv_heads": 3,
        "cap_feat_dim": 64,
        "axes_dims": [4, 6, 6],
    }
    return {
        "text_encoder": qwen3(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": ZImageTransformer2DModel(**{**shape, **transformer}),
        "vae": sixteen_channel_autoencoder(scaling=0.3611, shift_factor=0.1159),
        "scheduler": flow_match(shift=3.0),
    }


@recipe(
    "FLUX2",
    "Flux2Pipeline",
    call=SMALL,
    # Nearly all of the 512 text tokens are padding or instructions, and attention does not mask
    # them: without these factors, a prompt would hardly change the image.
    gains={
        "transformer": {
            r"norm_(added_)?[qk]": 2.0,
            r"attn.*(to_v|add_v_proj|to_out|mlp_proj)": 3.0,
        }
    },
)
def flux2(**transformer: Any) -> Parts:
    """FLUX.2 [dev]: three layers of Mistral 3, concatenated; distilled guidance.

    Its ``tokenizer`` is a ``PixtralProcessor`` if torchvision, which that class requires, is
    installed. Otherwise it is the processor's tokenizer, which yields the same token ids.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    tokenizer = mistral_tokenizer()
    return {
        "text_encoder": mistral3(tokenizer, width=32),
        "tokenizer": _processor(tokenizer),
        **_flux2({"guidance_embeds": True, **transformer}),
    }


@recipe("FLUX2-klein", "Flux2KleinPipeline", call=SMALL)
def flux2_klein(**transformer: Any) -> Parts:
    """FLUX.2 [klein] base: three layers of Qwen 3, concatenated; classifier-free guidance.

    Args:
        transformer: Changes of the transformer's configuration.
    """
    tokenizer = qwen_tokenizer()
    return {
        "text_encoder": qwen3(tokenizer, width=32, layers=28, head=True),
        "tokenizer": tokenizer,
        "is_distilled": False,
        **_flux2({"guidance_embeds": False, **transformer}),
    }


def _processor(tokenizer: Any) -> Any:
    """FLUX.2's processor around ``tokenizer``, or ``tokenizer`` itself without torchvision."""
    from transformers.utils import is_torchvision_available

    if not is_torchvision_available():
        return tokenizer
    from transformers import PixtralImageProcessor, PixtralProcessor

    return PixtralProcessor(
        image_processor=PixtralImageProcessor(patch_size=16),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )


def _flux2(changes: dict[str, Any]) -> Parts:
    from diffusers import Flux2Transformer2DModel

    shape: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "joint_attention_dim": 3 * 32,
        "axes_dims_rope": (4, 4, 4, 4),
    }
    return {
        "transformer": Flux2Transformer2DModel(**{**shape, **changes}),
        "vae": flux2_autoencoder(),
        "scheduler": flow_match(shift=3.0, use_dynamic_shifting=True),
    }
