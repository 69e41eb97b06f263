"""Sites and the modules they stand for.

transformers 4 keeps CLIP's tower in an inner ``text_model``, transformers 5 does not (but still
does in ``CLIPTextModelWithProjection``); PEFT and ``torch.compile`` put wrappers around modules.
Site names leave out the wrappers. Stored files leave out ``text_model`` too, so that a patch made
under one version fits the other: :func:`stored_name` and :func:`resolve` translate.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from overpaint.errors import ModelError, SiteError
from overpaint.models.model import Model
from overpaint.types import Site

_INNER = "text_model."


def is_clip(encoder: nn.Module) -> bool:
    """Whether ``encoder`` is a CLIP text tower, with causal attention and two-layer MLPs."""
    inner = getattr(encoder, "text_model", encoder)
    layers = getattr(getattr(inner, "encoder", None), "layers", None)
    return hasattr(inner, "final_layer_norm") and bool(layers) and hasattr(layers[0], "mlp")


def text_transformer(encoder: nn.Module) -> nn.Module:
    """CLIP's inner transformer: has ``embeddings``, ``encoder.layers``, ``final_layer_norm``.

    Takes a ``CLIPTextModel`` (with or without projection) of transformers 4 or 5.

    Raises:
        ModelError: If ``encoder`` is something else, such as T5.
    """
    if is_clip(encoder):
        return getattr(encoder, "text_model", encoder)
    raise ModelError(
        f"Expected a CLIP text encoder, got {type(encoder).__name__}; "
        "choose the component that holds CLIP."
    )


def mlp_site(model: Model, layer: int, component: str = "text_encoder") -> Site:
    """The second linear map of the MLP in ``layer`` (0-based) of a CLIP text encoder."""
    site = _tower_site(model, layer, component, "mlp.fc2")
    if module_at(model, site).weight.is_inference():
        raise SiteError(
            f"The weight of {component}.{site.name} of {model.name} was made in "
            "torch.inference_mode(), so no gradient passes it; load the model outside of that "
            "block, or use a method in closed form (time, uce)."
        )
    return site


def attention_out_site(model: Model, layer: int, component: str = "text_encoder") -> Site:
    """The output projection of self-attention in ``layer`` (0-based) of a CLIP text encoder."""
    return _tower_site(model, layer, component, "self_attn.out_proj")


def refuse_unused_layer(model: Model, layer: int, component: str = "text_encoder") -> None:
    """Raise SiteError if no picture depends on the output of ``layer`` of a CLIP text encoder."""
    used = model.family.used_layers(model, component)
    if layer >= used and layer < _depth(model, component):
        raise SiteError(
            f"{model.family.name} does not use layer {layer} of {component}: the pipeline reads "
            f"hidden states before it, so an edit there has no effect; use 0 to {used - 1}."
        )


def _depth(model: Model, component: str) -> int:
    tower: Any = text_transformer(model.component(component))
    return len(tower.encoder.layers)


def _tower_site(model: Model, layer: int, component: str, leaf: str) -> Site:
    depth = _depth(model, component)
    if not 0 <= layer < depth:
        raise SiteError(
            f"{component} of {model.name} has layers 0 to {depth - 1}, got layer {layer}."
        )
    site = resolve(model, component, f"encoder.layers.{layer}.{leaf}")
    _check_stored(model, site)
    return site


def _check_stored(model: Model, site: Site) -> None:
    """SiteError unless edits of ``site`` can be computed, before anything is."""
    weight = module_at(model, site).weight
    where = f"{site.component}.{site.name} of {model.name}"
    if weight.is_meta:
        raise SiteError(
            f"The weight of {where} is not in memory (sequential or disk offload); call "
            "pipeline.remove_all_hooks() first."
        )
    if weight.dtype.itemsize == 1:
        raise SiteError(
            f"The weight of {where} is stored in {weight.dtype}; expected at least 16 bits: edit "
            "the model before enable_layerwise_casting()."
        )


def module_at(model: Model, site: Site) -> nn.Linear:
    """The linear module that ``site`` names; beneath a loaded LoRA, the layer it was added to.

    Raises:
        SiteError: If there is no such module, if it is no ``nn.Linear`` (for instance because it is
            quantised), or if its shape is not ``[site.d_out, site.d_in]``.
    """
    module = _linear(model, site.component, site.name)
    shape = (module.out_features, module.in_features)
    if shape != (site.d_out, site.d_in):
        raise SiteError(
            f"{site.component}.{site.name} of {model.name} is {list(shape)}, "
            f"expected {[site.d_out, site.d_in]}: the site belongs to another model."
        )
    return module


def site_at(model: Model, component: str, name: str) -> Site:
    """The site of the linear module ``name`` of ``component``; SiteError if it is none."""
    module = _linear(model, component, name)
    return Site(component, name, module.out_features, module.in_features)


def stored_name(site: Site) -> str:
    """``site.name`` without transformers' inner ``text_model.``, for use in files."""
    return site.name.removeprefix(_INNER)


def resolve(model: Model, component: str, stored_name: str) -> Site:
    """The site that a layout-free name means in this model; SiteError when it means none."""
    inner = getattr(model.component(component), "text_model", None) is not None
    return site_at(model, component, _INNER + stored_name if inner else stored_name)


def submodule(root: nn.Module, name: str) -> nn.Module | None:
    """The module ``name`` under ``root`` whatever wrappers are on the way, or None."""
    module: nn.Module | None = root
    for part in name.split("."):
        # Not by attribute: diffusers makes looking for one that is not there slow.
        module = None if module is None else _uncompiled(module)._modules.get(part)
    return None if module is None else _uncompiled(module)


def _uncompiled(module: nn.Module) -> nn.Module:
    return module._modules.get("_orig_mod") or module


def _linear(model: Model, component: str, name: str) -> nn.Linear:
    module = submodule(model.component(component), name)
    if module is None:
        raise SiteError(
            f"{component} of {model.name} has no module {name!r}; "
            "`overpaint models check` lists what can be edited."
        )
    base = getattr(module, "base_layer", module)  # what PEFT has wrapped
    if isinstance(base, nn.Linear):
        return base
    title = type(base).__name__
    if title == "Linear":  # somebody else's, such as torch.ao's quantised one
        title = f"{type(base).__module__}.{title}"
    raise SiteError(
        f"{component}.{name} of {model.name} is a {title}, expected a plain nn.Linear; load the "
        "model without quantisation."
    )
