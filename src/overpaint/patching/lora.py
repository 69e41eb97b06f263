"""A patch as a LoRA file, for diffusers, ComfyUI, Forge and A1111.

A site becomes two factors, ``down [r, d_in]`` and ``up [d_out, r]``, and readers add ``up down``.
There are two spellings. In kohya's, a key is ``<prefix>_<module with underscores>`` with
``.lora_down.weight``, ``.lora_up.weight`` and ``.alpha``, which is the rank. In PEFT's, it is
``<component>.<module>`` with ``.lora_A.weight`` and ``.lora_B.weight`` in the denoiser; in text
encoders diffusers expects ``.lora_linear_layer.down.weight`` and ``.up.weight``, which ComfyUI
reads as well. Which spelling its readers know, and under which names, is said by the family
(:class:`overpaint.models.families.Family`).

All sites of a network get one rank, the smaller ones filled up with zeros. Where ranks differ,
diffusers (0.42) scales the sites of the rarer ranks wrongly: it looks for their alphas under names
that neither its networks nor transformers 5 has.
"""

from __future__ import annotations

import json
import os
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


def _suffixes(form: str, family: Family, component: str) -> tuple[str, str]:
    """How the two factors are called."""
    if form == "kohya":
        return "lora_down.weight", "lora_up.weight"
    if component in family.encoders:
        return "lora_linear_layer.down.weight", "lora_linear_layer.up.weight"
    return "lora_A.weight", "lora_B.weight"


def export_lora(
    patch: Patch,
    path: str | os.PathLike[str],
    family: Family | None = None,
    *,
    form: str = "",
    model: Model | None = None,
    force: bool = False,
) -> Path:
    """Write ``patch`` as a LoRA; loading it at strength 1 does what :func:`overpaint.apply` does.

    The file is written whole or not at all.

    Args:
        patch: The patch.
        path: File to write.
        family: Family of the models it is for; by default that of the patch.
        form: ``"kohya"`` or ``"peft"``; by default what most readers of the family know.
        model: The model that the patch was computed on: needed where ``patch.relative``, since a
            LoRA holds every change written out.
        force: Take another model of the same shape.

    Returns:
        The path.

    Raises:
        PatchError: If the model is missing or another, if no reader knows a site of the patch or
            LoRAs of the family, or if the file cannot be written.

    Known limit: A1111 applies self-attention edits of OpenCLIP encoders (SD2, SDXL's second) only
    where a file has all four projections of a layer.
    """
    if not patch.deltas:
        raise PatchError("the patch changes nothing, so there is no LoRA to write")
    family = family or family_of_patch(patch)
    form = form or next(iter(family.lora_forms), "")
    deltas = merge(bound(patch, model, force=force))
    keys = {place: lora_key(delta.site, family, form) for place, delta in deltas.items()}
    ranks = {
        component: max(d.rank for (other, _), d in deltas.items() if other == component)
        for component, _ in deltas
    }
    tensors: dict[str, torch.Tensor] = {}
    for (component, name), delta in deltas.items():
        key, missing = keys[component, name], ranks[component] - delta.rank
        down, up = _suffixes(form, family, component)
        tensors[f"{key}.{down}"] = _whole(pad(delta.a, (0, 0, 0, missing)))
        tensors[f"{key}.{up}"] = _whole(pad(delta.b, (0, missing)))
        if form == "kohya":
            tensors[f"{key}.alpha"] = torch.tensor(float(ranks[component]))
    data = save(tensors, _metadata(patch, family, ranks))
    write_whole(Path(path), _ordered(data))
    return Path(path)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` in memory of its own, which is what safetensors writes."""
    return tensor.detach().cpu().contiguous().clone()


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


def lora_key(site: Site, family: Family, form: str) -> str:
    """The key of ``site`` (layout-free name) without its suffix, e.g. ``lora_unet_..._to_k``.

    Raises:
        PatchError: If readers of LoRA files do not know the family, the form or the site.
    """
    if not family.lora_forms:
        raise PatchError(
            f"no program reads LoRAs of family {family.name}; apply the patch file with overpaint "
            "instead"
        )
    if form not in family.lora_forms:
        known = " or ".join(family.lora_forms)
        raise PatchError(f"expected form {known} for family {family.name}, got {form!r}")
    key = family.lora_key(site.component, site.name, form)
    if not key:
        raise PatchError(
            f"LoRA files of family {family.name} have no name for {site.component} {site.name}; "
            "apply the patch file with overpaint instead"
        )
    return key


def _metadata(patch: Patch, family: Family, ranks: Mapping[str, int]) -> dict[str, str]:
    """What A1111 and ComfyUI read to sort and label the file; kohya's names."""
    several = set(ranks.values())
    rank = str(several.pop()) if len(several) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_base_model_version": family.lora_base or family.name.lower(),
        "ss_v2": str(family.lora_base == "sd_v2"),
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
