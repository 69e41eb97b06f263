"""The file of a run: begun, known as one, and held to the configuration that it was begun with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path

from overpaint.errors import DataError, OutputError

LAYOUT = 2  # raised when the tables change
PATIENCE = 60.0  # seconds to wait for another process that is writing

_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conditions (
    name TEXT PRIMARY KEY, method TEXT NOT NULL, settings TEXT NOT NULL, series TEXT NOT NULL,
    x REAL, about TEXT NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE cases (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
    probes TEXT NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE measures (
    condition TEXT NOT NULL, "case" TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    spread REAL NOT NULL, PRIMARY KEY (condition, "case", name)
) WITHOUT ROWID;
CREATE TABLE results (
    condition TEXT NOT NULL, "case" TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
    new REAL NOT NULL, old REAL NOT NULL, seconds REAL NOT NULL, picture TEXT NOT NULL,
    PRIMARY KEY (condition, "case", prompt, seed)
) WITHOUT ROWID;
"""


def open_run(
    path: Path, configuration: Mapping[str, object] | None, growing: Collection[str]
) -> sqlite3.Connection:
    """The open file ``path``, begun if need be; see :class:`overpaint.benchmark.store.Store`."""
    if configuration is None and not path.is_file():
        raise DataError(f"expected a run, got {str(path)!r}: there is no such file")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {str(path)!r}: there is no such folder; make it first")
    try:
        base = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        _prepare(base, path, configuration, growing)
    except sqlite3.OperationalError as error:
        raise OutputError(f"cannot open the run {str(path)!r}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"expected a run, got {str(path)!r}: {error}") from error
    return base


def about(base: sqlite3.Connection, path: Path, name: str) -> str:
    """What the run in ``path`` says of itself under ``name``; DataError when it says nothing."""
    row = base.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise DataError(f"expected a run, got {str(path)!r}: it says no {name}")
    return row[0]


def as_text(value: object) -> str:
    """``value`` as JSON, equal for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _prepare(
    base: sqlite3.Connection,
    path: Path,
    configuration: Mapping[str, object] | None,
    growing: Collection[str],
) -> None:
    try:
        base.execute("PRAGMA synchronous = FULL")
        base.execute("BEGIN IMMEDIATE")  # two processes may begin the same run at once
        names = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
        if not names and configuration is not None:
            _begin(base, configuration)
        elif not {"about", "results"} <= names:
            raise DataError(f"expected a run, got {str(path)!r}: another SQLite file")
        if about(base, path, "layout") != str(LAYOUT):
            raise DataError(f"{path}: the run was made by another version; begin a new one")
        if configuration is not None:
            _go_on(base, path, configuration, growing)
        base.execute("COMMIT")
        base.execute("PRAGMA journal_mode = WAL")  # not before the file is known as ours
    except BaseException:
        base.close()  # takes back what was begun
        raise


def _begin(base: sqlite3.Connection, configuration: Mapping[str, object]) -> None:
    for statement in _TABLES.split(";"):
        base.execute(statement)
    facts = [("layout", str(LAYOUT)), ("configuration", as_text(configuration))]
    base.executemany("INSERT INTO about VALUES (?, ?)", facts)


def _go_on(
    base: sqlite3.Connection,
    path: Path,
    configuration: Mapping[str, object],
    growing: Collection[str],
) -> None:
    """Let the run grow to ``configuration``; DataError when anything else differs."""
    text = as_text(configuration)
    theirs, ours = json.loads(about(base, path, "configuration")), json.loads(text)
    names = [k for k in {**theirs, **ours} if theirs.get(k, ...) != ours.get(k, ...)]
    if not names:
        return
    if not (set(names) <= set(growing) and all(ours[k] > theirs[k] for k in names)):
        raise DataError(
            f"{path}: the run was begun with a different configuration "
            f"({', '.join(names)}); use the same, or begin a new run"
        )
    base.execute("UPDATE about SET value = ? WHERE name = 'configuration'", (text,))
    # The command that was noted is not that of this run any more; the next one is.
    base.execute("DELETE FROM about WHERE name LIKE 'note %'")
