"""What the benchmark scripts share: a bar, settings given as words, numbers written down."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from overpaint.benchmark.provenance import identity, versions
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.types import Progress

console = Console(width=None if Console().is_terminal else 120)


@contextmanager
def bar(label: str) -> Iterator[Progress]:
    """A progress callback that draws one bar for each thing it is told about."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tick(done: int, total: int, what: str) -> None:
            name = "seeking v*" if what.startswith("p ") else what
            if name not in tasks:
                tasks[name] = bars.add_task(f"{label}: {name}", total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield tick


def configured(config: type, words: Sequence[str], kind: str, **defaults: Any) -> Any:
    """A config from words like ``lam=0.1`` or, for one kind of cases only, ``roles.layer=7``."""
    known = {field.name for field in fields(config)}
    values = dict(defaults)
    for word in sorted(words, key=lambda w: "." in w.partition("=")[0]):  # particular ones win
        left, equals, right = word.partition("=")
        scope, _, name = left.rpartition(".")
        if not equals or name not in known:
            raise SystemExit(f"expected SETTING=VALUE out of {', '.join(sorted(known))}: {word!r}")
        if scope in ("", kind):
            try:
                values[name] = json.loads(right.lower())
            except json.JSONDecodeError:
                raise SystemExit(f"expected a number, true or false in {word!r}") from None
    return config(**values)


def keep(path: Path, results: Any) -> None:
    """Write ``results`` as JSON with the command, and the embedded weights they are of.

    examples/tables.py puts them into the documentation.
    """
    command = shlex.join(["python", *sys.argv])
    weights = identity(load("toybox"), load_clip("toybox-judge"))
    whole = {"command": command, "weights": weights, "versions": versions(), "results": results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    console.print(f"wrote {path}")
