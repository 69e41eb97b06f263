"""CLIP as a measure: features of pictures and of prompts in one space.

A feature depends on its picture or prompt alone, to the last bit: pictures are looked at in
batches of one fixed size (the last is filled up), prompts one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from overpaint.errors import ModelError, PromptError
from overpaint.models.joint import clip_component
from overpaint.models.model import Model
from overpaint.models.preprocess import Preprocess

TOGETHER = 8  # pictures in a batch; the arithmetic of a batch of another size differs a little


@dataclass(frozen=True, eq=False)
class Clip:
    """A joint CLIP with its tokenizer and what is done to pictures before it sees them.

    ``network`` is a ``transformers.CLIPModel``; ``preprocess`` makes its input of pictures in
    [0, 1]; ``name`` is what it was loaded as.
    """

    network: Any
    tokenizer: Any
    preprocess: Preprocess
    name: str = ""

    @property
    def place(self) -> torch.Tensor:
        """A weight: its device and precision are those of the network."""
        return self.network.visual_projection.weight

    @property
    def size(self) -> int:
        """Side of the square picture the network reads, in pixels."""
        return self.preprocess.size

    @property
    def width(self) -> int:
        """Length of a feature."""
        return self.network.visual_projection.weight.shape[0]

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features ``[n, d]``, not yet of length 1, of preprocessed pictures ``[n, 3, S, S]``."""
        pooled = self.network.vision_model(pixel_values=pixels).pooler_output
        return self.network.visual_projection(pooled)

    def read(self, prompt: str) -> torch.Tensor:
        """Feature ``[d]``, not yet of length 1; PromptError when the prompt is too long."""
        tokens = self.tokenizer([prompt], return_tensors="pt", verbose=False).input_ids
        limit = self.network.config.text_config.max_position_embeddings
        if tokens.shape[1] > limit:
            raise PromptError(
                f"A prompt has {tokens.shape[1]} tokens, {limit} are the limit of the CLIP; "
                f"shorten it: {prompt!r}"
            )
        states = self.network.text_model(tokens.to(self.place.device)).last_hidden_state
        return self.network.text_projection(states[0, -1])


def clip_of(model: Model) -> Clip:
    """The joint CLIP of a loaded model: its text tower is the model's own, edits included.

    ModelError when the model was loaded without one.
    """
    if model.clip is None or model.preprocess is None:
        if not model.family.clip_encoders(model):
            raise ModelError(
                f"{model.name} has no text encoder of a CLIP, and so nothing that sees pictures "
                "and words in one space; give words in place of pictures, or name a CLIP that "
                "judges them."
            )
        usual = model.family.clip or "NAME"
        raise ModelError(
            f"{model.name} was loaded without its CLIP, which looks at pictures; give it with "
            f"--clip {usual} (clip= in Python), or a folder that holds it."
        )
    part = clip_component(model).replace("text_encoder", "tokenizer")
    return Clip(model.clip, getattr(model.pipeline, part), model.preprocess, model.name)


@torch.no_grad()
def image_features(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    """Unit features ``[n, d]`` of ``images [n, 3, H, W]``, float in [0, 1] (or uint8)."""
    return functional.normalize(long_features(clip, images), dim=-1)


@torch.no_grad()
def long_features(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    """The same with the length that the network gives them, which FID measures too."""
    features = [_embed(clip, _filled(part))[: len(part)] for part in images.split(TOGETHER)]
    return torch.cat(features)


def _embed(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    pixels = clip.preprocess(images.to(clip.place.device))
    return clip.embed(pixels.to(clip.place.dtype)).float()


@torch.no_grad()
def text_features(clip: Clip, prompts: Sequence[str]) -> torch.Tensor:
    """Unit features ``[n, d]`` of ``prompts``; PromptError when one is too long to read."""
    known = {prompt: clip.read(prompt).float() for prompt in dict.fromkeys(prompts)}
    return functional.normalize(torch.stack([known[prompt] for prompt in prompts]), dim=-1)


def _filled(images: torch.Tensor) -> torch.Tensor:
    """``TOGETHER`` pictures: ``images`` and copies of the last."""
    return torch.cat([images, images[-1:].expand(TOGETHER - len(images), -1, -1, -1)])
