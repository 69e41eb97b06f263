"""CLIPs of the package open_clip as judges: its models and tags, our features.

Only for weights that transformers cannot read; https://github.com/mlfoundations/open_clip.
"""

from __future__ import annotations

from typing import Any

import torch

from overpaint.errors import ModelError, PromptError
from overpaint.models.clip import Clip
from overpaint.models.preprocess import OPENAI, Preprocess, colour

OPEN_CLIP = "open_clip:"  # how the names of its models begin
_SCHEMES = ("hf-hub:", "local-dir:")  # names that say where the weights are


class OpenClip(Clip):
    """``network`` is a model of open_clip, ``tokenizer`` what its ``get_tokenizer`` gives."""

    @property
    def place(self) -> torch.Tensor:
        """A weight: its device and precision are those of the network."""
        return next(self.network.parameters())

    @property
    def width(self) -> int:
        """Length of a feature."""
        return self.read("a").shape[0]

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features ``[n, d]``, not yet of length 1, of preprocessed pictures ``[n, 3, S, S]``."""
        return self.network.encode_image(pixels)

    def read(self, prompt: str) -> torch.Tensor:
        """Feature ``[d]``, not yet of length 1; PromptError when the prompt is too long."""
        tokens = self.tokenizer([prompt])
        # It cuts what is too long and does not say so: then one more word changes nothing.
        if prompt.strip() and torch.equal(tokens, self.tokenizer([f"{prompt} more"])):
            raise PromptError(
                f"A prompt fills all {tokens.shape[1]} tokens that the CLIP reads; "
                f"shorten it: {prompt!r}"
            )
        return self.network.encode_text(tokens.to(self.place.device))[0]


def load_open_clip(name: str, device: str | torch.device = "cpu") -> OpenClip:
    """The model ``name``: "MODEL/TAG", "hf-hub:OWNER/NAME" or "local-dir:FOLDER", in float32.

    ModelError without the package, without a tag, or when open_clip cannot load it.
    """
    package = _package()
    model, _, tag = (name, "", "") if name.startswith(_SCHEMES) else name.partition("/")
    if not tag and not name.startswith(_SCHEMES):
        raise ModelError(
            f"expected {OPEN_CLIP}MODEL/TAG such as {OPEN_CLIP}ViT-bigG-14/laion2b_s39b_b160k, got "
            f"{OPEN_CLIP}{name}; open_clip.list_pretrained() lists models and tags"
        )
    try:
        network, _, _ = package.create_model_and_transforms(
            model, pretrained=tag or None, device=device
        )
        tokenizer = package.get_tokenizer(model)
    except Exception as error:  # registry, network, files: each has its own hierarchy
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ModelError(
            f"open_clip cannot load {name!r}: {reason}; open_clip.list_pretrained() lists models "
            "and tags"
        ) from error
    network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
    return OpenClip(network, tokenizer, _preprocess(network.visual), OPEN_CLIP + name)


def _package() -> Any:
    try:
        import open_clip  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModelError(
            "expected the package open_clip for a judge named open_clip:..., it is not installed; "
            "pip install 'overpaint[judges]', or name a judge of transformers such as ViT-bigG/14"
        ) from error
    return open_clip


def _preprocess(visual: Any) -> Preprocess:
    """What open_clip noted down at the network's image tower."""
    size = visual.image_size
    side = size if isinstance(size, int) else size[0]
    settings = getattr(visual, "preprocess_cfg", None) or {}
    mean = settings.get("mean") or getattr(visual, "image_mean", None) or OPENAI[0]
    std = settings.get("std") or getattr(visual, "image_std", None) or OPENAI[1]
    mode = settings.get("interpolation") or "bicubic"
    mode = mode if mode == "bilinear" else "bicubic"
    return Preprocess(side, colour(mean), colour(std), mode=mode)
