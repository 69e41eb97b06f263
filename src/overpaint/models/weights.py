"""Weights that change for a while: deltas on a model's linear sites, taken off bit for bit.

Every touched weight keeps its original tensor and the deltas now on it, in order. Its value is
always computed anew as ``W0 + Σ ΔW`` (float32, rounded once to the weight's precision), never by
subtraction, and a relative delta's ``ΔW = W0 L A`` is that of the original W0, whatever lies under
it. So whichever deltas are taken off, in whichever order, the weight has the bits it
would have had if they had never been put on; with none left the original is copied back.

Writes are in place: whoever shares the tensor (``pipeline.text_encoder`` and the text tower of a
joint CLIP, tied weights, views of one storage) sees the change, and it is made once. A weight that
somebody else has changed since is never overwritten: a sum of the bits that were written tells.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from overpaint.errors import ModelError, PatchError, WeightsChangedError
from overpaint.models.arithmetic import no_autocast
from overpaint.models.checksum import bit_sum, gathered
from overpaint.models.interrupt import uninterrupted
from overpaint.models.model import Model
from overpaint.models.places import Place, module_of, place_of
from overpaint.models.probe import Probe
from overpaint.types import Change, Delta, RelativeDelta, Site

__all__ = [
    "Layer",
    "changes_by_others",
    "changes_on",
    "check",
    "exclusive",
    "module_of",
    "original",
    "originals",
    "pop",
    "push",
    "unchanging",
    "with_deltas",
    "written_out",
]


@dataclass(eq=False)
class _Stack:
    """One weight's kept original, the layers of deltas on it (oldest first), and what was written.

    ``written`` is the sum of the bits of the value that the weight was given last.
    """

    original: Tensor
    layers: dict[object, list[Change]] = field(default_factory=dict)
    written: bytes = b""


@dataclass(frozen=True, eq=False)
class _Touched:
    """A weight under a layer: the stack it is kept in, and the module that holds it."""

    key: Tensor
    weight: Tensor
    module: weakref.ref[nn.Linear]
    site: Site


@dataclass(eq=False)
class Layer:
    """Deltas put on a model together by :func:`push`; :func:`pop` takes them off again."""

    touched: list[_Touched] = field(default_factory=list)
    # Stands for the layer in the stacks, which must not keep their own weak keys alive.
    key: object = field(default_factory=object)

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        # A copy would know nothing of the original weights, and revert would do nothing.
        raise PatchError(
            "expected to keep one handle of an applied patch, got a copy or a pickle of it; revert "
            "the patch first, or copy the model and apply the patch to the copy"
        )


# Stacks of all weights that are changed now. Weak keys: a model thrown away with its patches on
# takes them along. Per weight, not per `Model`: two models may share a pipeline.
_STACKS = WeakTensorKeyDictionary()
# How often a weight's version went up because of this module.
_OWN_WRITES = WeakTensorKeyDictionary()
_BOOKS = threading.RLock()
_EXCLUSIVE: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


@contextmanager
def exclusive(model: Model) -> Iterator[None]:
    """One thread at a time inside: others that ask for the same model wait until it is free."""
    with _BOOKS:
        lock = _EXCLUSIVE.setdefault(_network(model), threading.RLock())
    with lock:
        yield


def _network(model: Model) -> nn.Module:
    """The network that stands for a model: models around one pipeline share it."""
    try:
        return model.denoiser
    except ModelError:  # a model may be loaded without it, to edit its text encoders
        return model.component(model.text_encoders[0])


@contextmanager
def unchanging() -> Iterator[None]:
    """Inside, no other thread puts deltas on any model or takes them off: to read weights."""
    with _BOOKS:
        yield


@contextmanager
def with_deltas(model: Model, deltas: Sequence[Change]) -> Iterator[None]:
    """Put ``deltas`` on ``model`` inside the ``with`` block, on top of what is already on it.

    Afterwards, also after an exception, every weight has the bits it had before (or those it would
    have had, when something below was taken off meanwhile). Other threads that want the model for
    themselves wait until the block has ended.

    Raises:
        SiteError: If a delta does not fit, before any weight is touched.
        WeightsChangedError: At the end, if somebody else has changed a weight inside the block.
    """
    with exclusive(model):
        layer = push(model, deltas)
        try:
            yield
        finally:
            try:
                pop(layer)
            except KeyboardInterrupt:  # it came before `pop` could hold it back
                pop(layer)
                raise


def push(model: Model, deltas: Sequence[Change]) -> Layer:
    """Put ``deltas`` on ``model``; all or none. Prefer :func:`with_deltas`.

    Site names may be those of the installed transformers or the layout-free ones of files.

    Raises:
        SiteError: If a delta does not fit, or its site cannot be edited, before any weight is
            touched.
        PatchError: If a weight would not be finite, or its module does not use it, with every
            weight as it was.
        WeightsChangedError: If a weight is no longer what earlier patches have made it.
    """
    with uninterrupted() as held, _BOOKS, torch.no_grad(), ExitStack() as stack:
        places = [place_of(model, delta) for delta in deltas]
        layer = Layer()
        stacked = _addresses()
        for place in places:
            key = _shared(place.weight, stacked)
            stacked.setdefault(key.data_ptr(), []).append(key)
            layer.touched.append(_Touched(key, place.weight, weakref.ref(place.module), place.site))
        devices = {touched.weight.device for touched in layer.touched}
        stack.enter_context(no_autocast(*devices))
        _check_unchanged(layer.touched)
        probes = [Probe.of(place) for place in _once(places) if not place.plain]
        try:
            _put_on(layer, deltas)
            for probe in probes:
                probe.check()
        except BaseException:
            _take_off(layer)
            raise
        if held:  # the caller gets no layer to take off
            _take_off(layer)
        return layer


def pop(layer: Layer, *, force: bool = False) -> None:
    """Take the deltas of ``layer`` off; what else is on the model stays exact. Twice is once.

    Raises:
        WeightsChangedError: If a weight is not what was written, with nothing taken off. With
            ``force`` the change that somebody else has made is lost instead.
    """
    devices = {touched.weight.device for touched in layer.touched}
    with uninterrupted(), _BOOKS, torch.no_grad(), no_autocast(*devices):
        if not force:
            _check_unchanged(layer.touched)
        _take_off(layer, force=force)


def check(model: Model, deltas: Sequence[Change]) -> None:
    """Raise SiteError unless every delta fits a weight of ``model`` that can be edited."""
    for delta in deltas:
        place_of(model, delta)


def original(weight: Tensor) -> Tensor:
    """The tensor ``weight`` had before any delta was put on it; itself when there is none."""
    return originals([weight])[0]


def originals(weights: Sequence[Tensor]) -> list[Tensor]:
    """:func:`original` of each of ``weights``."""
    with _BOOKS:
        stacked = _addresses()
        stacks = [_STACKS.get(_shared(weight, stacked)) for weight in weights]
    pairs = zip(weights, stacks, strict=True)
    return [weight if stack is None else stack.original for weight, stack in pairs]


def changes_on(weight: Tensor) -> tuple[Change, ...]:
    """What is on ``weight`` now, oldest first."""
    with _BOOKS:
        stack = _STACKS.get(_shared(weight, _addresses()))
        return () if stack is None else tuple(d for layer in stack.layers.values() for d in layer)


def changes_by_others(weight: Tensor) -> int:
    """How often ``weight`` was written to in place, other than by deltas put on and taken off.

    Writes through ``weight.data`` are not counted: PyTorch does not count them.
    """
    return _version(weight) - _own_writes(weight)


def written_out(model: Model, deltas: Sequence[Change]) -> tuple[Delta, ...]:
    """``deltas`` with factors of their own: relative ones bound to ``model``'s original weights.

    They change the model as before, bit for bit, and say so without it.

    Raises:
        SiteError: If a delta does not fit.
    """
    weights = [place_of(model, delta).weight for delta in deltas]
    return tuple(
        delta.bind(original(weight)) if isinstance(delta, RelativeDelta) else delta
        for delta, weight in zip(deltas, weights, strict=True)
    )


def _once(places: Sequence[Place]) -> list[Place]:
    """``places``, each module once."""
    return list({id(place.module): place for place in places}.values())


def _addresses() -> dict[int, list[Tensor]]:
    """The weights that are changed now, by where their memory begins."""
    found: dict[int, list[Tensor]] = {}
    for weight in _STACKS:
        found.setdefault(weight.data_ptr(), []).append(weight)
    return found


def _shared(weight: Tensor, stacked: dict[int, list[Tensor]]) -> Tensor:
    """The tensor under which memory of ``weight`` is already in the books, or ``weight`` itself."""
    if weight in _STACKS:
        return weight
    twins = stacked.get(weight.data_ptr(), ())
    return next((other for other in twins if _layout(other) == _layout(weight)), weight)


def _layout(weight: Tensor) -> tuple[object, ...]:
    return weight.device, weight.dtype, weight.shape, weight.stride()


def _put_on(layer: Layer, deltas: Sequence[Change]) -> None:
    """Add ``deltas`` to the stacks and write the new values; PatchError if one is not finite."""
    for touched, delta in zip(layer.touched, deltas, strict=True):
        stack = _STACKS.get(touched.key)
        if stack is None:
            stack = _STACKS[touched.key] = _Stack(touched.key.detach().clone())
        stack.layers.setdefault(layer.key, []).append(delta)
    first = {id(touched.key): touched for touched in layer.touched}
    moved: _Moved = {}
    factors = {key: _factors(touched.key, moved) for key, touched in first.items()}
    bounds = gathered([_bound(pairs) for pairs in factors.values()])
    for (key, touched), bound in zip(first.items(), bounds, strict=True):
        largest = torch.finfo(touched.weight.dtype).max / 2
        # The bound is a rough one: beyond it the weights themselves are looked at.
        if not np.frombuffer(bound, "<f4")[0] <= largest and _overflows(touched.key, factors[key]):
            raise PatchError(
                f"expected finite weights with the patch on, got infinity or NaN in the "
                f"{touched.weight.dtype} of {touched.site.component} {touched.site.name}; the "
                "patch is too large for this model: compute it again"
            )
    _refresh([touched.key for touched in first.values()], factors)


def _take_off(layer: Layer, *, force: bool = False) -> None:
    """Remove ``layer`` from the stacks and write what is left; every weight is tried."""
    keys = {id(touched.key): touched.key for touched in layer.touched}
    # A key without a stack is one that an earlier, interrupted attempt has dealt with.
    stacked = [key for key in keys.values() if key in _STACKS]
    for key in stacked:
        _STACKS[key].layers.pop(layer.key, None)
    _refresh(stacked)
    for touched in layer.touched if force else ():
        module = touched.module()
        if module is not None and module.weight is not touched.weight:
            _write(module.weight, touched.key)
    layer.touched.clear()


_Pairs = list[tuple[Tensor, Tensor]]
_Moved = dict[tuple[int, torch.device, torch.dtype], Tensor]


def _refresh(weights: Sequence[Tensor], factors: Mapping[int, _Pairs] | None = None) -> None:
    """Give ``weights`` the values their stacks say; drop stacks with nothing left on them.

    Every weight is tried, even if one fails. ``factors`` are those of :func:`_factors`, by the ids
    of the weights, if they are known.
    """
    moved: _Moved = {}
    scratch: dict[object, Tensor] = {}
    failed: list[BaseException] = []
    written: list[tuple[Tensor, Tensor]] = []
    for weight in weights:
        stack = _STACKS[weight]
        try:
            if not stack.layers:
                _write(weight, stack.original)
                del _STACKS[weight]
                continue
            pairs = factors[id(weight)] if factors else _factors(weight, moved)
            value = _value(weight, pairs, scratch)
            bits = bit_sum(value)
            _write(weight, value)
            written.append((weight, bits))
        except BaseException as error:
            failed.append(error)
    for (weight, _), mark in zip(written, gathered([bits for _, bits in written]), strict=True):
        _STACKS[weight].written = mark
    torch.clear_autocast_cache()  # which may hold the old values in another precision
    if failed:
        raise failed[0]


def _factors(weight: Tensor, moved: _Moved) -> _Pairs:
    """``b [d_out, r]`` and ``a [r, d_in]`` of every delta on ``weight``, where it is.

    ``moved`` keeps the factors that several sites share once they are on the weight's device.
    """
    stack = _STACKS[weight]
    exact = _exact(stack.original)

    def here(factor: Tensor) -> Tensor:
        place = (id(factor), weight.device, exact)
        if place not in moved:
            moved[place] = factor.to(weight.device, exact)
        return moved[place]

    start = stack.original.to(weight.device, exact)
    return [
        (start @ here(d.left) if isinstance(d, RelativeDelta) else here(d.b), here(d.a))
        for layer in stack.layers.values()
        for d in layer
    ]


def _value(weight: Tensor, pairs: _Pairs, scratch: dict[object, Tensor]) -> Tensor:
    """``W0 + Σ B A`` in the precision of ``weight``, valid until the next call.

    ``scratch`` keeps the memory for it, of which a fresh piece costs as much as the product.
    """
    original = _STACKS[weight].original
    start = original.to(weight.device, _exact(original))
    place = (start.shape, start.dtype, start.device)
    if place not in scratch:
        scratch[place] = torch.empty_like(start, memory_format=torch.contiguous_format)
    value = scratch[place]
    for number, (b, a) in enumerate(pairs):
        torch.addmm(value if number else start, b, a, out=value)
    return value.to(weight.dtype)


def _exact(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


def _bound(pairs: _Pairs) -> Tensor:
    """No entry of ``Σ B A`` is larger, ``[1]`` float32: ``|bᵢ · aⱼ| <= ‖bᵢ‖ ‖aⱼ‖``."""
    bounds = [b.norm(dim=1).amax() * a.norm(dim=0).amax() for b, a in pairs]
    return torch.stack(bounds).sum(dtype=torch.float32).reshape(1)


def _overflows(weight: Tensor, pairs: _Pairs) -> bool:
    """Whether a finite value of the original becomes infinite or NaN."""
    finite = torch.isfinite(_STACKS[weight].original.to(weight.device))
    return not bool(torch.isfinite(_value(weight, pairs, {}))[finite].all())


def _write(weight: Tensor, value: Tensor) -> None:
    before = _version(weight)
    try:
        # A weight made in inference mode can only be written to in it.
        with torch.inference_mode() if weight.is_inference() else nullcontext():
            # Not through `.data`: autograd shall notice when a graph still needs the old value.
            weight.copy_(value)
    finally:
        _OWN_WRITES[weight] = _own_writes(weight) + _version(weight) - before


def _own_writes(weight: Tensor) -> int:
    return _OWN_WRITES.get(weight) or 0


def _version(weight: Tensor) -> int:
    return 0 if weight.is_inference() else weight._version


def _check_unchanged(layer: Sequence[_Touched]) -> None:
    """Raise WeightsChangedError unless all weights are what was written to them last."""
    here = [touched for touched in layer if touched.key in _STACKS]
    for touched in here:
        module, dtype = touched.module(), _STACKS[touched.key].original.dtype
        if module is not None and module.weight is not touched.weight:
            raise _changed(touched, "another weight in its place")
        if touched.key.dtype != dtype:
            raise _changed(touched, f"{touched.key.dtype} in place of {dtype}")
        if touched.key.is_meta:
            raise _changed(touched, "a weight that is not in memory")
    now = gathered([bit_sum(touched.key) for touched in here])
    for touched, found in zip(here, now, strict=True):
        if found != _STACKS[touched.key].written:
            raise _changed(touched, "other values")


def _changed(touched: _Touched, what: str) -> WeightsChangedError:
    return WeightsChangedError(
        f"expected {touched.site.component} {touched.site.name} as the patch has left it, got "
        f"{what}: a LoRA fused or unfused, weights loaded or a training step since; undo that and "
        "revert again, or use revert(force=True), which puts the original weights back and loses "
        "the change"
    )
