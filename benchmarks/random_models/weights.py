"""Random weights for modules that were built without any.

The modules' own initialisation does not serve here: it leaves the last projection of many blocks
at zero, so that the text would not influence the image, and it allocates full-size models twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def no_weights() -> Iterator[None]:
    """Build modules with parameters on the meta device; buffers are computed as usual."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        yield


def fill(
    module: nn.Module,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    gains: Mapping[str, float] | None = None,
) -> None:
    """Fill every parameter of ``module`` with random values, in place.

    Weight matrices and kernels are normal with standard deviation ``1 / sqrt(fan_in)``; token
    embeddings are standard normal, position embeddings a third of that; normalization weights are
    close to 1 and biases close to 0. Tied parameters stay tied. The weights are allocated once.

    Args:
        module: A module built inside :func:`no_weights`.
        generator: Source of the random numbers.
        dtype: Data type of the parameters and of floating-point buffers.
        gains: Maps regular expressions to factors. A parameter is multiplied by the factor of the
            first expression found in its dotted name.
    """
    empty = list(module.parameters())  # keeps them alive, so that ids stay unique
    made: dict[int, nn.Parameter] = {}
    for prefix, child in module.named_modules():
        for name, parameter in child._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in made:
                value = torch.empty(parameter.shape, dtype=dtype)
                mean, deviation = _distribution(child, name, value)
                gain = _gain(f"{prefix}.{name}", gains or {})
                value.normal_(gain * mean, gain * deviation, generator=generator)
                made[id(parameter)] = nn.Parameter(value)
            child._parameters[name] = made[id(parameter)]
        for name, buffer in child._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                child._buffers[name] = buffer.to(dtype)
    del empty
    module.eval()


def _distribution(module: nn.Module, name: str, value: torch.Tensor) -> tuple[float, float]:
    """Mean and standard deviation of the parameter ``name`` of ``module``."""
    if isinstance(module, nn.Embedding):
        return 0.0, 1.0
    if value.ndim >= 2:
        return 0.0, value[0].numel() ** -0.5
    return (1.0, 0.1) if name == "weight" else (0.0, 0.05)


def _gain(name: str, gains: Mapping[str, float]) -> float:
    for pattern, factor in gains.items():
        if re.search(pattern, name):
            return factor
    return 1 / 3 if "position_embedding" in name else 1.0
