"""A short name for the weights that a patch was computed on.

It says which base weights a model has, and nothing else: neither patches that are on the model, nor
adapters (LoRA), tokens that textual inversion has added, compilation, offloading or the device.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils.weak import WeakTensorKeyDictionary

from overpaint.errors import ModelError
from overpaint.models.base_weights import base_parameters
from overpaint.models.checksum import digests, gathered
from overpaint.models.model import Model
from overpaint.models.places import module_of
from overpaint.models.sites import stored_name
from overpaint.models.weights import changes_by_others, originals, unchanging
from overpaint.types import Change, Site, joint_fingerprint

PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)
"""What weights are rounded to for the marks of a component, in this order."""

_GRID = 16
"""Values of a weight that are looked at along each dimension, to see whether it has changed."""


class Origin(TypedDict):
    """Fields of :class:`overpaint.types.Patch` that say on which model it was computed."""

    fingerprints: Mapping[str, tuple[str, ...]]
    family: str


def fingerprint(model: Model) -> str:
    """16 bytes in hexadecimal that change when any weight does that an edit reads or changes.

    Covers every parameter of the text encoders, and those of the denoiser's layers that read text,
    with names and shapes; models that differ only elsewhere (VAE, convolutions) share it. It is the
    same on every device, in either layout of transformers, and for every way of wrapping the
    weights. Weights are compared as float32: a model stored and loaded in half precision agrees
    with itself, one rounded while loading has a fingerprint of its own (:func:`marks` tells of it).
    Deltas that are on the model now do not count.

    It is computed once for each model and kept until a weight changes. A change that PyTorch does
    not count (written through ``.data``) is noticed if it shows in a sample of the weight, as
    merged adapters and training do.

    Raises:
        ModelError: If weights are not in memory (sequential offloading).
    """
    return joint_fingerprint({name: marks(model, name) for name in components(model)})


def components(model: Model) -> tuple[str, ...]:
    """The components that fingerprints cover: the text encoders and the denoiser."""
    return (*model.text_encoders, model.family.denoiser)


def origin(model: Model, deltas: Sequence[Change]) -> Origin:
    """What ``Patch(deltas, ..., **origin(model, deltas))`` says of the model it was computed on.

    A change of a text encoder depends on that encoder alone; one of the denoiser also on the text
    encoders whose states it reads.
    """
    touched = {delta.site.component for delta in deltas} or set(components(model))
    if model.family.denoiser in touched:
        touched.update(model.text_encoders)
    named = [name for name in components(model) if name in touched]
    sites = [delta.site for delta in deltas]
    found = {name: marks(model, name, PRECISIONS, sites) for name in named}
    return Origin(fingerprints=found, family=model.family.name)


def marks(
    model: Model,
    component: str,
    precisions: Sequence[torch.dtype] = PRECISIONS[:1],
    sites: Sequence[Site] = (),
) -> tuple[str, ...]:
    """The fingerprint of one component, its weights rounded to each of ``precisions`` first.

    All weights of a text encoder count; of the denoiser those of the layers that read text, and of
    ``sites``. The float16 mark of a model in float32 is the float32 mark of the same model loaded
    in float16.

    Raises:
        ModelError: If weights are not in memory (sequential offloading).
    """
    with unchanging():
        return _marks(model, component, precisions, sites)


def _marks(
    model: Model, component: str, precisions: Sequence[torch.dtype], sites: Sequence[Site]
) -> tuple[str, ...]:
    weights = dict(sorted(_weights(model, component, sites).items()))
    loaded = _originals(model, component, list(weights.values()))
    known = _known(list(weights.values()), loaded)
    values = _as_loaded(model, component, list(weights.values()), loaded)
    found = []
    for precision in precisions:
        digest = hashlib.blake2b(digest_size=16)
        parts = _digests(known, values, precision)
        for name, value, part in zip(weights, values, parts, strict=True):
            digest.update(f"{name} {list(value.shape)}\n".encode() + part)
        found.append(digest.hexdigest())
    return tuple(found)


def as_read(model: Model, component: str, site: Site | None = None) -> str:
    """A name for the weights that a forward pass of ``component`` reads as they are now.

    Unlike a fingerprint it depends on everything that changes what comes out: patches that are on
    the model, adapters, added tokens and the precision.

    Args:
        model: The model.
        component: A text encoder or the denoiser.
        site: Read no further than the input of this site: the layers after it do not count.
    """
    network = model.component(component)
    named = {
        name: weight
        for name, weight in sorted(network.named_parameters())
        if site is None or _before(name.replace("_orig_mod.", ""), site)
    }
    digest = hashlib.blake2b(digest_size=16)
    with unchanging():
        loaded = _originals(model, component, list(named.values()))
        pairs = zip(named.values(), loaded, strict=True)
        known = [
            each if weight is value else _Known((), b"")  # a patch is on it: nothing to keep
            for each, (weight, value) in zip(
                _known(list(named.values()), loaded), pairs, strict=True
            )
        ]
        values = [_plain(weight) for weight in named.values()]
        parts = _digests(known, values, torch.float32)
        for (name, weight), part in zip(named.items(), parts, strict=True):
            digest.update(f"{name} {list(weight.shape)} {weight.dtype}\n".encode() + part)
    for name, module in network.named_modules():
        if hasattr(module, "base_layer"):
            what = ("active_adapters", "scaling", "merged", "disable_adapters")
            digest.update(f"{name} {[getattr(module, each, None) for each in what]}\n".encode())
    return digest.hexdigest()


def _before(name: str, site: Site) -> bool:
    """Whether a parameter may be read before ``site``: not its own, nor one of a later layer.

    Layers are numbered: before ``encoder.layers.9.mlp.fc2`` comes nothing of
    ``encoder.layers.10``.
    """
    if name.startswith(f"{site.name}."):
        return False
    found = re.match(r"(.*?\.)(\d+)\.", site.name)
    if found is None or not name.startswith(found[1]):
        return True
    number = name[len(found[1]) :].split(".", 1)[0]
    return not number.isdigit() or int(number) <= int(found[2])


@dataclass(eq=False)
class _Known:
    """What was computed of a weight, and what tells whether it is still the same.

    ``state`` is how often others have written to it, its shape and its precision; ``sample`` are
    the bits of some of its values; ``digests`` holds what was computed, for each precision and
    number of rows that count.
    """

    state: tuple[object, ...]
    sample: bytes
    digests: dict[tuple[torch.dtype, int], bytes] = field(default_factory=dict)


_KNOWN = WeakTensorKeyDictionary()


def _known(weights: Sequence[Tensor], loaded: Sequence[Tensor]) -> list[_Known]:
    """What is known of each of ``weights``, which were ``loaded`` with these values."""
    found = []
    for weight, value, sample in zip(weights, loaded, _samples(loaded), strict=True):
        state = (changes_by_others(weight), value.shape, value.dtype)
        known = _KNOWN.get(weight)
        if known is None or known.state != state or known.sample != sample:
            known = _KNOWN[weight] = _Known(state, sample)
        found.append(known)
    return found


def _samples(values: Sequence[Tensor]) -> list[bytes]:
    """Values of each tensor on a grid, as bytes."""
    grids = []
    for value in values:
        steps = tuple(slice(None, None, -(-n // _GRID)) for n in value.shape)
        grids.append(_plain(value).detach()[steps].to(torch.float32).reshape(-1))
    return gathered(grids)


def _digests(
    known: Sequence[_Known], values: Sequence[Tensor], precision: torch.dtype
) -> list[bytes]:
    """The digest of each of ``values`` in ``precision``, computed where it is not known."""
    keys = [
        # Rounding to the precision that a value has changes nothing.
        (
            torch.float32 if value.dtype == precision else precision,
            len(value) if value.dim() else 0,
        )
        for value in values
    ]
    new = [i for i, each in enumerate(known) if keys[i] not in each.digests]
    for i, part in zip(new, digests([values[i] for i in new], precision), strict=True):
        known[i].digests[keys[i]] = part
    return [each.digests[key] for each, key in zip(known, keys, strict=True)]


def _weights(model: Model, component: str, sites: Sequence[Site]) -> dict[str, Tensor]:
    """The parameters of ``component`` that count, under names without layout and wrappers."""
    if component != model.family.denoiser:
        return dict(base_parameters(model.component(component)))
    denoiser = model.component(component)
    if denoiser not in _READ:
        _READ[denoiser] = tuple(s for path in model.family.paths(model) for s in path.sites)
    also = (site for site in sites if site.component == component)
    named = {stored_name(site): site for site in (*_READ[denoiser], *also)}
    return {
        f"{stored}.{name}": parameter
        for stored, site in named.items()
        for name, parameter in module_of(model, site).named_parameters(recurse=False)
    }


# The sites of denoisers that read text: finding them takes longer than all the rest of an apply.
_READ: WeakKeyDictionary[nn.Module, tuple[Site, ...]] = WeakKeyDictionary()


def _originals(model: Model, component: str, weights: Sequence[Tensor]) -> list[Tensor]:
    """``weights`` without the deltas that are on them; ModelError if they are not in memory."""
    if any(weight.is_meta for weight in weights):
        raise ModelError(
            f"The weights of {component} of {model.name} are not in memory: they are offloaded "
            "layer by layer. Load the model without enable_sequential_cpu_offload() or device_map; "
            "enable_model_cpu_offload() is fine."
        )
    return originals(weights)


def _as_loaded(
    model: Model, component: str, weights: Sequence[Tensor], values: Sequence[Tensor]
) -> list[Tensor]:
    """``values`` of ``weights`` without the rows of tokens that were added to the vocabulary."""
    embedding = _embedding(model.component(component))
    plain = [_plain(value) for value in values]
    return [
        value[: _vocabulary(model, component, len(value))] if weight is embedding else value
        for weight, value in zip(weights, plain, strict=True)
    ]


def _plain(value: Any) -> Tensor:
    """``value`` itself, or what a quantised tensor stands for."""
    quantised: Any = value
    return quantised.dequantize() if is_traceable_wrapper_subclass(value) else value


def _embedding(component: Any) -> Tensor | None:
    """The table of token embeddings of a text encoder."""
    try:
        return component.get_input_embeddings().weight
    except (AttributeError, NotImplementedError):
        return None


def _vocabulary(model: Model, component: str, rows: int) -> int:
    """How many of the ``rows`` of a table of embeddings the model came with.

    Textual inversion adds tokens at the end, none of which is special.
    """
    tokenizer = getattr(model.pipeline, component.replace("text_encoder", "tokenizer"), None)
    added = getattr(tokenizer, "added_tokens_decoder", {})
    while rows and rows - 1 in added and not added[rows - 1].special:
        rows -= 1
    return rows
