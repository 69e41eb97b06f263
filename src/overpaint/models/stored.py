"""Weight files by their headers: names, shapes and number formats, without reading a weight."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError

WEIGHTS = (".safetensors", ".bin")
"""How the weight files in a pipeline's folder end."""

_FORMATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_COMPUTES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

# model.safetensors, diffusion_pytorch_model.fp16.safetensors, model.fp16-00001-of-00002.bin,
# model-00001-of-00002.fp16.bin; what trainers leave beside them has other names.
_NAME = re.compile(
    r"(?:model|pytorch_model|diffusion_pytorch_model)(?:-\d+-of-\d+)?"
    r"(?:\.(?P<variant>[\w+-]+?))?(?:-\d+-of-\d+)?\.(?:safetensors|bin)"
)


@dataclass(frozen=True)
class Stored:
    """What a header says of one tensor: its ``shape`` and ``dtype``, None where torch has none."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None


@dataclass(frozen=True)
class Header:
    """What a file holds: its tensors by name, and the ``metadata`` its maker left."""

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_header(file: Path) -> Header:
    """The header of a safetensors file, or, of a pickle, what is read of it without running code.

    ModelError says what the file is where it is neither, and that a pickle cannot be read safely.
    """
    if file.suffix == ".safetensors":
        return _safetensors(file)
    return Header({name: Stored(tuple(t.shape), t.dtype) for name, t in _pickle(file).items()})


def dtype_of(header: Header, prefix: str = "") -> torch.dtype | None:
    """The number format of most weights whose names start with ``prefix``, to compute in.

    Eight-bit floats are for storing only: they are computed in bfloat16. None without any floats.
    """
    amounts: Counter[torch.dtype] = Counter()
    for name, tensor in header.tensors.items():
        if name.startswith(prefix) and tensor.dtype is not None and tensor.dtype.is_floating_point:
            amounts[tensor.dtype] += prod(tensor.shape)
    if not amounts:
        return None
    most = amounts.most_common(1)[0][0]
    return most if most in _COMPUTES else torch.bfloat16


def weight_files(folder: Path, variant: str | None = None) -> tuple[Path, ...]:
    """The files that hold a component's weights in ``variant``, or else without one.

    Safetensors where there are some, else ``.bin``; () when the folder holds neither.
    """
    if not folder.is_dir():
        return ()
    named = {f: variant_of(f.name) for f in sorted(folder.iterdir())}
    for wanted in dict.fromkeys((variant or "", "")):
        for suffix in WEIGHTS:
            found = tuple(f for f, v in named.items() if v == wanted and f.suffix == suffix)
            if found:
                return found
    return ()


def find_variant(names: Iterable[str], components: Collection[str]) -> str | None:
    """The variant in which ``components`` have to be loaded, None where they need none.

    ``names`` are all files of a pipeline, such as ``"unet/model.fp16.safetensors"``. A component
    that has weights without a variant needs none. ModelError where no one variant does for all.
    """
    having: dict[str, set[str]] = {}
    for name in names:
        component, _, file = name.rpartition("/")
        kind = variant_of(file)
        if component in components and kind is not None:
            having.setdefault(component, set()).add(kind)
    lacking = {name: kinds for name, kinds in having.items() if "" not in kinds}
    if not lacking:
        return None
    common = set.intersection(*lacking.values())
    for name in ("fp16", "bf16", *sorted(common)):
        if name in common:
            return name
    said = "; ".join(f"{name}: {', '.join(sorted(kinds))}" for name, kinds in lacking.items())
    raise ModelError(
        f"No one variant of the weights has every component ({said}); "
        "say which with --variant, or variant= in Python"
    )


def variant_of(name: str) -> str | None:
    """The variant in a file's name, "" where it names none; None where it holds no weights."""
    match = _NAME.fullmatch(name)
    return None if match is None else match["variant"] or ""


def _safetensors(file: Path) -> Header:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as stored:
            tensors = {name: _entry(stored.get_slice(name)) for name in stored.keys()}
            return Header(tensors, dict(stored.metadata() or {}))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"Cannot read {file}: {_broken(file, str(error))}") from error


def _entry(part: Any) -> Stored:
    return Stored(tuple(part.get_shape()), _FORMATS.get(part.get_dtype()))


def _broken(file: Path, reason: str) -> str:
    """What is probably the matter with a file that is no safetensors file."""
    try:
        with file.open("rb") as opened:
            start = opened.read(200)
    except OSError as error:
        return f"{error.strerror}."
    if not start:
        return "it is empty; copy or download it again."
    if start[8:9] == b"{":  # the header is there, so what follows it is not
        return f"it was cut short or is damaged ({reason}); copy or download it again."
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of git-lfs and not the weights; run `git lfs pull` in its folder."
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"{")):
        return "it is a web page or a message, not weights; download it again, logged in."
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return "it is a pickle named .safetensors; get the safetensors version of it."
    return f"it was cut short or is damaged ({reason}); copy or download it again."


def _pickle(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a pickle by name, on the meta device; nothing in the file is run."""
    try:
        found: Any = torch.load(file, map_location="meta", weights_only=True)
    except Exception as error:  # zip, pickle, OS: each has its own hierarchy
        raise ModelError(
            f"Cannot read {file} without running the code in it: it holds other things than "
            "tensors, or is damaged. Get its safetensors version, or convert it where you trust it."
        ) from error
    while isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise ModelError(f"Expected a checkpoint in {file}, got a {type(found).__name__}.")
    return {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}


def list_files(folder: Path) -> list[str]:
    """Files directly in ``folder`` and in its folders, as ``"unet/config.json"``."""
    inner = [f for each in folder.iterdir() if each.is_dir() for f in each.iterdir()]
    return sorted(f.relative_to(folder).as_posix() for f in (*folder.iterdir(), *inner))


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``; ModelError when it holds none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"Cannot read {file}: {error}; copy or download it again.") from error
    if not isinstance(found, dict):
        raise ModelError(f"Expected a JSON object in {file}; copy or download it again.")
    return found
