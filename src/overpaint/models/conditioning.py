"""Everything the denoiser reads besides the latents: both branches of guidance, SDXL's extras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.model import Model
from overpaint.models.text import encode, pooled

_FAMILIES = ("SD1", "SD2", "SDXL")


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Embeddings of n prompts and of nothing, on the device and in the precision of the model.

    ``states [n, L, d]``  what cross-attention reads for each prompt.
    ``empty [L, d]``      what it reads in the unconditional branch, or ``[n, L, d]`` where every
        prompt has its own; None without guidance.
    ``pooled [n, p]``, ``empty_pooled [p]``  SDXL's pooled features; None in other families.
    """

    states: torch.Tensor
    empty: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    empty_pooled: torch.Tensor | None = None

    def batch(self, index: torch.Tensor, pixels: int) -> dict[str, Any]:
        """Keyword arguments of the denoiser for prompts ``index [b]``.

        ``encoder_hidden_states [2b, L, d]``, the unconditional half first, or ``[b, L, d]``
        without guidance; for SDXL also pooled features and picture sizes (the original's, the
        crop's corner, the target's).
        """
        states = _both(self.states, self.empty, index)
        if self.pooled is None:
            return {"encoder_hidden_states": states}
        sizes = torch.tensor([pixels, pixels, 0, 0, pixels, pixels]).to(states)
        added = {
            "text_embeds": _both(self.pooled, self.empty_pooled, index),
            "time_ids": sizes.expand(len(states), -1),
        }
        return {"encoder_hidden_states": states, "added_cond_kwargs": added}


def check_paintable(model: Model) -> None:
    """ModelError unless the library knows how to paint with the model's family."""
    if model.family.name not in _FAMILIES:
        raise ModelError(
            f"Painting with {model.family.name} is not written yet (only {', '.join(_FAMILIES)}); "
            "apply the patch and paint with the pipeline itself."
        )


@torch.no_grad()
def encode_alone(model: Model, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``states [n, L, d]`` and, for SDXL, pooled features ``[n, p]``; each prompt on its own.

    The last bit of a matrix product may depend on how many rows it has; alone, a prompt's
    embedding does not depend on its company. PromptError when one is empty or too long.
    """
    unique = dict.fromkeys(prompts)
    states = {p: encode(model, [p], allow_empty=False)[0] for p in unique}
    stacked = torch.stack([states[p] for p in prompts])
    if model.family.name != "SDXL":
        return stacked, None
    features = {p: pooled(model, [p])[0] for p in unique}
    return stacked, torch.stack([features[p] for p in prompts])


def conditioning(
    model: Model,
    states: torch.Tensor,
    *,
    empty: torch.Tensor | None = None,
    features: torch.Tensor | None = None,
    guided: bool = True,
) -> Conditioning:
    """``states [n, L, d]`` completed by what the caller left out.

    ``empty [L, d]`` or ``[n, L, d]`` defaults to the empty prompt's embedding, or to zeros where
    the pipeline asks for that; ``features [n, p]`` must be given for SDXL. ModelError when they do
    not fit.
    """
    place = {"device": model.device, "dtype": model.dtype}
    states = states.to(**place)
    if model.family.name == "SDXL":
        if features is None:
            raise ModelError("SDXL reads pooled features too; give pooled_conditioning [n, p].")
        features = features.to(**place)
    if not guided:
        return Conditioning(states, pooled=features)
    zeros = getattr(model.pipeline.config, "force_zeros_for_empty_prompt", False)
    if empty is None:
        empty = torch.zeros_like(states[0]) if zeros else encode(model, [""])[0]
    if empty.shape not in (states.shape, states.shape[1:]):
        raise ModelError(
            f"Expected an unconditional embedding {list(states.shape[1:])} like the prompts', got "
            f"{list(empty.shape)}; give `unconditional` of the same length and width."
        )
    empty = empty.to(**place)
    if features is None:
        return Conditioning(states, empty)
    plain = pooled(model, [""], allow_empty=True)[0].to(**place)
    return Conditioning(states, empty, features, torch.zeros_like(plain) if zeros else plain)


def _both(given: torch.Tensor, empty: torch.Tensor | None, index: torch.Tensor) -> torch.Tensor:
    """Rows ``index`` of ``given``, after their own rows or as many copies of ``empty``."""
    index = index.to(given.device)
    chosen = given[index]
    if empty is None:
        return chosen
    without = empty[index] if empty.dim() == given.dim() else empty.expand_as(chosen)
    return torch.cat([without, chosen])
