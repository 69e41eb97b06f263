"""CLIP as a measure: features of pictures and of prompts in one space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from overpaint.errors import ModelError, PromptError
from overpaint.models.load import from_pretrained, silence, toybox_folder
from overpaint.models.model import Model

_OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_TOYBOX = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, eq=False)
class Clip:
    """A joint CLIP with its tokenizer and the statistics its pictures are normalised with.

    ``network`` is a ``transformers.CLIPModel``; ``mean``, ``std`` are per colour channel, for
    pictures in [0, 1]; ``size`` is the side of the square it reads, in pixels; ``name`` is what it
    was loaded as.
    """

    network: Any
    tokenizer: Any
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    name: str = ""

    @property
    def size(self) -> int:
        """Side of the square picture the network reads."""
        return self.network.config.vision_config.image_size


def load_clip(source: str | Path, *, device: str | torch.device = "cpu") -> Clip:
    """The CLIP called ``source``, in float32.

    ``"toybox-judge"`` is the embedded judge, which shares no weights with Toybox; ``"toybox"`` the
    CLIP whose text tower Toybox uses, as it was before any edit; otherwise a folder or hub name
    with a CLIPModel and its tokenizer. Pictures are normalised as ``preprocessor_config.json``
    says, if a folder has one. ModelError when it cannot be loaded.
    """
    embedded = {"toybox-judge": "judge", "toybox": "clip"}.get(str(source))
    folder = str(toybox_folder(embedded)) if embedded else str(source)
    words = str(toybox_folder("pipeline") / "tokenizer") if embedded else folder
    with silence():
        from transformers import CLIPModel, CLIPTokenizer

        network = from_pretrained(CLIPModel, folder)
        tokenizer = from_pretrained(CLIPTokenizer, words)
    network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
    statistics = _statistics(Path(folder), _TOYBOX if embedded else _OPENAI)
    return Clip(network, tokenizer, *statistics, name=str(source))


def clip_of(model: Model) -> Clip:
    """The joint CLIP of a loaded model: its text tower is the model's own, edits included.

    ModelError when the model was loaded without one.
    """
    if model.clip is None:
        raise ModelError(f"{model.name} was loaded without its CLIP; use load(..., clip=...).")
    statistics = _TOYBOX if model.name == "toybox" else _OPENAI
    return Clip(model.clip, model.pipeline.tokenizer, *statistics, name=model.name)


@torch.no_grad()
def image_features(clip: Clip, images: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """Unit features ``[n, d]`` of ``images [n, 3, H, W]``, float in [0, 1] (or uint8).

    Pictures of another size are scaled bicubically to the short side, then cropped at the centre.
    """
    return torch.cat([see(clip, part) for part in images.split(batch)])


def see(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    """:func:`image_features` of one batch; gradients flow to float ``images``."""
    network = clip.network
    device, dtype = network.visual_projection.weight.device, network.visual_projection.weight.dtype
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (clip.mean, clip.std))
    images = images.to(device)
    pixels = images / 255 if images.dtype == torch.uint8 else images.float()
    pixels = (_fit(pixels, clip.size) - mean) / std
    pooled = network.vision_model(pixel_values=pixels.to(dtype)).pooler_output
    return functional.normalize(network.visual_projection(pooled).float(), dim=-1)


@torch.no_grad()
def text_features(clip: Clip, prompts: Sequence[str], batch: int = 256) -> torch.Tensor:
    """Unit features ``[n, d]`` of ``prompts``; PromptError when one is too long to read."""
    network = clip.network
    limit = network.config.text_config.max_position_embeddings
    device = network.text_projection.weight.device
    features = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        tokens = clip.tokenizer(part, padding=True, return_tensors="pt", verbose=False)
        if tokens.input_ids.shape[1] > limit:
            longest = max(part, key=lambda prompt: len(clip.tokenizer(prompt).input_ids))
            raise PromptError(
                f"A prompt has {tokens.input_ids.shape[1]} tokens, {limit} are the limit of the "
                f"CLIP; shorten it: {longest!r}"
            )
        states = network.text_model(tokens.input_ids.to(device)).last_hidden_state
        ends = tokens.attention_mask.sum(1) - 1
        features.append(network.text_projection(states[torch.arange(len(part)), ends]))
    return functional.normalize(torch.cat(features).float(), dim=-1)


def _fit(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """``[n, 3, H, W]`` scaled so that the short side is ``size``, then cropped to a square."""
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    scale = size / min(height, width)
    shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    pixels = functional.interpolate(pixels, shape, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    return pixels[..., top : top + size, left : left + size]


def _statistics(folder: Path, default: Any) -> Any:
    """``(mean, std)`` of the preprocessor's settings in ``folder``, or ``default``."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return default
    settings = json.loads(path.read_text())
    return tuple(settings["image_mean"]), tuple(settings["image_std"])
