"""CLIP's text tower as a function of its weights, for methods that train some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from overpaint.models.base_weights import base_parameters
from overpaint.models.model import Model
from overpaint.models.sites import module_at, resolve, text_transformer
from overpaint.models.tokens import Tokens
from overpaint.types import Site

States = Callable[[Mapping[Site, Tensor]], Tensor]
"""Weights ``[d_out, d_in]`` of some sites to last hidden states ``[n, L, d]``."""


def linear_sites(model: Model, component: str = "text_encoder") -> tuple[Site, ...]:
    """Every linear layer of a CLIP text tower, layer by layer: attention, then the MLP.

    Embeddings, layer norms and biases are no linear sites: a patch cannot hold them. Adapters that
    are loaded are not trained.
    """
    tower = text_transformer(model.component(component))
    names = [name.removesuffix(".weight") for name in base_parameters(tower)]
    modules: dict[str, Any] = {
        name.replace("_orig_mod.", "").removesuffix(".base_layer"): module
        for name, module in tower.named_modules()
        if isinstance(module, nn.Linear)
    }
    return tuple(resolve(model, component, name) for name in names if name in modules)


def states_of(model: Model, tokens: Tokens, component: str = "text_encoder") -> States:
    """Last hidden states of ``tokens`` as a function of the weights at some sites.

    The model keeps its own. Everything is computed in float32, also where the model is in half
    precision: small steps would be lost in it. Gradients flow back to the weights given.
    """
    encoder = model.component(component)
    uses_mask = getattr(getattr(encoder, "config", None), "use_attention_mask", False)
    mask = tokens.mask.long() if uses_mask else None
    tower = text_transformer(encoder)
    exact = {
        name: value.detach().to(torch.promote_types(value.dtype, torch.float32))
        for name, value in tower.named_parameters()
    }
    names = {id(value): name for name, value in tower.named_parameters()}

    def states(weights: Mapping[Site, Tensor]) -> Tensor:
        own = {names[id(module_at(model, site).weight)]: w for site, w in weights.items()}
        output = functional_call(tower, {**exact, **own}, (tokens.ids,), {"attention_mask": mask})
        return output.last_hidden_state

    return states
