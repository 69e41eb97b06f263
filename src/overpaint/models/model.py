"""A loaded model: a diffusers pipeline, its family, and its joint CLIP if there is one.

``Model`` is a handle, not a copy: two models around one pipeline share its weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.card import Card
from overpaint.models.families import Family
from overpaint.models.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class Model:
    """A text-to-image model that can be edited.

    ``pipeline``  the diffusers pipeline that owns every network and tokenizer.
    ``family``    the row of :mod:`overpaint.models.families` that says how it is laid out.
    ``name``      what the user called it: ``"toybox"``, a folder, a hub name or a class name.
    ``clip``      joint ``transformers.CLIPModel`` whose text tower is made of the pipeline's own
        modules, or None. It adds the text projection, the image encoder, and layers that the
        pipeline leaves out (:mod:`overpaint.models.joint`).
    ``preprocess``  what is done to a picture before ``clip`` sees it, or None without one.
    ``card``      what the model's folder says about it; empty for most.
    """

    pipeline: Any = field(repr=False)
    family: Family
    name: str
    clip: Any = field(default=None, repr=False)
    preprocess: Preprocess | None = field(default=None, repr=False)
    card: Card = field(default=Card(), repr=False)

    def component(self, name: str) -> nn.Module:
        """The network called ``name`` in the pipeline, e.g. ``"text_encoder"`` or ``"unet"``.

        Raises ModelError when the pipeline has no network of that name.
        """
        module = getattr(self.pipeline, name, None)
        if isinstance(module, nn.Module):
            return module
        components = getattr(self.pipeline, "components", {})
        known = ", ".join(k for k, v in components.items() if isinstance(v, nn.Module))
        raise ModelError(f"{self.name} has no network {name!r}; it has: {known or 'none'}.")

    @property
    def denoiser(self) -> nn.Module:
        """The network that removes noise: the UNet or the transformer."""
        return self.component(self.family.denoiser)

    @property
    def device(self) -> torch.device:
        """Where the denoiser's weights lie."""
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the denoiser's weights."""
        return next(self.denoiser.parameters()).dtype
