"""Where a delta goes: the weight of a site, after checking that the model reads it as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from overpaint.errors import SiteError
from overpaint.models.base_weights import base_parameters
from overpaint.models.model import Model
from overpaint.models.sites import module_at, resolve, stored_name, submodule
from overpaint.types import Change, RelativeDelta, Site

_FUSED = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")


@dataclass(frozen=True, eq=False)
class Place:
    """A site in a model.

    Attributes:
        site: The site.
        outer: The module at the site's name: the layer itself, or the adapter around it.
        module: The layer.
        weight: Its weight ``[d_out, d_in]``.
    """

    site: Site
    outer: nn.Module
    module: nn.Linear
    weight: Tensor

    @property
    def plain(self) -> bool:
        """Whether the layer is PyTorch's own, whose forward pass is known to use the weight."""
        return self.outer is self.module and type(self.module) is nn.Linear and not _wrapped(self)


def _wrapped(place: Place) -> bool:
    """Whether something else was put in the place of the layer's forward pass."""
    return "forward" in vars(place.module)


def module_of(model: Model, site: Site) -> nn.Linear:
    """The module of ``site`` in ``model``, its name in either layout of transformers.

    Raises:
        SiteError: If there is none, or its shape is another.
    """
    return module_at(model, _in_layout(model, site))


def place_of(model: Model, delta: Change) -> Place:
    """Where ``delta`` goes in ``model``.

    Raises:
        SiteError: If it does not fit there, or if editing the weight would be without effect or
            wrong: quantised, offloaded, fused or parametrized weights. Names the remedy.
    """
    site = _in_layout(model, delta.site)
    module = module_at(model, site)
    outer = submodule(model.component(site.component), site.name)
    place = Place(delta.site, outer or module, module, module.weight)
    _check_storage(f"{site.component} {site.name}", module.weight)
    _check_used(model, site, place)
    _check_shape(place, delta)
    return place


def check_editable(model: Model, component: str) -> None:
    """Raise SiteError unless ``component`` has its weights in memory, as plain numbers.

    So what :func:`place_of` would refuse once an edit is computed is refused before. Looks at all
    of a text encoder, and at the layers of the denoiser that read text; of the text encoders that
    an edit of the denoiser reads, at whether they are in memory.
    """
    if component != model.family.denoiser:
        for name, weight in base_parameters(model.component(component)).items():
            _check_storage(f"{component} {name}", weight)
        return
    for path in model.family.paths(model):
        for site in path.sites:
            _check_storage(f"{component} {site.name}", module_at(model, site).weight)
    for encoder in model.text_encoders:
        for name, weight in base_parameters(model.component(encoder)).items():
            _check_in_memory(f"{encoder} {name}", weight)


def _in_layout(model: Model, site: Site) -> Site:
    return replace(site, name=resolve(model, site.component, stored_name(site)).name)


def _check_storage(where: str, weight: Any) -> None:
    """SiteError unless the weight is a plain floating point tensor in memory."""
    _check_in_memory(where, weight)
    floating, precision = weight.is_floating_point(), str(weight.dtype)
    if floating and weight.element_size() == 1:
        raise SiteError(
            f"expected a weight of at least 16 bits at {where}, got {precision} (layerwise "
            "casting); apply the patch first, then enable_layerwise_casting()"
        )
    if not floating or is_traceable_wrapper_subclass(weight):
        kind = type(weight).__name__ if floating else precision
        raise SiteError(
            f"expected a floating point weight at {where}, got a quantised one ({kind}); load the "
            "model unquantised, apply the patch, and quantise it then"
        )


def _check_in_memory(where: str, weight: Tensor) -> None:
    if weight.is_meta:
        raise SiteError(
            f"expected the weight of {where} in memory, got one that is offloaded layer by layer; "
            "load the model without enable_sequential_cpu_offload() or device_map "
            "(enable_model_cpu_offload() is fine)"
        )


def _check_used(model: Model, site: Site, place: Place) -> None:
    """SiteError if the forward pass reads something else than the weight."""
    where = f"{site.component} {site.name}"
    parent, _, leaf = site.name.rpartition(".")
    attention = submodule(model.component(site.component), parent) if parent else None
    if leaf in _FUSED and _fused(attention):
        raise SiteError(
            f"expected separate projections at {where}, got fused ones, which do not read it; call "
            "pipeline.unfuse_qkv_projections() first, and fuse them again afterwards"
        )
    if getattr(place.outer, "merged", False):
        raise SiteError(
            f"expected the weight of {where} without adapters, got one with a LoRA fused into it; "
            "call pipeline.unfuse_lora() first (a LoRA that is loaded but not fused is fine)"
        )
    if parametrize.is_parametrized(place.module, "weight"):
        raise SiteError(
            f"expected a plain weight at {where}, got one that is computed anew at every call; "
            "remove its parametrization first (torch.nn.utils.parametrize)"
        )


def _fused(attention: Any) -> bool:
    """Whether an attention module reads fused projections.

    diffusers' older attention class keeps its flag when it is told to unfuse, and takes another
    processor; the newer ones drop the flag.
    """
    fused = getattr(attention, "fused_projections", False)
    processor = type(getattr(attention, "processor", None)).__name__
    return fused and (hasattr(attention, "_default_processor_cls") or "Fused" in processor)


def _check_shape(place: Place, delta: Change) -> None:
    relative = isinstance(delta, RelativeDelta)
    d_out, d_in = place.weight.shape
    rows, wanted = (delta.left, d_in) if relative else (delta.b, d_out)
    if (rows.shape[0], delta.a.shape[1]) != (wanted, d_in):
        raise SiteError(
            f"expected a delta [{wanted}, {d_in}] at {place.site.component} {place.site.name}, got "
            f"[{rows.shape[0]}, {delta.a.shape[1]}]"
        )
