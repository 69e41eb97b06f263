"""A loaded model: a diffusers pipeline, its family, and its joint CLIP if there is one.

``Model`` is a handle, not a copy: two models around one pipeline share its weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.base_weights import unwrapped
from overpaint.models.card import Card
from overpaint.models.preprocess import Preprocess

if TYPE_CHECKING:
    from overpaint.models.families.base import Family


@dataclass(frozen=True, eq=False)
class Model:
    """A text-to-image model that can be edited.

    Attributes:
        pipeline: The diffusers pipeline that owns every network and tokenizer.
        family: How models of its kind are encoded, edited and generated with.
        name: What the user called it: an embedded model, a folder, a hub name or a class name.
        clip: Joint ``transformers.CLIPModel`` whose text tower is made of the pipeline's own
            modules, or None. It adds the text projection, the image encoder, and layers that the
            pipeline leaves out; see :mod:`overpaint.models.joint`.
        preprocess: What is done to a picture before ``clip`` sees it, or None without one.
        card: What the model's folder says about itself.
    """

    pipeline: Any = field(repr=False)
    family: Family
    name: str
    clip: Any = field(default=None, repr=False)
    preprocess: Preprocess | None = field(default=None, repr=False)
    card: Card = field(default_factory=Card, repr=False)

    def component(self, name: str) -> nn.Module:
        """The network called ``name`` in the pipeline, e.g. ``"text_encoder"`` or ``"unet"``.

        What ``torch.compile`` or PEFT (``get_peft_model``) has wrapped is given without its
        wrapper: the same weights, under the names they have in files.

        Raises:
            ModelError: If the pipeline has no network of that name.
        """
        module = getattr(self.pipeline, name, None)
        if isinstance(module, nn.Module):
            return unwrapped(module)
        components = getattr(self.pipeline, "components", {})
        known = ", ".join(k for k, v in components.items() if isinstance(v, nn.Module))
        raise ModelError(f"{self.name} has no network {name!r}; it has: {known or 'none'}.")

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """The text encoders that are there, in the order in which the pipeline calls them."""
        return self.family.text_encoders(self.pipeline)

    def tokenizer(self, component: str) -> Any:
        """The tokenizer that feeds text encoder ``component``; a processor's own, if it is one.

        Raises:
            ModelError: If the pipeline comes without it.
        """
        from transformers import ProcessorMixin

        name = component.replace("text_encoder", "tokenizer")
        found: Any = getattr(self.pipeline, name, None)
        if found is None:
            raise ModelError(
                f"{self.name} comes without its {name}, but an edit starts from text; load the "
                f"pipeline with its {name}."
            )
        return found.tokenizer if isinstance(found, ProcessorMixin) else found

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

    @property
    def execution_device(self) -> torch.device:
        """Where the pipeline computes, which differs from :attr:`device` under offloading."""
        return getattr(self.pipeline, "_execution_device", self.device)
