"""Prompts as tensors, and the door to everything about text: tokens, spans, alignment.

One implementation for every method. Nothing here switches gradients off: the weights of a loaded
model are frozen, so a graph is built only where a caller puts a tensor that asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer
from overpaint.models.spans import align, last_subject_token, subject_span
from overpaint.models.tokens import Tokens, max_length, tokenize

__all__ = [
    "Tokens",
    "align",
    "encode",
    "hidden_states",
    "last_subject_token",
    "max_length",
    "pooled",
    "subject_span",
    "text_projection",
    "text_transformer",
    "tokenize",
]


def encode(model: Model, prompts: Sequence[str], *, allow_empty: bool = True) -> torch.Tensor:
    """What the cross-attention layers read: ``[n, L, d]``, as the pipeline itself computes it.

    SD1 and SD2: the last hidden state after the final layer norm. SDXL: the last but one hidden
    states of both encoders side by side. ModelError for other families.
    """
    name = model.family.name
    if name in ("SD1", "SD2"):
        component = model.family.text_encoders[0]
        tokens = tokenize(model, prompts, component, allow_empty=allow_empty)
        return hidden_states(model, tokens, component)
    if name == "SDXL":
        states = []
        for component in model.family.text_encoders:
            tokens = tokenize(model, prompts, component, allow_empty=allow_empty)
            output = model.component(component)(tokens.ids, output_hidden_states=True)
            states.append(output.hidden_states[-2])
        return torch.cat(states, dim=-1)
    raise ModelError(f"Encoding prompts for {name} is not written yet; use SD1, SD2 or SDXL.")


def hidden_states(model: Model, tokens: Tokens, component: str = "text_encoder") -> torch.Tensor:
    """Last hidden states of a CLIP text encoder after the final layer norm, ``[n, L, d]``."""
    encoder = model.component(component)
    uses_mask = getattr(getattr(encoder, "config", None), "use_attention_mask", False)
    mask = tokens.mask.long() if uses_mask else None
    return text_transformer(encoder)(tokens.ids, attention_mask=mask).last_hidden_state


def text_projection(model: Model, component: str = "text_encoder") -> nn.Module | None:
    """The map from the end token to the space shared with pictures, or None when unknown."""
    encoder = model.component(component)
    own = getattr(encoder, "text_projection", None)
    if own is not None or model.clip is None:
        return own
    same = model.clip.text_model is text_transformer(encoder)
    return model.clip.text_projection if same else None


def pooled(
    model: Model,
    prompts: Sequence[str],
    component: str | None = None,
    *,
    allow_empty: bool = False,
) -> torch.Tensor:
    """One feature per prompt, ``[n, d]``: the end token, projected where a projection is known.

    ``component`` defaults to the last CLIP of the family (in SDXL the one with a projection).
    """
    component = component or model.family.text_encoders[-1]
    tokens = tokenize(model, prompts, component, allow_empty=allow_empty)
    states = hidden_states(model, tokens.trimmed(), component)
    ends = states[torch.arange(len(states), device=states.device), tokens.end]
    projection = text_projection(model, component)
    return ends if projection is None else projection(ends)
