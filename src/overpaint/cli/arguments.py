"""From what was typed to the library's values; every refusal is a named error."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from overpaint.errors import DataError, EditError, OutputError

if TYPE_CHECKING:
    from overpaint.types import Edit


def output_file(path: Path) -> Path:
    """``path`` if a file can be written there; found out before any long work begins."""
    kind = _what_is_there(path)
    if kind == "folder":
        raise OutputError(f"expected a file to write, got the folder {str(path)!r}; add a name")
    if kind and not os.access(path, os.W_OK):
        raise OutputError(f"cannot write {str(path)!r}: it is read-only; choose another name")
    return path


def output_folder(path: Path) -> Path:
    """``path`` if a folder can be made there; it must not exist, or be empty."""
    kind = _what_is_there(path)
    if kind == "file" or (kind and any(path.iterdir())):
        raise OutputError(f"expected a new or empty folder, got {str(path)!r}; choose another name")
    return path


def _what_is_there(path: Path) -> str:
    """``"file"``, ``"folder"`` or ``""``; OutputError unless something can be put beside it."""
    if not path.parent.is_dir():
        raise OutputError(
            f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}; make it first"
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        return "folder" if stat.S_ISDIR(path.stat().st_mode) else "file"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write {str(path)!r}: {reason}; choose another place with --out"
        ) from error


def slug(text: str) -> str:
    """``text`` as the stem of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "patch"


SEEDS = 2**63  # what a generator takes
MANY_SEEDS = 100_000  # more were meant for one seed, not for so many


def seeds(text: str) -> list[int]:
    """``"4"`` is seeds 0 to 3, ``"2-5"`` a range, ``"7,9"`` a list."""
    chosen: range | list[int] = []
    try:
        if re.fullmatch(r"\d+", text):
            chosen = range(int(text))
        elif match := re.fullmatch(r"(\d+)-(\d+)", text):
            chosen = range(int(match[1]), int(match[2]) + 1)
        else:
            chosen = [int(part) for part in text.split(",")]
    except ValueError:
        pass
    ends = (chosen[0], chosen[-1]) if isinstance(chosen, range) and chosen else chosen
    if not ends or min(ends) < 0:
        raise DataError(f"expected seeds such as 4 (the first four), 2-5 or 7,9, got {text!r}")
    if max(ends) >= SEEDS or chosen[MANY_SEEDS:]:
        raise DataError(
            f"expected at most {MANY_SEEDS:,} seeds below 2^63, got {text!r}; 7-7 is seed 7 alone"
        )
    return list(chosen)


def numbers(what: str, text: str) -> list[int]:
    """``"8,9"`` as ``[8, 9]``; ``what`` says in an error what they are."""
    if not re.fullmatch(r"-?\d+(,-?\d+)*", text):
        raise DataError(f"expected {what} such as 8 or 8,9, got {text!r}")
    return [int(part) for part in text.split(",")]


def edits_from_file(path: Path) -> list[Edit]:
    """The edits in a JSON file: a list of objects with the fields of ``Edit``."""
    from overpaint.types import Edit

    fields = [f.name for f in dataclasses.fields(Edit) if f.name != "images"]
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read edits from {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"expected JSON in {str(path)!r}: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"expected a list of edits in {str(path)!r}, e.g. {EXAMPLE_EDITS}")
    for number, entry in enumerate(entries):
        whole = isinstance(entry, dict) and all(isinstance(v, str) for v in entry.values())
        if not whole or not entry.get("source") or set(entry) - set(fields):
            raise DataError(
                f"{path}, edit {number}: expected texts named {', '.join(fields)} with at least "
                f"a source, got {json.dumps(entry)}"
            )
    return [Edit(**entry) for entry in entries]


EXAMPLE_EDITS = '[{"source": "a rose", "target": "a blue rose"}]'


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """``["lr=0.1"]`` as ``{"lr": "0.1"}``."""
    for text in texts:
        if "=" not in text:
            raise EditError(f"expected --set NAME=VALUE, got {text!r}")
    return {name.strip(): value.strip() for name, value in (t.split("=", 1) for t in texts)}
