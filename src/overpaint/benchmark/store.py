"""The results of a run: one SQLite file, a row per (condition, case, prompt, seed).

A batch is added in one transaction that reaches the disk before :meth:`Store.add` returns (WAL,
``synchronous=FULL``): a run killed at any moment has every batch it finished, whole, and none of
the one in flight. What is still to do is what has no row, so going on is doing that.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from overpaint.errors import DataError, OutputError

LAYOUT = 1  # raised when the tables change
PATIENCE = 60.0  # seconds to wait for another process that is writing


class Key(NamedTuple):
    """Which picture.

    ``prompt`` is its place in the case ("source", "positive 1", ...): a case may ask for the same
    words in two places and expect different things there.
    """

    condition: str
    case: str
    prompt: str
    seed: int


class Result(NamedTuple):
    """What was seen in one picture.

    ``new``, ``old``  the judge's similarities to what the edit wants and to what was before.
    ``seconds``       what it took; the only part that differs when a run is made again.
    ``picture``       hash of the picture (:func:`picture_hash`).
    """

    key: Key
    new: float
    old: float
    seconds: float
    picture: str


_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    condition TEXT NOT NULL, "case" TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
    new REAL NOT NULL, old REAL NOT NULL, seconds REAL NOT NULL, picture TEXT NOT NULL,
    PRIMARY KEY (condition, "case", prompt, seed)
) WITHOUT ROWID;
"""
_KEY = 'condition, "case", prompt, seed'
_ADD = f"INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({_KEY}) DO NOTHING"
_SAME = (
    'SELECT new, old, picture FROM results WHERE condition = ? AND "case" = ? AND prompt = ? '
    "AND seed = ?"
)


class Store:
    """An open run; use it in ``with``. Several processes may have the same run open."""

    def __init__(self, path: Path, configuration: Mapping[str, object]) -> None:
        """Open the run in the file ``path``, or begin one there.

        ``configuration``, of JSON values, is kept with it and has to be the same ever after:
        rows of different settings in one table would be comparable to nothing. DataError for
        another configuration (naming what differs), or for a file that is no run; OutputError
        where nothing can be written.
        """
        self.path = path
        text = json.dumps(configuration, sort_keys=True, ensure_ascii=False)
        if not path.parent.is_dir():
            raise OutputError(f"cannot write {str(path)!r}: there is no such folder; make it first")
        try:
            self._base = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            self._prepare(text)
        except sqlite3.OperationalError as error:
            raise OutputError(f"cannot open the run {str(path)!r}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"expected a run, got {str(path)!r}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; what was added stays."""
        self._base.close()

    def __len__(self) -> int:
        (count,) = self._base.execute("SELECT count(*) FROM results").fetchone()
        return count

    @property
    def configuration(self) -> dict[str, object]:
        """What the run was begun with."""
        return json.loads(self._about("configuration"))

    def add(self, results: Iterable[Result]) -> int:
        """Add a batch, all of it or, if anything is wrong, nothing; the number of new rows.

        A row that is there already is left as it is, so a batch may be added twice. DataError
        when it is there with another score or picture, or a score is not a number.
        """
        self._base.execute("BEGIN IMMEDIATE")
        try:
            added = sum(self._add(result) for result in results)
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise
        return added

    def missing(self, wanted: Iterable[Key]) -> list[Key]:
        """Those of ``wanted`` that have no row yet: each once, in the order given."""
        done = set(self._base.execute(f"SELECT {_KEY} FROM results"))
        return [key for key in dict.fromkeys(wanted) if tuple(key) not in done]

    def results(self, condition: str | None = None) -> Iterator[Result]:
        """All rows, or those of one condition, in the order of their keys."""
        where, values = ("", ()) if condition is None else ("WHERE condition = ?", (condition,))
        for row in self._base.execute(f"SELECT * FROM results {where} ORDER BY {_KEY}", values):
            yield Result(Key(*row[:4]), *row[4:])

    def digest(self) -> str:
        """A hash of all that does not depend on the clock: equal runs have equal digests."""
        digest = hashlib.sha256(self._about("configuration").encode())
        for key, new, old, _, picture in self.results():
            digest.update(repr((*key, new.hex(), old.hex(), picture)).encode())
        return digest.hexdigest()

    def _add(self, result: Result) -> int:
        key, new, old, seconds, picture = result
        if not all(math.isfinite(value) for value in (new, old, seconds)):
            raise DataError(f"{self.path}: expected scores that are numbers, got {result}")
        if self._base.execute(_ADD, (*key, new, old, seconds, picture)).rowcount:
            return 1
        if self._base.execute(_SAME, key).fetchone() != (new, old, picture):
            raise DataError(
                f"{self.path}: {', '.join(map(str, key))} is there with another score or picture; "
                "the model, the judge or the settings have changed: begin a new run"
            )
        return 0

    def _prepare(self, configuration: str) -> None:
        try:
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("BEGIN IMMEDIATE")  # two processes may begin the same run at once
            names = {name for (name,) in self._base.execute("SELECT name FROM sqlite_master")}
            if not names:
                self._begin(configuration)
            elif not {"about", "results"} <= names:
                raise DataError(f"expected a run, got {str(self.path)!r}: another SQLite file")
            self._check(configuration)
            self._base.execute("COMMIT")
            self._base.execute("PRAGMA journal_mode = WAL")  # not before the file is known as ours
        except BaseException:
            self._base.close()  # takes back what was begun
            raise

    def _begin(self, configuration: str) -> None:
        for statement in _TABLES.split(";"):
            self._base.execute(statement)
        facts = [("layout", str(LAYOUT)), ("configuration", configuration)]
        self._base.executemany("INSERT INTO about VALUES (?, ?)", facts)

    def _check(self, configuration: str) -> None:
        if self._about("layout") != str(LAYOUT):
            raise DataError(f"{self.path}: the run was made by another version; begin a new one")
        theirs, ours = json.loads(self._about("configuration")), json.loads(configuration)
        if theirs != ours:
            names = [k for k in {**theirs, **ours} if theirs.get(k, ...) != ours.get(k, ...)]
            raise DataError(
                f"{self.path}: the run was begun with another {', '.join(names)}; use the same, "
                "or begin a new run"
            )

    def _about(self, name: str) -> str:
        row = self._base.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise DataError(f"expected a run, got {str(self.path)!r}: it says no {name}")
        return row[0]


def picture_hash(pixels: bytes, shape: tuple[int, ...]) -> str:
    """16 bytes in hexadecimal: equal for equal pictures (the bytes of ``[3, H, W]`` uint8)."""
    return hashlib.blake2b(pixels, digest_size=16, key=repr(tuple(shape)).encode()).hexdigest()
