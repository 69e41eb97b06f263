"""A patch as plain data: one JSON text and named tensors, with everything checked on the way back.

The text is an object with format, library version, method, config, edits, info, fingerprint, the
sites in order (layout-free names) and a SHA-256 over all of it and the factors. The tensors are
``{i:04d}.a [r, d_in]`` and ``{i:04d}.b [d_out, r]`` of site ``i``, float32; where several sites
have the same ``a``, the first has it and the others name that site's number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
_SITE = {"component": str, "name": str, "d_out": int, "d_in": int, "a": int}
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
    tensors, sites = _factors(patch.deltas)
    header = {
        "format": FORMAT,
        "version": __version__,
        "method": patch.method,
        "fingerprint": patch.fingerprint,
        "config": dict(patch.config),
        "info": _info(patch),
        "edits": [{word: getattr(edit, word) for word in _WORDS} for edit in patch.edits],
        "sites": sites,
    }
    header["sha256"] = _checksum(header, tensors)
    return Record(_json(header), tensors)


def decode(record: Record) -> tuple[Patch, str]:
    """The patch of a record and the library version that wrote it.

    Raises :class:`PatchError` if its format is unknown or anything in it is damaged.
    """
    header, tensors = _header(record.text), record.tensors
    content = {part: value for part, value in header.items() if part != "sha256"}
    if header["sha256"] != _checksum(content, tensors):
        raise PatchError("its checksum does not agree with its content")
    for site in header["sites"]:
        _check_part(site, _SITE, "site")
    for edit in header["edits"]:
        _check_part(edit, dict.fromkeys(_WORDS, str), "edit")
    _check_names(header["sites"], set(tensors))
    deltas = tuple(
        Delta(
            Site(**{name: site[name] for name in _SITE if name != "a"}),
            tensors[f"{site['a']:04d}.a"],
            tensors[f"{i:04d}.b"],
        )
        for i, site in enumerate(header["sites"])
    )
    kept = {part: header[part] for part in ("method", "fingerprint", "config", "info")}
    patch = Patch(deltas=deltas, edits=tuple(Edit(**edit) for edit in header["edits"]), **kept)
    check_patch(patch)
    return patch, header["version"]


def _factors(
    deltas: Sequence[Delta],
) -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    """Tensors and site descriptions of ``deltas``; equal ``a`` are kept once, at their first site.

    Methods that read one text at every site have one ``a`` for all: half of the bytes.
    """
    tensors: dict[str, torch.Tensor] = {}
    sites: list[dict[str, object]] = []
    first: dict[tuple[torch.Size, bytes], int] = {}
    for i, delta in enumerate(deltas):
        owner = first.setdefault((delta.a.shape, _bytes(delta.a)), i)
        if owner == i:
            tensors[f"{i:04d}.a"] = _kept(delta.a)
        tensors[f"{i:04d}.b"] = _kept(delta.b)
        site = replace(delta.site, name=stored_name(delta.site))
        sites.append({**asdict(site), "a": owner})
    return tensors, sites


def _header(text: str) -> dict[str, Any]:
    """The object in ``text``, after checking its format and the types of its parts."""
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
    return header


def _check_part(values: object, wanted: Mapping[str, type], what: str) -> None:
    if isinstance(values, dict) and values.keys() == wanted.keys():  # noqa: SIM102
        if all(type(values[name]) is kind for name, kind in wanted.items()):
            return
    raise PatchError(f"expected {', '.join(wanted)} of each {what}, got {values!r}")


def _check_names(sites: Sequence[Mapping[str, Any]], found: set[str]) -> None:
    wanted = {f"{i:04d}.b" for i in range(len(sites))} | {f"{site['a']:04d}.a" for site in sites}
    for odd in sorted(wanted ^ found):
        state = "missing" if odd in wanted else "one too many"
        raise PatchError(f"it lists {len(sites)} sites, and tensor {odd!r} is {state}")


def _kept(factor: torch.Tensor) -> torch.Tensor:
    return factor.detach().cpu().contiguous().clone()


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
