"""Pipelines as one checkpoint in the layouts of their makers, for tests of reading them.

Written from the layouts themselves: CompVis' ``LatentDiffusion`` (Stable Diffusion 1 and 2), SAI's
``generative-models`` (SDXL), and Black Forest Labs' FLUX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def stable_diffusion(pipeline: Any) -> dict[str, Tensor]:
    """An SD1, SD2 or SDXL pipeline as the weights of one checkpoint."""
    weights = {f"model.diffusion_model.{n}": w for n, w in _unet(pipeline.unet)}
    weights |= {f"first_stage_model.{n}": w for n, w in _vae(pipeline.vae)}
    second = getattr(pipeline, "text_encoder_2", None)
    if second is not None:
        start = "conditioner.embedders.0.transformer."
        weights |= {start + n: w for n, w in _clip(pipeline.text_encoder)}
        weights |= {f"conditioner.embedders.1.model.{n}": w for n, w in _open_clip(second)}
    else:
        start = "cond_stage_model.transformer."
        weights |= {start + n: w for n, w in _clip(pipeline.text_encoder)}
    return {name: weight.detach().clone().contiguous() for name, weight in weights.items()}


def _unet(unet: Any) -> Iterator[tuple[str, Tensor]]:
    each = unet.config.layers_per_block + 1  # blocks of a resolution, with what changes it
    for name, weight in unet.state_dict().items():
        yield (
            _unet_name(name, each, {i for i, b in enumerate(unet.up_blocks) if _attends(b)}),
            weight,
        )


def _attends(block: Any) -> bool:
    return hasattr(block, "attentions")


def _unet_name(name: str, each: int, attending: set[int]) -> str:
    for ours, theirs in _ENDS.items():
        if name.startswith(f"{ours}."):
            return name.replace(ours, theirs, 1)
    match = re.fullmatch(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(\w+)\.(\d+)\.(.*)", name)
    assert match, name
    side, block, kind, number, rest = match.groups()
    if side is None:
        return f"middle_block.{_middle(kind, int(number))}.{_resnet(rest, kind)}"
    at = int(block) * each + (each - 1 if kind.endswith("samplers") else int(number))
    if kind == "downsamplers":
        return f"input_blocks.{at + 1}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{at}.{2 if int(block) in attending else 1}.{rest}"
    place = f"input_blocks.{at + 1}" if side == "down" else f"output_blocks.{at}"
    return f"{place}.{int(kind == 'attentions')}.{_resnet(rest, kind)}"


def _middle(kind: str, number: int) -> int:
    return 1 if kind == "attentions" else 2 * number


def _resnet(rest: str, kind: str) -> str:
    part, _, leaf = rest.partition(".")
    return f"{_RESNET[part]}.{leaf}" if kind == "resnets" else rest


def _vae(vae: Any) -> Iterator[tuple[str, Tensor]]:
    last = len(vae.config.up_block_types) - 1
    attention = {
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }
    for name, weight in vae.state_dict().items():
        new = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", new)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", new)
        new = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", new
        )
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        if "mid_block.attentions.0." in new:
            for ours, theirs in attention.items():
                new = new.replace(f"attentions.0.{ours}.", f"attentions.0.{theirs}.")
            new = new.replace("mid_block.attentions.0", "mid.attn_1")
            weight = weight[..., None, None] if weight.dim() == 2 else weight
        yield new, weight


def _clip(encoder: Any) -> Iterator[tuple[str, Tensor]]:
    for name, weight in encoder.state_dict().items():
        yield f"text_model.{name.removeprefix('text_model.')}", weight


def _open_clip(encoder: Any) -> Iterator[tuple[str, Tensor]]:
    names = {
        "embeddings.position_embedding.weight": "positional_embedding",
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    parts = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    state = {n.removeprefix("text_model."): w for n, w in encoder.state_dict().items()}
    for name, weight in state.items():
        if name == "text_projection.weight":
            yield "text_projection", weight.T
        elif name in names:
            yield names[name], weight
        elif match := re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", name):
            layer, part, leaf = match.groups()
            place = f"transformer.resblocks.{layer}"
            if part == "self_attn.q_proj":
                maps = [
                    state[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")
                ]
                yield f"{place}.attn.in_proj_{leaf}", torch.cat(maps)
            elif part == "self_attn.out_proj":
                yield f"{place}.attn.out_proj.{leaf}", weight
            elif part in parts:
                yield f"{place}.{parts[part]}.{leaf}", weight


def flux_transformer(transformer: Any) -> dict[str, Tensor]:
    """A FLUX transformer alone, as Black Forest Labs' files hold it."""
    state = transformer.state_dict()
    ends = {
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "proj_out": "final_layer.linear",
    }
    double = {
        "norm1.linear": "img_mod.lin",
        "norm1_context.linear": "txt_mod.lin",
        "attn.norm_q": "img_attn.norm.query_norm",
        "attn.norm_k": "img_attn.norm.key_norm",
        "attn.norm_added_q": "txt_attn.norm.query_norm",
        "attn.norm_added_k": "txt_attn.norm.key_norm",
        "attn.to_out.0": "img_attn.proj",
        "attn.to_add_out": "txt_attn.proj",
        "ff.net.0.proj": "img_mlp.0",
        "ff.net.2": "img_mlp.2",
        "ff_context.net.0.proj": "txt_mlp.0",
        "ff_context.net.2": "txt_mlp.2",
    }
    single = {
        "norm.linear": "modulation.lin",
        "attn.norm_q": "norm.query_norm",
        "attn.norm_k": "norm.key_norm",
        "proj_out": "linear2",
    }
    fused = {
        "attn.to_q": ("img_attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
        "attn.add_q_proj": (
            "txt_attn.qkv",
            ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
        ),
    }
    made: dict[str, Tensor] = {}
    for name, weight in state.items():
        stem, _, leaf = name.rpartition(".")
        if stem in ends:
            made[f"{ends[stem]}.{leaf}"] = weight
        elif stem == "norm_out.linear":  # scale and shift stand the other way round
            scale, shift = weight.chunk(2)
            made[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
        elif match := re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.*)", stem):
            alone, number, part = match.groups()
            place = f"{'single' if alone else 'double'}_blocks.{number}"
            prefix = stem.removesuffix(part)
            names = single if alone else double
            if part in names:
                norm = "norm" in part and "linear" not in part
                made[f"{place}.{names[part]}.{'scale' if norm else leaf}"] = weight
            elif not alone and part in fused:
                new, parts = fused[part]
                made[f"{place}.{new}.{leaf}"] = torch.cat(
                    [state[f"{prefix}{p}.{leaf}"] for p in parts]
                )
            elif alone and part == "attn.to_q":
                parts = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
                made[f"{place}.linear1.{leaf}"] = torch.cat(
                    [state[f"{prefix}{p}.{leaf}"] for p in parts]
                )
    return {name: weight.detach().clone().contiguous() for name, weight in made.items()}
