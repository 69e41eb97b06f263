"""A patch as plain data: one JSON text and named tensors, with everything checked on the way back.

The text is an object with format, library version, method, config, edits, info, the fingerprints of
components (as they are, and rounded), family, the sites in order (layout-free names) and a SHA-256
over all of it and the factors. The tensors are ``{i:04d}.a [r, d_in]`` and either ``{i:04d}.b
[d_out, r]`` or, of a change told by the model's weights, ``{i:04d}.left [d_in, r]`` of site ``i``,
float32. Each site names the number under which each of its factors is stored: where several sites
have the same, that of the first. Format 2 had one fingerprint for the whole model. Format 1 had
neither ``left`` nor family nor the fingerprints of rounded weights, and a ``b`` for every site.
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
from overpaint.types import Change, Delta, Edit, Patch, RelativeDelta, Site

FORMAT = 3
_WORDS = tuple(f.name for f in fields(Edit) if f.name != "images")
_PLACE = {"component": str, "name": str, "d_out": int, "d_in": int}
_PARTS: dict[str, type] = {
    "version": str,
    "method": str,
    "config": dict,
    "info": dict,
    "edits": list,
    "sites": list,
    "sha256": str,
}
_BY_FORMAT: dict[int, dict[str, type]] = {
    1: {**_PARTS, "fingerprint": str},
    2: {**_PARTS, "fingerprint": str, "rounded": list, "family": str},
    3: {**_PARTS, "fingerprints": dict, "family": str},
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
        "fingerprints": {name: list(marks) for name, marks in patch.fingerprints.items()},
        "family": patch.family,
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
    sites = [_site(site, header["format"], i) for i, site in enumerate(header["sites"])]
    for edit in header["edits"]:
        _check_part(edit, dict.fromkeys(_WORDS, str), "edit")
    _check_names(sites, set(tensors))
    kept = {part: header[part] for part in ("method", "config", "info")}
    patch = Patch(
        deltas=tuple(_delta(site, tensors) for site in sites),
        edits=tuple(Edit(**edit) for edit in header["edits"]),
        fingerprints=_fingerprints(header),
        family=header.get("family", ""),
        **kept,
    )
    check_patch(patch)
    return patch, header["version"]


def _fingerprints(header: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The fingerprints of a checked header, which older formats have of the whole model."""
    if "fingerprints" not in header:
        whole = [header["fingerprint"], *header.get("rounded", ())]
        return {Patch.WHOLE: tuple(map(str, whole))}
    found = header["fingerprints"]
    for name, marks in found.items():
        if not (isinstance(marks, list) and marks and all(isinstance(m, str) for m in marks)):
            raise PatchError(f"expected fingerprints of {name!r} as texts, got {marks!r}")
    return {name: tuple(marks) for name, marks in found.items()}


def _site(site: Any, version: int, number: int) -> dict[str, Any]:
    """The description of site ``number``, checked; in format 1 its ``b`` goes without saying."""
    relative = isinstance(site, dict) and "left" in site
    second = () if version == 1 else ("left",) if relative else ("b",)
    _check_part(site, {**_PLACE, **dict.fromkeys(("a", *second), int)}, "site")
    return site if second else {**site, "b": number}


def _delta(site: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Change:
    place = Site(**{name: site[name] for name in _PLACE})
    factors = {name: tensors[key] for name, key in _keys(site).items()}
    return RelativeDelta(place, **factors) if "left" in factors else Delta(place, **factors)


def _keys(site: Mapping[str, Any]) -> dict[str, str]:
    """The names under which the factors of ``site`` are stored."""
    return {name: f"{number:04d}.{name}" for name, number in site.items() if name not in _PLACE}


def _factors(
    deltas: Sequence[Change],
) -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    """Tensors and site descriptions of ``deltas``; equal factors are kept once, at the first.

    Methods that read one text at every site have one ``a`` and one ``left`` for all.
    """
    tensors: dict[str, torch.Tensor] = {}
    sites: list[dict[str, object]] = []
    first: dict[tuple[str, torch.Size, bytes], int] = {}
    for i, delta in enumerate(deltas):
        site = asdict(replace(delta.site, name=stored_name(delta.site)))
        names = ("a", "left") if isinstance(delta, RelativeDelta) else ("a", "b")
        for name, factor in zip(names, delta.factors, strict=True):
            owner = first.setdefault((name, factor.shape, _bytes(factor)), i)
            if owner == i:
                tensors[f"{i:04d}.{name}"] = _kept(factor)
            site[name] = owner
        sites.append(site)
    return tensors, sites


def _header(text: str) -> dict[str, Any]:
    """The object in ``text``, after checking its format and the types of its parts."""
    header = json.loads(text)
    found = header.get("format") if isinstance(header, dict) else None
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise PatchError(
            f"expected a patch of format 1 to {FORMAT}, got {found!r}; "
            "install the version of overpaint that wrote it"
        )
    for part, kind in _BY_FORMAT[found].items():
        if not isinstance(header.get(part), kind):
            raise PatchError(f"its {part!r} is missing or no {kind.__name__}")
    return header


def _check_part(values: object, wanted: Mapping[str, type], what: str) -> None:
    if isinstance(values, dict) and values.keys() == wanted.keys():  # noqa: SIM102
        if all(type(values[name]) is kind for name, kind in wanted.items()):
            return
    raise PatchError(f"expected {', '.join(wanted)} of each {what}, got {values!r}")


def _check_names(sites: Sequence[Mapping[str, Any]], found: set[str]) -> None:
    wanted = {key for site in sites for key in _keys(site).values()}
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
