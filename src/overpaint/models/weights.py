"""Weights that change for a while: deltas on a model's linear sites, taken off bit for bit.

Every touched weight keeps its original tensor and the deltas now on it, in order. Its value is
always computed anew as ``W0 + Σ ΔW`` (float32, rounded once to the weight's precision), never by
subtraction, and a relative delta's ``ΔW = W0 L A`` is that of the original W0, whatever lies under
it. So whichever deltas are taken off, in whichever order, the weight has the bits it
would have had if they had never been put on; with none left the original is copied back.

Writes are in place: whoever shares the tensor (``pipeline.text_encoder`` and the text tower of a
joint CLIP, tied weights, views of one storage) sees the change, and it is made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from overpaint.errors import SiteError
from overpaint.models.model import Model
from overpaint.models.sites import module_at, resolve, stored_name
from overpaint.types import Change, Delta, RelativeDelta, Site


@dataclass(eq=False)
class _Stack:
    """One weight's kept original and the layers of deltas on it, oldest first."""

    original: torch.Tensor
    layers: dict[object, list[Change]] = field(default_factory=dict)


@dataclass(eq=False)
class Layer:
    """Deltas put on a model together by :func:`push`; :func:`pop` takes them off again."""

    weights: list[torch.Tensor] = field(default_factory=list)
    # Stands for the layer in the stacks, which must not keep their own weak keys alive.
    key: object = field(default_factory=object)


# Stacks of all weights that are changed now. Weak keys: a model thrown away with its patches on
# takes them along. Per weight, not per `Model`: two models may share a pipeline.
_STACKS = WeakTensorKeyDictionary()


@contextmanager
def with_deltas(model: Model, deltas: Sequence[Change]) -> Iterator[None]:
    """Put ``deltas`` on ``model`` inside the ``with`` block, on top of what is already on it.

    Afterwards, also after an exception, every weight has the bits it had before (or those it would
    have had, when something below was taken off meanwhile). Raises :class:`SiteError` before any
    weight is touched if a delta does not fit.
    """
    layer = push(model, deltas)
    try:
        yield
    finally:
        pop(layer)


def push(model: Model, deltas: Sequence[Change]) -> Layer:
    """Put ``deltas`` on ``model``; all or none. Prefer :func:`with_deltas`.

    Site names may be those of the installed transformers or the layout-free ones of files.
    Raises :class:`SiteError` (before any weight is touched) if a delta does not fit.
    """
    pairs = [(_weight(module_of(model, d.site), d), d) for d in deltas]
    layer = Layer()
    try:
        for weight, delta in pairs:
            weight = _shared(weight)
            stack = _STACKS.get(weight)
            if stack is None:
                stack = _STACKS[weight] = _Stack(weight.detach().clone())
            if layer.key not in stack.layers:
                layer.weights.append(weight)
            stack.layers.setdefault(layer.key, []).append(delta)
        for weight in layer.weights:
            _refresh(weight)
    except BaseException:
        pop(layer)
        raise
    return layer


def pop(layer: Layer) -> None:
    """Take the deltas of ``layer`` off; what else is on the model stays exact. Twice is once."""
    with ExitStack() as every:  # every weight is restored even if one of them cannot be
        for weight in layer.weights:
            every.callback(_remove, weight, layer.key)
    layer.weights.clear()


@contextmanager
def without_deltas() -> Iterator[None]:
    """Original weights inside the ``with`` block, whatever is on any model; all back afterwards."""
    weights = list(_STACKS)
    try:
        for weight in weights:
            _write(weight, _STACKS[weight].original)
        yield
    finally:
        with ExitStack() as every:
            for weight in weights:
                every.callback(_refresh, weight)


def original(weight: torch.Tensor) -> torch.Tensor:
    """The tensor ``weight`` had before any delta was put on it; itself when there is none."""
    stack = _STACKS.get(_shared(weight))
    return weight if stack is None else stack.original


def changes_on(weight: torch.Tensor) -> tuple[Change, ...]:
    """What is on ``weight`` now, oldest first."""
    stack = _STACKS.get(_shared(weight))
    return () if stack is None else tuple(d for layer in stack.layers.values() for d in layer)


def written_out(model: Model, deltas: Sequence[Change]) -> tuple[Delta, ...]:
    """``deltas`` with factors of their own: relative ones bound to ``model``'s original weights.

    They change the model as before, bit for bit, and say so without it. Raises
    :class:`SiteError` if a delta does not fit.
    """
    weights = [_weight(module_of(model, delta.site), delta) for delta in deltas]
    return tuple(
        delta.bind(original(weight)) if isinstance(delta, RelativeDelta) else delta
        for delta, weight in zip(deltas, weights, strict=True)
    )


def module_of(model: Model, site: Site) -> nn.Linear:
    """The module of ``site`` in ``model``, its name in either layout of transformers.

    Raises :class:`SiteError` if there is none or its shape is another.
    """
    return module_at(
        model, replace(site, name=resolve(model, site.component, stored_name(site)).name)
    )


def _weight(module: nn.Linear, delta: Change) -> torch.Tensor:
    """The weight of ``module``, after checking that ``delta`` can be put on it."""
    site, weight = delta.site, module.weight
    if not weight.is_floating_point() or weight.is_meta:
        raise SiteError(
            f"expected floating point weights in memory at {site.component} {site.name}, got "
            f"{weight.dtype} on {weight.device}; load the model unquantised and without offloading"
        )
    relative = isinstance(delta, RelativeDelta)
    rows, wanted = (delta.left, weight.shape[1]) if relative else (delta.b, weight.shape[0])
    if (rows.shape[0], delta.a.shape[1]) != (wanted, weight.shape[1]):
        raise SiteError(
            f"expected a delta [{wanted}, {weight.shape[1]}] at {site.component} "
            f"{site.name}, got [{rows.shape[0]}, {delta.a.shape[1]}]"
        )
    return weight


def _shared(weight: torch.Tensor) -> torch.Tensor:
    """The tensor under which memory of ``weight`` is already in the books, or ``weight`` itself."""
    if weight in _STACKS:
        return weight
    start = weight.data_ptr()  # the cheap half of the question first: fingerprints ask it often
    twins = (other for other in _STACKS if other.data_ptr() == start)
    return next((other for other in twins if _place(other) == _place(weight)), weight)


def _place(weight: torch.Tensor) -> tuple[object, ...]:
    return weight.device, weight.dtype, weight.shape, weight.stride()


def _remove(weight: torch.Tensor, key: object) -> None:
    stack = _STACKS.get(weight)
    if stack is not None:  # None when an earlier, interrupted attempt has got that far
        stack.layers.pop(key, None)
        _refresh(weight)


@torch.no_grad()
def _refresh(weight: torch.Tensor) -> None:
    """Give ``weight`` the value its stack says; drop the stack when nothing is left on it."""
    stack = _STACKS[weight]
    if not stack.layers:
        _write(weight, stack.original)
        del _STACKS[weight]
        return
    exact = torch.promote_types(weight.dtype, torch.float32)
    start = stack.original.to(weight.device, exact)
    value = start.clone()
    for deltas in stack.layers.values():
        for delta in deltas:
            value += delta.change(start)
    _write(weight, value)


@torch.no_grad()
def _write(weight: torch.Tensor, value: torch.Tensor) -> None:
    # Not through `.data`: autograd shall notice when a graph still needs the value overwritten.
    weight.copy_(value)
