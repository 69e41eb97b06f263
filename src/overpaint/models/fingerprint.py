"""A short name for the weights a patch was computed on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch

from overpaint.models.model import Model
from overpaint.models.sites import cross_attention_layers
from overpaint.models.weights import original

_INNER = "text_model."


def fingerprint(model: Model) -> str:
    """16 bytes in hexadecimal that change when any weight does that an edit could touch.

    Covers every parameter of the text encoders and of the denoiser's cross-attention layers, with
    names and shapes, so two models that differ only elsewhere (VAE, convolutions) share it. It is
    the same for every device and under transformers 4 and 5. Weights are compared as float32: a
    model stored and loaded in half precision agrees with itself, one rounded while loading does
    not agree with the original. Deltas that are on the model now do not count.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(_parameters(model), key=lambda item: item[0]):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        values = original(tensor).detach().to("cpu", torch.float32).contiguous()
        digest.update(values.numpy().data)
    return digest.hexdigest()


def _parameters(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters that count, under names that do not depend on transformers' layout."""
    for component in model.family.text_encoders:
        for name, tensor in model.component(component).named_parameters():
            yield f"{component}.{name.removeprefix(_INNER)}", tensor
    for layer in cross_attention_layers(model):
        module = model.denoiser.get_submodule(layer)
        for name, tensor in module.named_parameters():
            yield f"{model.family.denoiser}.{layer}.{name}", tensor
