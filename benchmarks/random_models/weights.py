"""Random weights for a network that was built without any.

A network's own initialisation is of no use here: it leaves the last projection of many blocks at
zero, so that the text would not reach the picture, and it depends on the order of construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def no_weights() -> Iterator[None]:
    """Networks built inside have parameters on the meta device; buffers are computed as usual."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        yield


def fill(
    network: nn.Module,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    gains: Mapping[str, float] | None = None,
) -> None:
    """Give every parameter of ``network`` a random value, in place.

    Matrices and kernels are normal with standard deviation ``1 / sqrt(fan_in)``, embeddings
    standard normal (positions a third of that, so that words count for more than places), scales
    of norms near 1, biases near 0. Shared parameters stay shared. Memory: the weights once.

    Args:
        network: Built inside :func:`no_weights`.
        generator: Source of the random numbers; networks filled one after another differ.
        dtype: Of the parameters and floating-point buffers.
        gains: Regular expression for a parameter's dotted name -> factor of its values; the first
            that is found in the name counts.
    """
    empty = list(network.parameters())  # alive, so that no other object gets one's id
    made: dict[int, nn.Parameter] = {}
    for prefix, module in network.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in made:
                value = torch.empty(parameter.shape, dtype=dtype)
                mean, deviation = _distribution(module, name, value)
                gain = _gain(f"{prefix}.{name}", gains or {})
                value.normal_(gain * mean, gain * deviation, generator=generator)
                made[id(parameter)] = nn.Parameter(value)
            module._parameters[name] = made[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.to(dtype)
    del empty
    network.eval()


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
