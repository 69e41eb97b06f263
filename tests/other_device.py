"""A second device without hardware: real numbers that may not meet those of the CPU.

A :class:`Remote` tensor says that it lies on another device and computes on the CPU. As on a GPU,
an operation that mixes it with a tensor of the CPU is an error, and only a copy changes sides:
whatever a method leaves on the CPU fails in the test as it would on CUDA. ::

    with second_device() as device:
        move(model, device)
        patch = method(model, edits)

The device is called ``meta``, the only one beside the CPU that every build of PyTorch knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
_ATEN = torch.ops.aten
# What may take tensors of both sides: copies, and indices on the CPU for a tensor elsewhere.
_COPIES = (_ATEN._to_copy.default, _ATEN.copy_.default)
_INDEXED = (_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default)
_PLACES = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)


class Remote(torch.Tensor):
    """A tensor on the second device; ``inner`` is its value on the CPU."""

    inner: torch.Tensor
    is_meta = False
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Remote:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self, **_: Any) -> str:
        return f"Remote({self.inner})"

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees operations that create tensors, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _index(numbers: list[Any]) -> torch.Tensor:
    return torch.tensor(numbers) if numbers else torch.zeros(0, dtype=torch.long)


class _FromData(TorchFunctionMode):
    """PyTorch makes tensors from Python's numbers without asking dispatch modes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _PLACES and isinstance(args[0], Remote):
            place = args[1] if isinstance(args[1], tuple) else (args[1],)
            place = tuple(_index(x) if isinstance(x, list) else x for x in place)
            args = (args[0], place, *args[2:])
        made = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        asked = kwargs.get("device")
        if func is torch.Tensor.new_tensor:
            like, *args = args
            kwargs = {"dtype": like.dtype, **kwargs}
            asked, func = asked or like.device, torch.tensor
        if made and asked is not None and not isinstance(args[0], torch.Tensor):
            return func(*args, **{**kwargs, "device": "cpu"}).to(asked)
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    remote = any(isinstance(tensor, Remote) for tensor in tensors)
    if func is _ATEN._fused_sdp_choice.default and remote:
        return 0  # plain products: the fused kernels belong to devices
    asked = kwargs.get("device")
    away = remote if asked is None else torch.device(asked).type == DEVICE.type
    if func not in _COPIES:
        _check_sides(func, args, kwargs)
    if asked is not None:
        kwargs = {**kwargs, "device": "cpu"}
    assert not any(x.is_meta for x in tensors), f"{func} got a tensor without values"
    result = func(*tree_map(_inside, args), **tree_map(_inside, kwargs))
    if func is _ATEN.copy_.default or func._schema.name.endswith("_"):
        return args[0]
    if "out" in kwargs:
        return kwargs["out"]
    return tree_map(_away, result) if away else result


def _check_sides(func: Any, args: Any, kwargs: Any) -> None:
    """RuntimeError where tensors of both sides meet; numbers of the CPU go anywhere."""
    if func in _INDEXED and isinstance(args[0], Remote):
        args = (args[0], *args[2:])
    leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    here = [x for x in leaves if not isinstance(x, Remote) and x.dim() > 0]
    if here and len(here) < len(leaves) and any(isinstance(x, Remote) for x in leaves):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {func} got "
            f"{[(str(x.device), list(x.shape)) for x in leaves]}"
        )


def _away(value: Any) -> Any:
    return Remote(value) if isinstance(value, torch.Tensor) else value


def _inside(value: Any) -> Any:
    return value.inner if isinstance(value, Remote) else value


@contextmanager
def second_device() -> Iterator[torch.device]:
    """The device inside the ``with`` block."""
    with _Mode(), _FromData():
        yield DEVICE


def move(module: nn.Module) -> None:
    """Put the parameters and buffers of ``module`` on the second device."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not isinstance(parameter, Remote):
                moved = nn.Parameter(Remote(parameter.detach().clone()), requires_grad=False)
                part._parameters[name] = moved
        for name, buffer in part._buffers.items():
            if buffer is not None and not isinstance(buffer, Remote):
                part._buffers[name] = Remote(buffer.detach().clone())
