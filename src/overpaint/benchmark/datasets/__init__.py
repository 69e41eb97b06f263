"""Data sets: from a file in its published layout, or from a name, to frozen values."""

from __future__ import annotations

import os
from pathlib import Path

from overpaint.benchmark.datasets.coco import Caption
from overpaint.benchmark.datasets.fetch import default_folder, find, get, kept
from overpaint.benchmark.datasets.iceb import SeededCase
from overpaint.benchmark.datasets.registry import DATASETS, DataSet, Entry, Source
from overpaint.errors import DataError
from overpaint.types import Case

__all__ = [
    "DATASETS",
    "Caption",
    "DataSet",
    "Entry",
    "SeededCase",
    "Source",
    "default_folder",
    "find",
    "get",
    "kept",
    "load",
    "load_cases",
]


def load(name: str, path: str | os.PathLike[str] | None = None) -> tuple[Entry, ...]:
    """The entries of the data set ``name``, from the file ``path`` in its layout if one is given.

    Otherwise those that come with Overpaint, or the file that ``overpaint data get`` fetched;
    nothing is downloaded here. DataError for an unknown name, a file that is not there, or a
    broken row, naming file, row and column.
    """
    data = find(name)
    if path is not None:
        if data.read is None:
            raise DataError(f"{name!r} comes with Overpaint and is read from no file; give no path")
        return tuple(data.read(Path(path)))
    if data.make is not None:
        return tuple(data.make())
    assert data.read is not None  # a set is made or read
    there = kept(data)
    if there is None:
        remedy = f"run 'overpaint data get {name}', or give" if data.source else "give"
        raise DataError(f"there is no copy of {name!r} here; {remedy} the path of a file")
    return tuple(data.read(there))


def load_cases(name: str, path: str | os.PathLike[str] | None = None) -> tuple[Case, ...]:
    """The same for sets of edit cases; DataError for a set that holds something else."""
    found = [e.case if isinstance(e, SeededCase) else e for e in load(name, path)]
    cases = tuple(entry for entry in found if isinstance(entry, Case))
    if len(cases) != len(found):
        raise DataError(f"expected a data set of edit cases, got {name!r}, which has others")
    return cases
