"""Second moments of what a site reads, over a corpus of captions, kept on disk."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from overpaint.errors import DataError, OutputError, SiteError
from overpaint.io import write_whole
from overpaint.models.families.base import Family, TextPath, eager
from overpaint.models.fingerprint import as_read
from overpaint.models.hooks import replace_input
from overpaint.models.model import Model
from overpaint.models.sites import module_at, stored_name
from overpaint.models.text import Tokens, hidden_states, prompt_tokens, read_rows, tokenize
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


TOKENS = 1 << 13
"""Positions that are read at once: enough to be fast, few enough that memory stays flat."""


def second_moment(
    model: Model,
    site: Site,
    corpus: Corpus,
    *,
    padding: bool = False,
    cache_dir: str | Path | None = None,
    batch: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """:func:`second_moments` of a single site."""
    found = second_moments(
        model,
        [site],
        corpus,
        padding=padding,
        cache_dir=cache_dir,
        batch=batch,
        progress=progress,
    )
    return found[site]


def second_moments(
    model: Model,
    sites: Sequence[Site],
    corpus: Corpus,
    *,
    padding: bool = False,
    cache_dir: str | Path | None = None,
    batch: int = 256,
    progress: Progress | None = None,
) -> dict[Site, Tensor]:
    """``C = E[k kᵀ]`` of the inputs k of every site: uncentred second moments.

    The mean runs over every real token of every caption, start and end tokens included, padding
    left out (ReFACT, section 4.2; ROME, eq. 2); with ``padding`` over the padding alone. All sites
    of a text encoder are read in one pass over the captions. The model is read as it is now, with
    the patches and adapters that are on it, and results are kept under a name that says so; a cache
    that cannot be read or written is passed over.

    Args:
        model: The model.
        sites: Linear sites of text encoders, or of the denoiser where it reads text.
        corpus: The captions.
        padding: Whether to read the padding in place of the tokens.
        cache_dir: Where results are kept; None for :func:`default_cache_dir`.
        batch: Captions that are read at once at most; long ones are fewer.
        progress: Called with the number of captions read, and what they are read for.

    Returns:
        For every site ``[d_in, d_in]``, float64, on the CPU.

    Raises:
        DataError: If the corpus is empty.
        SiteError: If a site reads no text.
    """
    if not corpus.captions:
        raise DataError(f"Corpus {corpus.name!r} has no captions; give at least one.")
    for site in sites:
        module_at(model, site)
    folder = Path(cache_dir or default_cache_dir())
    files = {site: folder / f"{_key(model, site, corpus, padding)}.safetensors" for site in sites}
    kept = {site: _read(file, site.d_in) for site, file in files.items()}
    missing = [site for site, moment in kept.items() if moment is None]
    found = _computed(model, missing, corpus, padding, batch, progress) if missing else {}
    for site, moment in found.items():
        _write(files[site], moment)
    return {site: found[site] if moment is None else moment for site, moment in kept.items()}


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
    """Ends a forward pass once all sites have been reached."""


def _computed(
    model: Model,
    sites: Sequence[Site],
    corpus: Corpus,
    padding: bool,
    batch: int,
    progress: Progress | None,
) -> dict[Site, Tensor]:
    """The moments of ``sites``, one pass over the captions for each component."""
    sums = {site: _Sum() for site in sites}
    for component in dict.fromkeys(site.component for site in sites):
        own = [site for site in sites if site.component == component]
        what = f"captions for the covariance of {component} {_names(own)}"
        done = 0
        for captions, inputs in _inputs(model, component, own, corpus.captions, padding, batch):
            for site, keys in zip(own, inputs, strict=True):
                sums[site].add(keys)
            done += captions
            if progress:
                progress(done, len(corpus.captions), what)
    return {site: total.mean().cpu() for site, total in sums.items()}


class _Sum:
    """``Σ k kᵀ``, on the device of the keys."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count = 0

    def add(self, keys: Tensor) -> None:
        """Add ``keys [n, d]``."""
        # In float64, which MPS does not have: a sum in float32 may have no Cholesky factor.
        exact = (keys.cpu() if keys.device.type == "mps" else keys).double()
        product = exact.T @ exact
        self.total = product if self.total is None else self.total.add_(product)
        self.count += len(keys)

    def mean(self) -> Tensor:
        """``E[k kᵀ] [d, d]``; zeros if there were no keys."""
        assert self.total is not None
        return self.total / max(self.count, 1)


def _names(sites: Sequence[Site]) -> str:
    """``"layer 9"``, ``"layers 7, 8, 9"``, or how many sites of other kinds."""
    found = [re.match(r"encoder\.layers\.(\d+)\.", stored_name(site)) for site in sites]
    numbers = sorted({int(match[1]) for match in found if match})
    if not all(found):
        return f"({len(sites)} sites)"
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _inputs(
    model: Model,
    component: str,
    sites: Sequence[Site],
    captions: Sequence[str],
    padding: bool,
    batch: int,
) -> Iterator[tuple[int, list[Tensor]]]:
    """In parts: how many captions were read, and what each site read of them, ``[n, d_in]``."""
    if component == model.family.denoiser:
        for start in range(0, len(captions), batch):
            part = captions[start : start + batch]
            yield len(part), _text_rows(model, sites, part, padding)
        return
    tokens = tokenize(model, captions, component)
    order = tokens.end.argsort(stable=True)  # captions of one length waste no padding
    widths = [tokens.ids.shape[1]] * len(order) if padding else (tokens.end[order] + 1).tolist()
    start = 0
    while start < len(order):
        stop = min(start + batch, len(order))
        while stop > start + 1 and (stop - start) * widths[stop - 1] > TOKENS:
            stop = start + (stop - start) // 2
        rows = order[start:stop]
        part = Tokens(tokens.ids[rows], tokens.mask[rows], tokens.end[rows])
        yield len(rows), _tower_inputs(model, component, sites, part, padding)
        start = stop


@torch.no_grad()
def _tower_inputs(
    model: Model, component: str, sites: Sequence[Site], tokens: Tokens, padding: bool
) -> list[Tensor]:
    """Inputs of ``sites`` at the tokens (or the padding) of some captions, ``[n, d_in]`` each."""
    tokens = tokens if padding else tokens.trimmed()
    wanted = tokens.mask ^ padding
    seen: dict[Site, Tensor] = {}

    def watched(site: Site) -> Callable[[Tensor], Tensor]:
        def watch(value: Tensor) -> Tensor:
            seen[site] = value[wanted]
            if len(seen) == len(sites):
                raise _Reached
            return value

        return watch

    with eager(model), ExitStack() as stack:
        for site in sites:
            stack.enter_context(replace_input(module_at(model, site), watched(site)))
        try:
            hidden_states(model, tokens, component)
        except _Reached:
            return [seen[site] for site in sites]
    lost = next(site for site in sites if site not in seen)
    raise SiteError(f"{component}.{lost.name} is not part of the forward pass of the text.")


def _text_rows(
    model: Model, sites: Sequence[Site], captions: Sequence[str], padding: bool
) -> list[Tensor]:
    """What layers of the denoiser read of ``captions``, ``[n, d_in]`` each."""
    found: dict[Site, Tensor] = {}
    for path in model.family.paths(model):
        groups = [[site for site in sites if site in group] for group in path.groups]
        if any(groups):
            wanted = [(caption, _rows(model, path, caption, padding)) for caption in captions]
            for own, rows in zip(groups, read_rows(model, path, wanted), strict=True):
                found |= dict.fromkeys(own, rows)
    for site in sites:
        if site not in found:
            raise SiteError(f"{site.component}.{site.name} reads no text; choose to_k or to_v.")
    return [found[site] for site in sites]


def _rows(model: Model, path: TextPath, caption: str, padding: bool) -> list[int]:
    """The rows of ``path`` that are tokens (or padding) of ``caption``."""
    rows: list[int] = []
    for segment in path.segments:
        read = prompt_tokens(model, caption, segment.component)
        last = read.first + len(read.tokens)
        own = range(last, read.length) if padding else range(max(read.first, 0), last)
        rows += [segment.offset + row for row in own]
    return rows if path.segments else [0]


def _key(model: Model, site: Site, corpus: Corpus, padding: bool) -> str:
    if site.component != model.family.denoiser:
        read = [as_read(model, site.component, site)]
    else:
        read = [as_read(model, component) for component in model.text_encoders]
        if type(model.family).inputs is Family.inputs:  # which runs the denoiser
            read.append(as_read(model, site.component))
    parts = [*read, site.component, stored_name(site), corpus.name, corpus.digest()]
    parts += ["padding"] * padding
    return "moment-" + hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _read(path: Path, width: int) -> Tensor | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        moment = load_file(path).get("moment")
    except (OSError, SafetensorError):
        return None
    return moment if moment is not None and moment.shape == (width, width) else None


def _write(path: Path, moment: Tensor) -> None:
    from safetensors.torch import save

    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, save({"moment": moment.contiguous()}))
