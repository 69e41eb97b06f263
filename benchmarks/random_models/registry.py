"""The registry of random models: a name, and how the model of that name is built and called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from random_models.weights import fill, no_weights

Parts = dict[str, Any]
"""Arguments of a pipeline's class by name; the modules among them have no weights yet."""


@dataclass(frozen=True)
class Recipe:
    """How one random model is built and called.

    Attributes:
        pipeline: Name of the diffusers pipeline class.
        parts: Function that returns the arguments of that class. It is called inside
            :func:`random_models.weights.no_weights` with the options given to :func:`build`.
        call: Arguments of the pipeline's ``__call__``, besides the prompt, that generate a small
            image in few steps. A value that is a function is called first (input images).
        gains: Factors of the weights by component; see :func:`random_models.weights.fill`.
        attributes: Attributes to set on the pipeline object, which does not save them.
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
    """Return a decorator that registers a function as ``Recipe.parts`` of the model ``name``.

    ``more`` are further fields of :class:`Recipe`.
    """

    def register(parts: Callable[..., Parts]) -> Callable[..., Parts]:
        RECIPES[name] = Recipe(pipeline, parts, **more)
        return parts

    return register


def build(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """Build the random model ``name``: a small diffusers pipeline of the original's classes.

    Args:
        name: One of ``NAMES``.
        seed: Seed of the weights. The tokenizers do not depend on it.
        dtype: Data type of all weights.
        options: Options of the model's own function. All accept changes of the denoiser's
            configuration; ``"SD1"`` and ``"SDXL"`` accept ``size="full"`` for the original size.

    Returns:
        The pipeline on the CPU, in evaluation mode, with its progress bar disabled.

    Raises:
        KeyError: If no model has that name.
    """
    import diffusers

    found = _called(name)
    generator = torch.Generator().manual_seed(seed)
    with no_weights(), _quiet():
        parts = found.parts(**options)
    for part, module in parts.items():
        if isinstance(module, nn.Module):
            fill(module, generator, dtype=dtype, gains=found.gains.get(part))
    with _quiet():
        pipeline = getattr(diffusers, found.pipeline)(**parts)
    return settle(name, pipeline)


def settle(name: str, pipeline: Any) -> Any:
    """Set what diffusers does not save with ``pipeline``, and return it.

    These are the recipe's attributes and the disabled progress bar. :func:`build` calls this;
    call it again for a pipeline that was loaded with ``from_pretrained``.

    Raises:
        KeyError: If no model has that name.
    """
    for key, value in _called(name).attributes.items():
        setattr(pipeline, key, value)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def call_arguments(name: str) -> dict[str, Any]:
    """Arguments of ``__call__``, besides the prompt, that generate a small image in few steps.

    Raises:
        KeyError: If no model has that name.
    """
    return {key: value() if callable(value) else value for key, value in _called(name).call.items()}


def _called(name: str) -> Recipe:
    if name not in RECIPES:
        names = ", ".join(sorted(RECIPES, key=str.lower))
        raise KeyError(f"No random model {name!r}; expected one of {names}.")
    return RECIPES[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress log messages about optional parts (torchvision, safety checker)."""
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
