"""Published files: brought from their homes once, checked by checksum, kept in a cache folder.

A file takes its name in the cache only when it is whole and its SHA-256 is the expected one, so an
interrupted download leaves nothing that could be taken for data, and a second try begins anew.
"""

from __future__ import annotations

import hashlib
import http.client
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from overpaint.benchmark.datasets.registry import DATASETS, DataSet, Source
from overpaint.errors import DataError, OutputError, PatchError
from overpaint.models.moments import default_cache_dir
from overpaint.patching.atomic import write_whole
from overpaint.types import Progress

TIMEOUT = 30.0  # seconds without an answer
_CHUNK = 1 << 16
_LARGEST = 64 << 20  # no published file comes near it; an address gone wrong may


def find(name: str) -> DataSet:
    """The data set called ``name``; DataError naming all of them when there is none."""
    if name not in DATASETS:
        raise DataError(f"expected a data set out of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name]


def default_folder() -> Path:
    """Where fetched files are kept: ``data`` in :func:`~overpaint.models.moments`' cache folder."""
    return default_cache_dir() / "data"


def kept(data: DataSet, folder: Path | None = None) -> Path | None:
    """The file of ``data`` in ``folder`` if it is there and whole, else None."""
    if data.source is None:
        return None
    path = (folder or default_folder()) / data.source.file
    try:
        return path if _digest(path.read_bytes()) == data.source.sha256 else None
    except OSError:
        return None


def get(
    name: str,
    *,
    folder: Path | None = None,
    mirror: str = "",
    progress: Progress | None = None,
) -> Path:
    """The file of the data set ``name``, fetched into ``folder`` unless it is there already.

    ``folder`` is by default the user's cache. ``mirror`` is a folder, or the address of one, to
    take the file from in place of its public homes. ``progress`` counts bytes. DataError when it
    is nowhere to be had, or has another checksum; OutputError when it cannot be kept.
    """
    data = find(name)
    if data.source is None:
        what = "comes with Overpaint" if data.make else "is a file of your own; give its path"
        raise DataError(f"there is nothing to fetch for {name!r}: it {what}")
    if there := kept(data, folder):
        return there
    path = (folder or default_folder()) / data.source.file
    content = _fetch(data.source, _addresses(data.source, mirror), progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except (OSError, PatchError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot keep {str(path)!r}: {reason}") from error
    return path


def _addresses(source: Source, mirror: str) -> list[str]:
    if not mirror:
        return [folder + source.file for folder in source.folders]
    if urlsplit(mirror).scheme not in ("http", "https", "file"):
        mirror = Path(mirror).absolute().as_uri()
    return [f"{mirror.rstrip('/')}/{source.file}"]


def _fetch(source: Source, addresses: list[str], progress: Progress | None) -> bytes:
    """The content that has the right checksum, from the first address that has it."""
    failures = []
    for address in addresses:
        try:
            content = _download(address, source.file, progress)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{address}: {_reason(error)}")
            continue
        if (digest := _digest(content)) == source.sha256:
            return content
        expected = f"expected SHA-256 {source.sha256[:12]}..., got {digest[:12]}..."
        failures.append(f"{address}: another file, or a damaged one ({expected})")
    remedy = "try again later, or give a folder that holds it (--from)"
    raise DataError(f"cannot fetch {source.file}: {'; '.join(failures)}; {remedy}")


def _download(address: str, what: str, progress: Progress | None) -> bytes:
    content = bytearray()
    with urlopen(Request(address, headers={"User-Agent": "overpaint"}), timeout=TIMEOUT) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            content += chunk
            if len(content) > _LARGEST:
                raise OSError(f"larger than {_LARGEST >> 20} MB")
            if progress:
                progress(len(content), max(total, len(content)), what)
    if len(content) < total:
        raise OSError(f"the connection broke after {len(content)} of {total} bytes")
    return bytes(content)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    inner = error.reason if isinstance(error, URLError) else error
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
