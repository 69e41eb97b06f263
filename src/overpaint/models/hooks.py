"""Watch and change what flows through modules, only inside ``with``.

Every hook is removed when the block ends, also when it ends by an exception.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

Change = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def record(*modules: nn.Module, outputs: bool = False) -> Iterator[tuple[list[torch.Tensor], ...]]:
    """Collect the first input (or the output) of each call of each module.

    Yields one list per module, in the order given; each call appends one tensor, undetached. ::

        with record(fc2) as (keys,):
            encoder(ids)
        keys[-1]  # [n, L, d_in]
    """
    seen: tuple[list[torch.Tensor], ...] = tuple([] for _ in modules)
    with ExitStack() as stack:
        for module, calls in zip(modules, seen, strict=True):
            stack.callback(_watch(module, calls, outputs).remove)
        yield seen


def _watch(module: nn.Module, calls: list[torch.Tensor], outputs: bool) -> Any:
    def after(_module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        calls.append(_first(output) if outputs else _first((*args, *kwargs.values())))

    return module.register_forward_hook(after, with_kwargs=True)


@contextmanager
def replace(module: nn.Module, change: Change, index: int = 0) -> Iterator[None]:
    """Put ``change(output)`` in the place of the module's output.

    Where the output is a tuple, its element ``index`` is changed. ``change`` must return a new
    tensor and leave the one it is given as it is.
    """

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (*output[:index], change(output[index]), *output[index + 1 :])
        return change(output)

    handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def replace_input(module: nn.Module, change: Change) -> Iterator[None]:
    """Put ``change(input)`` in the place of the module's first positional input."""

    def before(_module: nn.Module, args: Any) -> Any:
        return (change(args[0]), *args[1:])

    handle = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def replace_arguments(
    module: nn.Module, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[None]:
    """Put ``change(arguments)`` in the place of the module's arguments, all of them by name."""

    def before(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return (), change(named_arguments(module, args, kwargs))

    handle = module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def named_arguments(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a call of ``module``, those given by place under the names they stand for."""
    names = inspect.signature(module.forward).parameters
    return dict(zip(names, args, strict=False)) | kwargs


def _first(values: Any) -> torch.Tensor:
    """The first tensor of a tensor, a tuple or a model output."""
    if isinstance(values, torch.Tensor):
        return values
    items = values.values() if isinstance(values, dict) else values
    return next(v for v in items if isinstance(v, torch.Tensor))
