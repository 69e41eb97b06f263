"""What a run was made with: weights, versions, and the code that paints."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from torch import nn

from overpaint.models.clip import Clip
from overpaint.models.model import Model


def identity(model: Model, judge: Clip) -> str:
    """8 bytes in hexadecimal over all weights: pictures of other weights are other pictures."""
    digest = hashlib.blake2b(digest_size=8)
    parts = [p for p in model.pipeline.components.values() if isinstance(p, nn.Module)]
    if model.clip is not None and not model.card.clip:  # an embedded one belongs to its model
        parts.append(model.clip)
    for network in (*parts, judge.network):
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Python's, Overpaint's, and those of the libraries that paint."""
    found = {"python": platform.python_version()}
    for name in ("overpaint", "torch", "diffusers", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            from overpaint import __version__

            found[name] = __version__
    return found


def code() -> str:
    """8 bytes in hexadecimal over the source that turns prompts into pictures and features."""
    digest = hashlib.blake2b(digest_size=8)
    models = files("overpaint.models")
    sources = [*models.iterdir(), *(models / "families").iterdir()]
    for file in sorted(sources, key=lambda file: file.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()
