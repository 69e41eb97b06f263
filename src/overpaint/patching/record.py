"""A patch as plain data: one JSON text and named tensors, with everything checked on the way back.

The text is an object with format, library version, method, config, edits, info, fingerprint, the
sites in order (layout-free names) and a SHA-256 over all of it and the factors. The tensors are
``{i:04d}.a [r, d_in]`` and ``{i:04d}.b [d_out, r]`` of site ``i``, float32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from overpaint import __version__
from overpaint.errors import PatchError
from overpaint.models.sites import stored_name
from overpaint.patching.check import check_patch
from overpaint.types import Delta, Edit, Patch, Site

FORMAT = 1
_WORDS = tuple(f.name for f in fields(Edit) if f.name != "images")
_PARTS: dict[str, type] = {
    "version": str,
    "method": str,
    "fingerprint": str,
    "config": dict,
    "info": dict,
    "edits": list,
    "sites": list,
    "sha256": str,
}


@dataclass(frozen=True)
class Record:
    """A patch in the form a file holds: ``text`` and ``tensors``."""

    text: str
    tensors: Mapping[str, torch.Tensor]


def encode(patch: Patch) -> Record:
    """``patch`` as a record; :class:`PatchError` if it is damaged or holds what JSON cannot say."""
    check_patch(patch)
    tensors = {
        f"{i:04d}.{name}": factor.detach().cpu().contiguous().clone()
        for i, delta in enumerate(patch.deltas)
        for name, factor in (("a", delta.a), ("b", delta.b))
    }
    header = {
        "format": FORMAT,
        "version": __version__,
        "method": patch.method,
        "fingerprint": patch.fingerprint,
        "config": dict(patch.config),
        "info": _info(patch),
        "edits": [{word: getattr(edit, word) for word in _WORDS} for edit in patch.edits],
        "sites": [asdict(replace(d.site, name=stored_name(d.site))) for d in patch.deltas],
    }
    header["sha256"] = _checksum(header, tensors)
    return Record(_json(header), tensors)


def decode_header(text: str, keys: Iterable[str]) -> dict[str, Any]:
    """The object in ``text``, after checking its format, its parts and the tensors' names."""
    header = json.loads(text)
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise PatchError(
            f"expected a patch of format {FORMAT}, got {found!r}; "
            "install the version of overpaint that wrote it"
        )
    for part, kind in _PARTS.items():
        if not isinstance(header.get(part), kind):
            raise PatchError(f"its {part!r} is missing or no {kind.__name__}")
    wanted = {f"{i:04d}.{name}" for i in range(len(header["sites"])) for name in "ab"}
    for odd in sorted(wanted ^ set(keys)):
        state = "missing" if odd in wanted else "one too many"
        raise PatchError(f"it lists {len(header['sites'])} sites, and tensor {odd!r} is {state}")
    return header


def decode(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Patch:
    """The patch of a header from :func:`decode_header`; :class:`PatchError` if it is damaged."""
    content = {part: value for part, value in header.items() if part != "sha256"}
    if header["sha256"] != _checksum(content, tensors):
        raise PatchError("its checksum does not agree with its content")
    sites = [_part(Site, site) for site in header["sites"]]
    edits = [_part(Edit, edit) for edit in header["edits"]]
    deltas = tuple(
        Delta(site, tensors[f"{i:04d}.a"], tensors[f"{i:04d}.b"]) for i, site in enumerate(sites)
    )
    kept = {part: header[part] for part in ("method", "fingerprint", "config", "info")}
    patch = Patch(deltas=deltas, edits=tuple(edits), **kept)
    check_patch(patch)
    return patch


def _part(kind: type, values: object) -> Any:
    """``kind(**values)``, where ``d_out`` and ``d_in`` are whole numbers and all else is words."""
    names = _WORDS if kind is Edit else tuple(f.name for f in fields(kind))
    if isinstance(values, dict) and set(values) == set(names):
        wanted = {name: int if name.startswith("d_") else str for name in names}
        if all(type(values[name]) is wanted[name] for name in names):
            return kind(**values)
    raise PatchError(f"expected {', '.join(names)} of each {kind.__name__.lower()}, got {values!r}")


def _info(patch: Patch) -> dict[str, object]:
    """``patch.info``, and hash and shape of every target picture if there are any."""
    if not any(edit.images for edit in patch.edits):
        return dict(patch.info)
    pictures = [
        [
            {"sha256": hashlib.sha256(_bytes(p)).hexdigest(), "shape": list(p.shape)}
            for p in e.images
        ]
        for e in patch.edits
    ]
    return {**patch.info, "target_images": pictures}


def _checksum(header: Mapping[str, object], tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(_json(header).encode())
    for key in sorted(tensors):
        digest.update(f"{key} {tensors[key].dtype} {list(tensors[key].shape)}".encode())
        digest.update(_bytes(tensors[key]))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _json(value: Mapping[str, object]) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise PatchError(
            f"expected plain JSON values in config and info, got: {error}; convert them first"
        ) from error
