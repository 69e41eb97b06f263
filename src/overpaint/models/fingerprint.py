"""A short name for the weights a patch was computed on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypedDict

import torch

from overpaint.models.model import Model
from overpaint.models.sites import submodule
from overpaint.models.weights import original

_INNER = "text_model."


def fingerprint(model: Model) -> str:
    """16 bytes in hexadecimal that change when any weight does that an edit could touch.

    Covers every parameter of the text encoders and of the denoiser's cross-attention layers, with
    names and shapes, so two models that differ only elsewhere (VAE, convolutions) share it. It is
    the same for every device and under transformers 4 and 5. Weights are compared as float32: a
    model stored and loaded in half precision agrees with itself; one rounded while loading has a
    fingerprint of its own, which :func:`rounded` tells of the original. Deltas that are on the
    model now do not count.
    """
    return _digests(model, (torch.float32,))[0]


def rounded(model: Model) -> tuple[str, str]:
    """The fingerprints of ``model`` with its weights rounded to float16 and to bfloat16.

    One of them is :func:`fingerprint` of the same model loaded in half precision.
    """
    half, brain = _digests(model, (torch.float16, torch.bfloat16))
    return half, brain


class Origin(TypedDict):
    """Fields of :class:`overpaint.types.Patch` that say on which model it was computed."""

    fingerprint: str
    family: str
    rounded: tuple[str, ...]


def origin(model: Model) -> Origin:
    """What a patch computed on ``model`` says about it: ``Patch(..., **origin(model))``."""
    mark, *others = _digests(model, (torch.float32, torch.float16, torch.bfloat16))
    return Origin(fingerprint=mark, family=model.family.name, rounded=tuple(others))


def _digests(model: Model, precisions: tuple[torch.dtype, ...]) -> list[str]:
    """One fingerprint for each of ``precisions`` that the weights are rounded to first."""
    digests = [hashlib.blake2b(digest_size=16) for _ in precisions]
    for name, tensor in sorted(_parameters(model), key=lambda item: item[0]):
        values = original(tensor).detach().cpu()
        for digest, precision in zip(digests, precisions, strict=True):
            digest.update(f"{name} {list(tensor.shape)}\n".encode())
            exact = values.to(precision).to(torch.float32).contiguous()
            digest.update(exact.numpy().data)
    return [digest.hexdigest() for digest in digests]


def _parameters(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters that count, under names that do not depend on transformers' layout."""
    for component in model.text_encoders:
        for name, tensor in model.component(component).named_parameters():
            yield f"{component}.{name.removeprefix(_INNER)}", tensor
    sites = [site for path in model.family.paths(model) for site in path.sites]
    for layer in dict.fromkeys(site.name.rpartition(".")[0] or site.name for site in sites):
        module = submodule(model.denoiser, layer)
        assert module is not None
        for name, tensor in module.named_parameters():
            yield f"{model.family.denoiser}.{layer}.{name}", tensor
