"""The weights that a model was loaded with, whatever has been wrapped around them since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

_INNER = "text_model."
# Wrappers, by the attribute that holds what they wrap: torch.compile, PEFT's layers, PEFT's whole
# trained modules, PEFT's models (whose `base_model` is a tuner, and whose `model` is the network).
_WRAPPED = ("_orig_mod", "base_layer", "original_module")


def base_parameters(component: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of ``component`` under names that do not depend on wrappers.

    Adapters (LoRA and its kin) are left out, and the layers they were added to keep the names they
    had; so do compiled modules. transformers' inner ``text_model`` is left out of the names as in
    :func:`overpaint.models.sites.stored_name`. A parameter that stands in several places comes
    once, under its first name.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, parameter in _walk(component, ""):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            found[name.removeprefix(_INNER)] = parameter
    return found


def unwrapped(module: nn.Module) -> nn.Module:
    """What ``module`` is once every wrapper is taken off."""
    inner: Any = module
    while True:
        wrapped = next((w for name in _WRAPPED if (w := _inner(inner, name)) is not None), None)
        if wrapped is None and hasattr(inner, "peft_config"):
            tuner = _inner(inner, "base_model")
            wrapped = None if tuner is None else _inner(tuner, "model")
        if wrapped is None:
            return inner
        inner = wrapped


def _inner(module: nn.Module, name: str) -> nn.Module | None:
    found = getattr(module, name, None)
    return found if isinstance(found, nn.Module) and found is not module else None


def _walk(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
    module = unwrapped(module)
    for name, parameter in module.named_parameters(recurse=False):
        yield prefix + name, parameter
    for name, child in module.named_children():
        yield from _walk(child, f"{prefix}{name}.")
