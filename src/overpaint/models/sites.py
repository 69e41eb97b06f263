"""Sites and the modules they stand for; cross-attention layers in the order of the forward pass.

transformers 4 keeps CLIP's tower in an inner ``text_model``, transformers 5 does not (but still
does in ``CLIPTextModelWithProjection``). Stored files use the name without it, so that a patch
made under one version fits the other: :func:`stored_name` and :func:`resolve` translate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from overpaint.errors import ModelError, SiteError
from overpaint.models.model import Model
from overpaint.types import Site

_INNER = "text_model."
_BLOCK_ORDER = ("down_blocks", "mid_block", "up_blocks")


def text_transformer(encoder: nn.Module) -> nn.Module:
    """CLIP's inner transformer: has ``embeddings``, ``encoder.layers``, ``final_layer_norm``.

    Takes a ``CLIPTextModel`` (with or without projection) of transformers 4 or 5. ModelError when
    ``encoder`` is something else, such as T5.
    """
    inner = getattr(encoder, "text_model", encoder)
    if hasattr(inner, "final_layer_norm") and hasattr(getattr(inner, "encoder", None), "layers"):
        return inner
    raise ModelError(
        f"Expected a CLIP text encoder, got {type(encoder).__name__}; "
        "choose the component that holds CLIP."
    )


def cross_attention_layers(model: Model) -> tuple[str, ...]:
    """Names of the denoiser's cross-attention modules, in the order of its forward pass.

    In a UNet that is down, mid, up (16 layers in SD1 and SD2, 70 in SDXL), which neither
    alphabetical nor registration order gives. ModelError when there is none.
    """
    pattern = re.compile(model.family.attention)
    key = model.family.projection("to_k")
    names = [
        name
        for name, module in model.denoiser.named_modules()
        if pattern.search(name) and getattr(module, key, None) is not None
    ]
    if not names:
        raise ModelError(
            f"{model.name} has no module that matches {model.family.attention!r} in its "
            f"{model.family.denoiser}; its family is probably not {model.family.name}."
        )
    return tuple(sorted(names, key=_block_order))


def _block_order(name: str) -> int:
    """Rank of the block a module lies in; the sort is stable, so order inside a block remains."""
    block = name.split(".", 1)[0]
    return _BLOCK_ORDER.index(block) if block in _BLOCK_ORDER else 0


def cross_attention_sites(
    model: Model, projections: Sequence[str] = ("to_k", "to_v")
) -> tuple[Site, ...]:
    """Sites of the given projections of every cross-attention layer, in forward order.

    ``projections`` are ``"to_k"``, ``"to_v"`` and ``"to_out"``, whatever the family calls them;
    the projections of one layer follow each other. SD1 gives 32 sites for keys and values.
    """
    known = [name for name, _ in model.family.projections]
    for name in projections:
        if name not in known:
            raise SiteError(f"Unknown projection {name!r}; expected some of {', '.join(known)}.")
    return tuple(
        _site(model, model.family.denoiser, f"{layer}.{model.family.projection(projection)}")
        for layer in cross_attention_layers(model)
        for projection in projections
    )


def mlp_site(model: Model, layer: int, component: str = "text_encoder") -> Site:
    """The second linear map of the MLP in ``layer`` (0-based) of a CLIP text encoder."""
    return _tower_site(model, layer, component, "mlp.fc2")


def attention_out_site(model: Model, layer: int, component: str = "text_encoder") -> Site:
    """The output projection of self-attention in ``layer`` (0-based) of a CLIP text encoder."""
    return _tower_site(model, layer, component, "self_attn.out_proj")


def _tower_site(model: Model, layer: int, component: str, leaf: str) -> Site:
    depth = len(text_transformer(model.component(component)).encoder.layers)  # type: ignore[union-attr]
    if not 0 <= layer < depth:
        raise SiteError(
            f"{component} of {model.name} has layers 0 to {depth - 1}, got layer {layer}."
        )
    return resolve(model, component, f"encoder.layers.{layer}.{leaf}")


def module_at(model: Model, site: Site) -> nn.Linear:
    """The linear module that ``site`` names.

    SiteError when there is no such module, when it is no plain ``nn.Linear`` (for instance one
    wrapped by a loaded LoRA), or when its shape is not ``[site.d_out, site.d_in]``.
    """
    module = _linear(model, site.component, site.name)
    shape = (module.out_features, module.in_features)
    if shape != (site.d_out, site.d_in):
        raise SiteError(
            f"{site.component}.{site.name} of {model.name} is {list(shape)}, "
            f"expected {[site.d_out, site.d_in]}: the site belongs to another model."
        )
    return module


def stored_name(site: Site) -> str:
    """``site.name`` without transformers' inner ``text_model.``, for use in files."""
    return site.name.removeprefix(_INNER)


def resolve(model: Model, component: str, stored_name: str) -> Site:
    """The site that a layout-free name means in this model; SiteError when it means none."""
    inner = getattr(model.component(component), "text_model", None) is not None
    return _site(model, component, _INNER + stored_name if inner else stored_name)


def _site(model: Model, component: str, name: str) -> Site:
    module = _linear(model, component, name)
    return Site(component, name, module.out_features, module.in_features)


def _linear(model: Model, component: str, name: str) -> nn.Linear:
    try:
        module = model.component(component).get_submodule(name)
    except AttributeError:
        raise SiteError(
            f"{component} of {model.name} has no module {name!r}; "
            "list the sites with overpaint.models.sites."
        ) from None
    if not isinstance(module, nn.Linear):
        raise SiteError(
            f"{component}.{name} of {model.name} is a {type(module).__name__}, expected a plain "
            "nn.Linear; take loaded LoRAs or quantisation off first."
        )
    return module
