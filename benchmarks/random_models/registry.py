"""Names of random models, each with the function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from random_models.weights import fill, no_weights

Parts = dict[str, Any]
"""Components of a pipeline by name; networks among them have no weights yet."""


@dataclass(frozen=True)
class Recipe:
    """How one random model is made and painted with.

    Attributes:
        pipeline: Name of the pipeline's class in diffusers.
        parts: Returns the components (and other arguments of the pipeline's class). Called inside
            :func:`random_models.weights.no_weights`; takes the options of ``build``.
        call: Arguments, beside the prompt, for a small picture in few steps. Values that are
            functions are called (pictures, for pipelines that start from one).
        gains: Factors of the weights by component, see :func:`random_models.weights.fill`.
        attributes: Set on the pipeline object. They are not saved with it.
    """

    pipeline: str
    parts: Callable[..., Parts]
    call: Mapping[str, Any] = field(default_factory=dict)
    gains: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {}


def recipe(
    name: str, pipeline: str, **more: Any
) -> Callable[[Callable[..., Parts]], Callable[..., Parts]]:
    """Register the function below as the one that makes the parts of ``name``.

    ``more`` are further fields of :class:`Recipe`.
    """

    def register(parts: Callable[..., Parts]) -> Callable[..., Parts]:
        RECIPES[name] = Recipe(pipeline, parts, **more)
        return parts

    return register


def build(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Build the random model ``name``: a diffusers pipeline of the true classes, made small.

    Args:
        name: One of ``NAMES``.
        seed: Seed of the weights. The tokenizers are always the same.
        dtype: Of all weights.
        options: What the model's own function takes; ``size="full"`` for the true size of
            ``"SD1"`` and ``"SDXL"``.

    Returns:
        The pipeline, on the CPU, in evaluation mode, its progress bar switched off.

    Raises:
        KeyError: No model has that name.
    """
    import diffusers

    made = _called(name)
    generator = torch.Generator().manual_seed(seed)
    with no_weights(), _quiet():
        parts = made.parts(**options)
    for part, network in parts.items():
        if isinstance(network, nn.Module):
            fill(network, generator, dtype=dtype, gains=made.gains.get(part))
    with _quiet():
        pipeline = getattr(diffusers, made.pipeline)(**parts)
    return settle(name, pipeline)


def settle(name: str, pipeline: Any) -> Any:
    """Prepare ``pipeline`` for small pictures in silence, and return it.

    :func:`build` does it; do it again with a pipeline that was saved and loaded, because
    diffusers does not save it.

    Raises:
        KeyError: No model has that name.
    """
    for key, value in _called(name).attributes.items():
        setattr(pipeline, key, value)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def call_arguments(name: str) -> dict[str, Any]:
    """Arguments beside the prompt with which ``build(name)`` paints a small picture in few steps.

    Raises:
        KeyError: No model has that name.
    """
    return {key: value() if callable(value) else value for key, value in _called(name).call.items()}


def _called(name: str) -> Recipe:
    if name not in RECIPES:
        raise KeyError(f"No random model {name!r}; expected one of {', '.join(RECIPES)}.")
    return RECIPES[name]


@contextmanager
def _quiet():
    """Keep the loaders' notes (missing torchvision, safety checker) off the screen."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    logs = (diffusers_logging, transformers_logging)
    before = [log.get_verbosity() for log in logs]
    for log in logs:
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log, verbosity in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
