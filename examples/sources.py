"""What the documentation's tables come from: finished runs, and files of the scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from overpaint.benchmark.report import read_run
from overpaint.benchmark.report.data import RunData
from overpaint.errors import DataError

Weights = Callable[[], str]
Form = Callable[[Path, list[str], Weights], Iterator[str]]


def finished(root: Path, words: list[str], weights: Weights) -> RunData:
    """The run named in the marker; DataError unless it is whole and of the shipped weights."""
    if len(words) != 1:
        raise DataError(f"expected the folder of a run, got {' '.join(words) or 'nothing'!r}")
    run = read_run(root / words[0])
    missing = run.conditions.missing.sum()
    if missing or run.unmeasured:
        raise unfinished(run, f"{missing:,} pictures" if missing else ", ".join(run.unmeasured))
    _of_shipped(run.configuration.get("weights"), weights, words[0])
    return run


def measured(root: Path, words: list[str], weights: Weights) -> tuple[Any, str]:
    """Results and command from what a script wrote; DataError for something else."""
    path = root / (words[0] if words else "")
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        results, command, own = whole["results"], whole["command"], whole["weights"]
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}; measure it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected what a script of benchmarks/ writes with --json, got {str(path)!r}; measure "
            "it again"
        ) from error
    _of_shipped(own, weights, words[0])
    return results, command


def _of_shipped(own: object, weights: Weights, name: str) -> None:
    if own != weights():
        raise DataError(f"{name!r} was made with other weights than those shipped; begin it anew")


def unfinished(run: RunData, what: str) -> DataError:
    """The error for a run that lacks something."""
    command = run.notes.get("command", "overpaint bench")
    return DataError(f"{str(run.folder)!r} is not finished, it lacks {what}; {command}")
