"""Comma-separated tables, read strictly: whatever is wrong names its file, row and column.

Rows are counted from 1 below the header; a cell may hold line breaks, so the line of the file is
named beside them. Nothing is skipped or repaired in silence: quotes must pair, every row has every
cell, no cell is empty, and text that a wrong encoding has mangled is refused. White space around
and inside a cell becomes single spaces, which is how CLIP's tokenizer reads it anyway.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from overpaint.errors import DataError

_CELL = re.compile(r'"((?:[^"]++|"")*+)"|([^",\r\n]*+)')
_END = re.compile(r",|\r\n|\n|\r|\Z")
_JOINERS = "\u200c\u200d"  # the two invisible characters that some scripts cannot do without


@dataclass(frozen=True)
class Row:
    """One row: its cells by column, and where it stands."""

    path: Path
    number: int
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def integer(self, column: str) -> int:
        """The cell as a whole number of at least 0."""
        text = self.cells[column]
        if not (text.isascii() and text.isdigit()):
            raise self.wrong(column, f"expected a whole number, got {text!r}")
        return int(text)

    def wrong(self, column: str, why: str) -> DataError:
        """The error that ``why`` is the matter with this row's cell."""
        return _wrong(self.path, self.number, self.line, column, why)


def read(path: Path, *layouts: Sequence[str]) -> list[Row]:
    """The rows of a table whose columns are those of one of ``layouts``, in any order.

    DataError for a file that cannot be read, is not UTF-8 or has no rows; for a missing, unknown
    or repeated column; for a row with too few or too many cells, and for a cell that is empty,
    wrongly quoted or mangled.
    """
    records = _records(path, _decoded(path))
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: the file is empty; expected a header and rows")
    header = first[1]
    _check_header(path, header, layouts)
    rows = []
    for number, (line, cells) in enumerate(records, start=1):
        if len(cells) != len(header):
            short = len(cells) < len(header)
            what = f"{header[len(cells)]!r} is missing" if short else "too many cells"
            column = header[len(cells) if short else -1]
            why = f"{what}: expected {len(header)} cells, got {len(cells)}; is the row cut off?"
            raise _wrong(path, number, line, column, why)
        values = {name: " ".join(cell.split()) for name, cell in zip(header, cells, strict=True)}
        for name, value in values.items():
            if why := trouble(value):
                raise _wrong(path, number, line, name, why)
        rows.append(Row(path, number, line, values))
    if not rows:
        raise DataError(f"{path}: there are no rows below the header")
    return rows


def no_twins(rows: Sequence[Row], column: str, key: Callable[[Row], Hashable]) -> None:
    """DataError naming both rows when two have the same ``key``; ``column`` is the one to blame."""
    seen: dict[Hashable, Row] = {}
    for row in rows:
        before = seen.setdefault(key(row), row)
        if before is not row:
            raise row.wrong(column, f"row {before.number} already has {row[column]!r}; remove one")


def trouble(text: str) -> str:
    """What is wrong with a piece of text, or ``""``: empty, or mangled by a wrong encoding."""
    if not text:
        return "the cell is empty; fill it in or remove the row"
    if text.isascii() and text.isprintable():
        return ""  # nearly every cell
    for character in text:
        odd = unicodedata.category(character)[0] == "C" or character == "\ufffd"
        if odd and character not in _JOINERS:
            name = unicodedata.name(character, "a control character")
            return f"stray U+{ord(character):04X} ({name.lower()}) in {text!r}; save it as UTF-8"
    try:
        meant = text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return ""
    return f"{text!r} is {meant!r} read in a wrong encoding; save it as UTF-8"


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if raw.startswith(b"\xef\xbb\xbf"):
        why = "a byte order mark stands before it; save the file as UTF-8 without one"
        raise _wrong(path, 0, 1, raw[3:].split(b",", 1)[0].decode(errors="replace"), why)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        rows = list(csv.reader(io.StringIO(before))) or [[""]]
        if before.endswith(("\n", "\r")):
            rows.append([""])
        place = len(rows[-1]) - 1
        column = rows[0][place] if len(rows) > 1 and place < len(rows[0]) else f"#{place + 1}"
        why = f"byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8"
        raise _wrong(path, len(rows) - 1, before.count("\n") + 1, column, why) from error


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The line each record begins on, and its cells; the header is the first."""
    place, line, number = 0, 1, 0
    header: list[str] = []
    while place < len(text):
        begin, cells, end = place, [], ","
        while end == ",":
            cell = _CELL.match(text, place)
            assert cell is not None  # it matches the empty text
            stop = _END.match(text, cell.end())
            if stop is None:
                column = header[len(cells)] if len(cells) < len(header) else f"#{len(cells) + 1}"
                raise _wrong(path, number, line, column, _quoting(text, place, cell))
            cells.append(cell[2] if cell[1] is None else cell[1].replace('""', '"'))
            place, end = stop.end(), stop[0]
        header = header or cells
        yield line, cells
        line += text.count("\n", begin, place)
        number += 1


def _quoting(text: str, place: int, cell: re.Match[str]) -> str:
    if cell[1] is not None:
        return f"text after the closing quote of {cell[0][:40]!r}; double the quotes inside"
    if text[place] == '"':
        return f"the quote before {text[place + 1 : place + 40]!r} is never closed"
    return f"a quote inside {cell[0]!r}; put the whole cell in quotes and double those inside"


def _check_header(path: Path, header: list[str], layouts: Sequence[Sequence[str]]) -> None:
    for name in header:
        if header.count(name) > 1:
            raise _wrong(path, 0, 1, name, "the column occurs twice")
    if any(set(header) == set(layout) for layout in layouts):
        return
    nearest = min(layouts, key=lambda layout: len(set(layout) ^ set(header)))
    for name in nearest:
        if name not in header:
            raise _wrong(path, 0, 1, name, f"the column is missing; expected {', '.join(nearest)}")
    unknown = next(name for name in header if name not in nearest)
    raise _wrong(path, 0, 1, unknown, f"unknown column; expected {', '.join(nearest)}")


def _wrong(path: Path, number: int, line: int, column: str, why: str) -> DataError:
    row = f"row {number} (line {line})" if number else "header"
    return DataError(f"{path}, {row}, column {column!r}: {why}")
