"""A run: one SQLite file with what is looked at, and a row per (condition, case, prompt, seed).

A batch is added in one transaction that reaches the disk before :meth:`Store.add` returns (WAL,
``synchronous=FULL``): a run killed at any moment has every batch it finished, whole, and none of
the one in flight. What is still to do is what has no row, so going on is doing that.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from overpaint.benchmark.opening import about, as_text, open_run
from overpaint.benchmark.rows import CaseRow, ConditionRow, Key, Measure, Result
from overpaint.errors import DataError

__all__ = ["CaseRow", "ConditionRow", "Key", "Measure", "Result", "Store", "picture_hash"]

_KEY = 'condition, "case", prompt, seed'
_ADD = f"INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({_KEY}) DO NOTHING"
_SAME = (
    'SELECT new, old, picture FROM results WHERE condition = ? AND "case" = ? AND prompt = ? '
    "AND seed = ?"
)


class Store:
    """An open run; use it in ``with``. Several processes may have the same run open."""

    def __init__(
        self,
        path: Path,
        configuration: Mapping[str, object] | None = None,
        *,
        growing: Collection[str] = (),
    ) -> None:
        """Open the run in the file ``path``, or begin one there; without a configuration only open.

        ``configuration``, of JSON values, is kept with it and has to be the same ever after:
        rows of different settings in one table would be comparable to nothing. Only numbers named
        in ``growing`` may be larger than they were: then there are more rows of the same sort.
        DataError for another configuration (naming what differs), or for a file that is no run;
        OutputError where nothing can be written.
        """
        self.path = path
        self._base = open_run(path, configuration, growing)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run in the file ``path``, whatever its configuration; DataError when it is none."""
        return cls(path)

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
        return json.loads(about(self._base, self.path, "configuration"))

    def add(self, results: Iterable[Result]) -> int:
        """Add a batch, all of it or, if anything is wrong, nothing; the number of new rows.

        A row that is there already is left as it is, so a batch may be added twice. DataError
        when it is there with another score or picture, or a score is not a number.
        """
        with self._writing():
            return sum(self._add(result) for result in results)

    def missing(self, wanted: Iterable[Key]) -> list[Key]:
        """Those of ``wanted`` that have no row yet: each once, in the order given."""
        done = set(self._base.execute(f"SELECT {_KEY} FROM results"))
        return [key for key in dict.fromkeys(wanted) if tuple(key) not in done]

    def results(self, condition: str | None = None) -> Iterator[Result]:
        """All rows, or those of one condition, in the order of their keys."""
        where, values = ("", ()) if condition is None else ("WHERE condition = ?", (condition,))
        for row in self._base.execute(f"SELECT * FROM results {where} ORDER BY {_KEY}", values):
            yield Result(Key(*row[:4]), *row[4:])

    def describe_conditions(self, rows: Iterable[ConditionRow]) -> None:
        """Keep what the run looks at, in this order; what rows are about is added to what is known.

        DataError for a row that is there with another method, settings or place on a curve.
        """
        with self._writing():
            for place, row in enumerate(rows):
                self._describe(row, place)

    def conditions(self) -> list[ConditionRow]:
        """What the run looks at, in the order of its plan."""
        columns = "name, method, settings, series, x, about"
        found = self._base.execute(f"SELECT {columns} FROM conditions ORDER BY place, name")
        return [
            ConditionRow(n, m, json.loads(s), c, x, json.loads(a)) for n, m, s, c, x, a in found
        ]

    def describe_cases(self, rows: Iterable[CaseRow]) -> None:
        """Keep what is edited and asked, in this order; DataError for a case that has changed."""
        with self._writing():
            for place, row in enumerate(rows):
                values = (row.name, row.kind, row.source, row.target, as_text(row.probes))
                add = "INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"
                same = "SELECT name, kind, source, target, probes FROM cases WHERE name = ?"
                self._base.execute(add, (*values, place))
                if self._base.execute(same, (row.name,)).fetchone() != values:
                    raise self._changed(f"case {row.name!r}")

    def cases(self) -> list[CaseRow]:
        """What is edited and asked, in the order of the plan."""
        columns = "name, kind, source, target, probes"
        found = self._base.execute(f"SELECT {columns} FROM cases ORDER BY place, name")
        return [CaseRow(n, k, s, t, json.loads(p)) for n, k, s, t, p in found]

    def measure(
        self, condition: str, case: str, name: str, value: float, spread: float = 0.0
    ) -> None:
        """Keep a number (:class:`Measure`), in the place of an earlier one of the same name."""
        self.add_measures([Measure(condition, case, name, value, spread)])

    def add_measures(self, measures: Iterable[Measure]) -> None:
        """Keep several, all of them or none; DataError for one that is no number."""
        with self._writing():
            for row in measures:
                if not (math.isfinite(row.value) and math.isfinite(row.spread)):
                    raise DataError(f"{self.path}: expected a number, got {row}")
                self._base.execute("INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?, ?)", row)

    def measures(self) -> list[Measure]:
        """All such numbers, in the order of their names."""
        found = self._base.execute('SELECT * FROM measures ORDER BY condition, "case", name')
        return [Measure(*row) for row in found]

    def note(self, facts: Mapping[str, object]) -> None:
        """Keep ``facts`` of JSON values (versions, the command): not compared when a run goes on.

        Facts that are known already stay as they are, until the run grows.
        """
        with self._writing():
            pairs = [(f"note {name}", as_text(value)) for name, value in facts.items()]
            self._base.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", pairs)

    def notes(self) -> dict[str, Any]:
        """What was noted, by name."""
        rows = self._base.execute("SELECT name, value FROM about WHERE name LIKE 'note %'")
        return {name.removeprefix("note "): json.loads(value) for name, value in rows}

    def digest(self) -> str:
        """A hash of all that does not depend on the clock: equal runs have equal digests."""
        digest = hashlib.sha256(about(self._base, self.path, "configuration").encode())
        for row in self.conditions():
            digest.update(repr((row.name, row.method, row.settings, row.series, row.x)).encode())
        for row in self.cases():
            digest.update(repr(row).encode())
        for row in self.measures():
            digest.update(repr((*row[:3], row.value.hex(), row.spread.hex())).encode())
        for key, new, old, _, picture in self.results():
            digest.update(repr((*key, new.hex(), old.hex(), picture)).encode())
        return digest.hexdigest()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all that is written inside, or nothing."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    def _describe(self, row: ConditionRow, place: int) -> None:
        values = (row.name, row.method, as_text(row.settings), row.series, row.x)
        known = self._base.execute(
            "SELECT * FROM conditions WHERE name = ?", (row.name,)
        ).fetchone()
        if known is not None and known[:5] != values:
            raise self._changed(f"condition {row.name!r}")
        about = {**(json.loads(known[5]) if known else {}), **row.about}
        place = known[6] if known else place
        add = "INSERT OR REPLACE INTO conditions VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._base.execute(add, (*values, as_text(about), place))

    def _changed(self, what: str) -> DataError:
        return DataError(f"{self.path}: {what} was different when the run began; begin a new run")

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


def picture_hash(pixels: bytes, shape: tuple[int, ...]) -> str:
    """16 bytes in hexadecimal: equal for equal pictures (the bytes of ``[3, H, W]`` uint8)."""
    return hashlib.blake2b(pixels, digest_size=16, key=repr(tuple(shape)).encode()).hexdigest()
