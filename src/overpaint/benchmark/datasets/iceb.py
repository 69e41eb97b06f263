"""Concept edits as in ICEB (EMCID, Xiong et al. 2024): ``{source, dest, prompts, seeds}`` in JSON.

A list of such objects, or an object with the list under ``requests``. ``prompts`` have ``{}``
where the concept goes; ``seeds`` has one seed for each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overpaint.benchmark.datasets.table import trouble
from overpaint.errors import DataError
from overpaint.types import Case, Edit, Probe

FIELDS = ("source", "dest", "prompts", "seeds")

FURTHER = (
    *("source id", "dest id", "indices", "seed_train"),
    *("negative prompts", "txt_img_align", "txt_align", "use_real_noise"),
)
"""What EMCID's own files hold besides: settings of that method, and numbers into ImageNet."""


@dataclass(frozen=True)
class SeededCase:
    """A case whose positives have a seed of their own each: ``seeds [n_positives]``."""

    case: Case
    seeds: tuple[int, ...]


def read_iceb(path: Path) -> tuple[SeededCase, ...]:
    """The edits in such a file. They have no negatives.

    DataError, naming the file, the entry (from 1) and the field, for anything but the layout
    above: a missing, unknown, repeated, empty or mangled field, a prompt without ``{}``, not one
    seed for each prompt, or an edit that occurs twice.
    """
    entries = _entries(path)
    cases: list[SeededCase] = []
    seen: dict[tuple[str, str], int] = {}
    for number, entry in enumerate(entries, start=1):
        made = _Entry(path, number, entry).seeded_case()
        edit = made.case.edit
        before = seen.setdefault((edit.source.casefold(), edit.target.casefold()), number)
        if before != number:
            raise _wrong(path, number, "dest", f"entry {before} is the same edit; remove one")
        cases.append(made)
    return tuple(cases)


@dataclass(frozen=True)
class _Entry:
    path: Path
    number: int
    fields: dict[str, Any]

    def seeded_case(self) -> SeededCase:
        for name in FIELDS:
            if name not in self.fields:
                raise self._wrong(name, "the field is missing")
        for name in self.fields:
            if name not in (*FIELDS, *FURTHER):
                raise self._wrong(name, f"unknown field; expected {', '.join(FIELDS)}")
        source, dest = self._text("source"), self._text("dest")
        if source.casefold() == dest.casefold():
            raise self._wrong("dest", f"it equals the source {source!r}, so nothing would change")
        prompts = [self._clean("prompts", text) for text in self._list("prompts", str)]
        for prompt in prompts:
            if prompt.count("{}") != 1:
                raise self._wrong("prompts", f"expected {{}} once, for the concept, in {prompt!r}")
        seeds = self._list("seeds", int)
        if len(seeds) != len(prompts) or min(seeds) < 0:
            what = f"one seed of at least 0 for each of the {len(prompts)} prompts"
            raise self._wrong("seeds", f"expected {what}, got {seeds}")
        positives = []
        for prompt in prompts:
            before, after = (prompt.replace("{}", name) for name in (source, dest))
            positives.append(Probe(before, before, after))
        edit = Edit(source, dest, destination=dest)
        probe = Probe(source, source, dest)
        return SeededCase(Case("concepts", edit, probe, tuple(positives), ()), tuple(seeds))

    def _text(self, name: str) -> str:
        if not isinstance(self.fields[name], str):
            raise self._wrong(name, f"expected a text, got {self.fields[name]!r}")
        return self._clean(name, self.fields[name])

    def _list(self, name: str, kind: type) -> list[Any]:
        values = self.fields[name]
        fits = isinstance(values, list) and values and all(type(v) is kind for v in values)
        if not fits:
            what = "texts" if kind is str else "whole numbers"
            raise self._wrong(name, f"expected a list of {what}, got {values!r}")
        return values

    def _clean(self, name: str, text: str) -> str:
        text = " ".join(text.split())
        if why := trouble(text):
            raise self._wrong(name, why)
        return text

    def _wrong(self, name: str, why: str) -> DataError:
        return _wrong(self.path, self.number, name, why)


def _entries(path: Path) -> list[dict[str, Any]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{path}: the field {name!r} occurs twice in {dict(pairs)}")
        return dict(pairs)

    try:
        found = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=once)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not JSON: both say where
        raise DataError(f"{path}: expected JSON in UTF-8: {error}") from error
    if isinstance(found, dict):
        found = found.get("requests")
    if not isinstance(found, list) or not found:
        raise DataError(f"{path}: expected a list of objects with {', '.join(FIELDS)}")
    for number, entry in enumerate(found, start=1):
        if not isinstance(entry, dict):
            raise _wrong(path, number, "source", f"expected an object, got {entry!r}")
    return found


def _wrong(path: Path, number: int, field: str, why: str) -> DataError:
    return DataError(f"{path}, entry {number}, field {field!r}: {why}")
