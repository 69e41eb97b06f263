"""CLIP's text tower as a function of its weights, for methods that train some of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.func import functional_call

from overpaint.models.model import Model
from overpaint.models.sites import resolve, stored_name, text_transformer
from overpaint.models.tokens import Tokens
from overpaint.types import Site


def linear_sites(model: Model, component: str = "text_encoder") -> tuple[Site, ...]:
    """Every linear layer of a CLIP text tower, layer by layer: attention, then the MLP.

    Embeddings, layer norms and biases are no linear sites: a patch cannot hold them.
    """
    tower = text_transformer(model.component(component))
    names = (name for name, module in tower.named_modules() if isinstance(module, nn.Linear))
    return tuple(resolve(model, component, name) for name in names)


def states_with(
    model: Model,
    weights: Mapping[Site, torch.Tensor],
    tokens: Tokens,
    component: str = "text_encoder",
) -> torch.Tensor:
    """Last hidden states ``[n, L, d]`` as if ``weights`` stood at their sites; the model keeps its.

    ``weights`` are ``[d_out, d_in]``; gradients flow back to them.
    """
    encoder = model.component(component)
    uses_mask = getattr(getattr(encoder, "config", None), "use_attention_mask", False)
    mask = tokens.mask.long() if uses_mask else None
    named = {f"{stored_name(site)}.weight": weight for site, weight in weights.items()}
    tower = text_transformer(encoder)
    output = functional_call(tower, named, (tokens.ids,), {"attention_mask": mask})
    return output.last_hidden_state
