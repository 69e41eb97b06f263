"""Second moments of what a site reads, over a corpus of captions, kept on disk."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from overpaint.errors import DataError, SiteError
from overpaint.models.fingerprint import fingerprint
from overpaint.models.hooks import replace_input
from overpaint.models.model import Model
from overpaint.models.sites import module_at, stored_name
from overpaint.models.text import hidden_states, prompt_tokens, read_rows, tokenize
from overpaint.types import Progress, Site


@dataclass(frozen=True)
class Corpus:
    """Captions under a name, e.g. ``Corpus("toybox-captions", captions)``."""

    name: str
    captions: tuple[str, ...]

    def digest(self) -> str:
        """16 bytes in hexadecimal that depend on every caption and their order."""
        digest = hashlib.blake2b(digest_size=16)
        for caption in self.captions:
            digest.update(caption.encode() + b"\0")
        return digest.hexdigest()


def second_moment(
    model: Model,
    site: Site,
    corpus: Corpus,
    *,
    padding: bool = False,
    cache_dir: str | Path | None = None,
    batch: int = 256,
    progress: Progress | None = None,
) -> torch.Tensor:
    """``C = E[k kᵀ] [d_in, d_in]``, float64 on the CPU: uncentred moment of the inputs of ``site``.

    The mean runs over every real token of every caption, start and end tokens included, padding
    left out (ReFACT, section 4.2; ROME, eq. 2); with ``padding`` over the padding alone. The result
    is kept in ``cache_dir`` (by default :func:`default_cache_dir`) under the fingerprint of the
    model, the site and the corpus; a cache that cannot be read or written is passed over. DataError
    when the corpus is empty, SiteError when ``site`` reads no text.
    """
    if not corpus.captions:
        raise DataError(f"Corpus {corpus.name!r} has no captions; give at least one.")
    module_at(model, site)
    name = _key(model, site, corpus, padding)
    path = Path(cache_dir or default_cache_dir()) / f"{name}.safetensors"
    kept = _read(path, site.d_in)
    if kept is not None:
        return kept
    total = torch.zeros(site.d_in, site.d_in, dtype=torch.float64)
    count = 0
    for done in range(0, len(corpus.captions), batch):
        keys = _keys(model, site, corpus.captions[done : done + batch], padding)
        total += (keys.T @ keys).cpu()
        count += len(keys)
        if progress:
            progress(min(done + batch, len(corpus.captions)), len(corpus.captions), "captions")
    moment = total / max(count, 1)
    _write(path, moment)
    return moment


def default_cache_dir() -> Path:
    """``$OVERPAINT_CACHE``, or ``overpaint`` in the user's cache folder of the system."""
    given = os.environ.get("OVERPAINT_CACHE")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "overpaint"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "overpaint" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "overpaint"


class _Reached(Exception):
    """Ends a forward pass once the site has been reached."""


@torch.no_grad()
def _keys(model: Model, site: Site, captions: tuple[str, ...], padding: bool) -> torch.Tensor:
    """Inputs of ``site`` at the tokens (or the padding) of ``captions``, ``[n, d_in]`` float64."""
    if site.component == model.family.denoiser:
        return _text_rows(model, site, captions, padding)
    tokens = tokenize(model, captions, site.component)
    tokens = tokens if padding else tokens.trimmed()
    seen: list[torch.Tensor] = []

    def stop(value: torch.Tensor) -> torch.Tensor:
        seen.append(value)
        raise _Reached

    with replace_input(module_at(model, site), stop):
        try:
            hidden_states(model, tokens, site.component)
        except _Reached:
            return seen[0][tokens.mask ^ padding].double()
    raise SiteError(f"{site.component}.{site.name} is not part of the forward pass of the text.")


def _text_rows(model: Model, site: Site, captions: tuple[str, ...], padding: bool) -> torch.Tensor:
    """What a layer of the denoiser reads of ``captions``, ``[n, d_in]`` float64."""
    for path in model.family.paths(model):
        for number, group in enumerate(path.groups):
            if site not in group:
                continue
            wanted = []
            for caption in captions:
                rows: list[int] = []
                for segment in path.segments:
                    read = prompt_tokens(model, caption, segment.component)
                    last = read.first + len(read.tokens)
                    own = range(last, read.length) if padding else range(max(read.first, 0), last)
                    rows += [segment.offset + row for row in own]
                wanted.append((caption, rows if path.segments else [0]))
            return read_rows(model, path, wanted)[number].double()
    raise SiteError(f"{site.component}.{site.name} reads no text; choose to_k or to_v.")


def _key(model: Model, site: Site, corpus: Corpus, padding: bool) -> str:
    parts = [fingerprint(model), site.component, stored_name(site), corpus.name, corpus.digest()]
    parts += ["padding"] * padding
    return "moment-" + hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _read(path: Path, width: int) -> torch.Tensor | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        moment = load_file(path).get("moment")
    except (OSError, SafetensorError):
        return None
    return moment if moment is not None and moment.shape == (width, width) else None


def _write(path: Path, moment: torch.Tensor) -> None:
    """Write beside ``path``, then rename: a file is there whole or not at all."""
    from safetensors.torch import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(save({"moment": moment}))
        os.replace(file.name, path)
    except OSError:
        return
