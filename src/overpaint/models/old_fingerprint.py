"""The fingerprint of patch files of formats 1 and 2: one digest of a whole model.

Newer files have a mark for each component (:mod:`overpaint.models.fingerprint`). This one is
computed only when a patch from an older file is applied: it reads all weights on the CPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain

import torch

from overpaint.models.base_weights import base_parameters
from overpaint.models.fingerprint import PRECISIONS
from overpaint.models.model import Model
from overpaint.models.sites import submodule
from overpaint.models.weights import originals


def old_fingerprints(model: Model) -> tuple[str, ...]:
    """The digest of the weights as they are, rounded to float16 and rounded to bfloat16.

    Covers the text encoders and the attention modules that read text, of the families that those
    files were written for.
    """
    found = [hashlib.blake2b(digest_size=16) for _ in PRECISIONS]
    named = sorted(_parameters(model), key=lambda item: item[0])
    values = originals([tensor for _, tensor in named])
    for (name, _), value in zip(named, values, strict=True):
        plain = value.detach().cpu()
        for digest, precision in zip(found, PRECISIONS, strict=True):
            digest.update(f"{name} {list(value.shape)}\n".encode())
            digest.update(plain.to(precision).to(torch.float32).contiguous().numpy().data)
    return tuple(digest.hexdigest() for digest in found)


def _parameters(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    for component in model.text_encoders:
        for name, tensor in base_parameters(model.component(component)).items():
            yield f"{component}.{name}", tensor
    sites = chain.from_iterable(path.sites for path in model.family.paths(model))
    for layer in dict.fromkeys(site.name.rpartition(".")[0] for site in sites):
        module = submodule(model.denoiser, layer)
        for name, tensor in base_parameters(module).items() if module else ():
            yield f"{model.family.denoiser}.{layer}.{name}", tensor
