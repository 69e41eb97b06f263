"""A patch as a LoRA file in kohya's naming, for diffusers, ComfyUI and A1111 alike.

A site becomes ``<prefix>_<dotted name with underscores>`` with ``.lora_down.weight [r, d_in]``,
``.lora_up.weight [d_out, r]`` and ``.alpha = r``, so that every reader adds exactly ``B A``.

UNet blocks keep diffusers' names (``down_blocks``, ...), for SDXL too, where kohya's trainer
writes ``input_blocks``: diffusers takes them as they are, ComfyUI and A1111 map them for both
families (``unet_to_diffusers`` in comfy/utils.py, ``convert_diffusers_name_to_compvis`` in
extensions-builtin/Lora/networks.py). Text encoder names always contain ``text_model``, which
diffusers removes when transformers 5 has no such module.

All sites of a network get one rank, the smaller ones filled up with zeros. Where ranks differ,
diffusers (0.42) loses the alphas of the rarer ones: it looks for them under names that neither
its UNet nor transformers 5 has, and scales those sites wrongly.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn.functional import pad

from overpaint import __version__
from overpaint.errors import PatchError
from overpaint.models.families import Family, family_called
from overpaint.models.model import Model
from overpaint.patching.atomic import write_whole
from overpaint.patching.bind import bound
from overpaint.patching.merge import merge
from overpaint.types import Patch, Site

_TEXT = re.compile(r"encoder\.layers\.\d+\.(mlp\.fc[12]|self_attn\.(q|k|v|out)_proj)")
_UNET = re.compile(
    r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.attentions\.\d+\.transformer_blocks\.\d+\."
    r"(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2))"
)
_ONE_ENCODER = {"text_encoder": ("lora_te_text_model", _TEXT), "unet": ("lora_unet", _UNET)}
_TWO_ENCODERS = {
    "text_encoder": ("lora_te1_text_model", _TEXT),
    "text_encoder_2": ("lora_te2_text_model", _TEXT),
    "unet": ("lora_unet", _UNET),
}
# Family name -> component -> prefix of its keys, and the sites that every reader knows.
_NAMING = {"SD1": _ONE_ENCODER, "SD2": _ONE_ENCODER, "SDXL": _TWO_ENCODERS}
_BASE = {"SD1": "sd_v1", "SD2": "sd_v2", "SDXL": "sdxl_base_v1-0"}  # as kohya writes it


def export_lora(
    patch: Patch,
    path: str | os.PathLike[str],
    family: Family | None = None,
    *,
    model: Model | None = None,
    force: bool = False,
) -> Path:
    """Write ``patch`` as a LoRA for models of ``family`` (``model.family``); returns the path.

    Loading it at strength 1 does what :func:`overpaint.apply` does, up to float32 rounding. The
    file is written whole or not at all. Without ``family`` it is :func:`family_of_patch`.
    ``model`` is the one the patch was computed on: needed where ``patch.relative``, since a LoRA
    holds every change written out; with ``force`` it may be another of the same shape. Raises
    :class:`PatchError` if it is missing or another, if LoRA cannot express a site of the patch or
    models of ``family``, or if ``path`` cannot be written.

    Known limit: A1111 applies self-attention edits of OpenCLIP encoders (SD2, SDXL's second) only
    where a file has all four projections of a layer.
    """
    if not patch.deltas:
        raise PatchError("the patch changes nothing, so there is no LoRA to write")
    family = family or family_of_patch(patch)
    deltas = merge(bound(patch, model, force=force))
    keys = {place: kohya_name(delta.site, family) for place, delta in deltas.items()}
    ranks = {
        component: max(d.rank for (other, _), d in deltas.items() if other == component)
        for component, _ in deltas
    }
    tensors: dict[str, torch.Tensor] = {}
    for (component, name), delta in deltas.items():
        key, missing = keys[component, name], ranks[component] - delta.rank
        tensors[f"{key}.lora_down.weight"] = pad(delta.a, (0, 0, 0, missing)).cpu().clone()
        tensors[f"{key}.lora_up.weight"] = pad(delta.b, (0, missing)).cpu().clone()
        tensors[f"{key}.alpha"] = torch.tensor(float(ranks[component]))
    data = save(tensors, _metadata(patch, family, ranks))
    write_whole(Path(path), _ordered(data))
    return Path(path)


def family_of_patch(patch: Patch) -> Family:
    """The family that the patch names; for those of older files, what its sites look like.

    That is SDXL if it touches what only SDXL has (second encoder, keys of width 2048), else SD1.
    What remains ambiguous, a patch of ``text_encoder`` alone, gets SD1's names; of the readers
    only A1111 does not take these for SDXL, so give :func:`export_lora` the family then.
    """
    if patch.family:
        return family_called(patch.family)
    sites = [delta.site for delta in patch.deltas]
    two = any(site.component == "text_encoder_2" for site in sites)
    wide = any(
        site.name.endswith(("attn2.to_k", "attn2.to_v")) and site.d_in == 2048 for site in sites
    )
    return family_called("SDXL" if two or wide else "SD1")


def kohya_name(site: Site, family: Family) -> str:
    """kohya's key of ``site`` (layout-free name) without its suffix, e.g. ``lora_unet_..._to_k``.

    Raises :class:`PatchError` naming the family or the site if LoRA readers do not know it.
    """
    if family.name not in _NAMING:
        raise PatchError(
            f"expected family {', '.join(_NAMING)}, got family {family.name}, which LoRA export "
            "does not support; apply the patch file with overpaint instead"
        )
    prefix, pattern = _NAMING[family.name].get(site.component, ("", None))
    if pattern is None or not pattern.fullmatch(site.name):
        raise PatchError(
            f"LoRA export does not support the site {site.component} {site.name} of family "
            f"{family.name}; expected attention and feed-forward layers of the UNet and the text "
            "encoders: apply the patch file with overpaint instead"
        )
    return f"{prefix}_{site.name.replace('.', '_')}"


def _metadata(patch: Patch, family: Family, ranks: Mapping[str, int]) -> dict[str, str]:
    """What A1111 and ComfyUI read to sort and label the file; kohya's names."""
    several = set(ranks.values())
    rank = str(several.pop()) if len(several) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_base_model_version": _BASE[family.name],
        "ss_v2": str(family.name == "SD2"),
        "overpaint_version": __version__,
        "overpaint_method": patch.method,
    }


def _ordered(data: bytes) -> bytes:
    """safetensors ``data`` with its metadata sorted, so that one patch gives one sequence of bytes.

    The library writes metadata in random order. Layout: length of the header (8 bytes, little
    endian), header (JSON, padded with spaces to a multiple of 8), tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]
