"""Localizations as JSON files: found once, used by any number of edits and plots."""

from __future__ import annotations

import json
from pathlib import Path

from overpaint.errors import DataError, OutputError
from overpaint.localize.score import KINDS
from overpaint.types import Localization

EXAMPLE = '{"kind": "style", "layers": [8, 9], "window": 2, "scores": [20.1, 18.3]}'


def record(found: Localization) -> dict[str, object]:
    """``found`` without its pictures, as plain JSON values; what was measured stands beside."""
    return {
        "kind": found.kind,
        "layers": list(found.layers),
        "window": found.window,
        "scores": list(found.scores),
        **found.info,
    }


def save_localization(found: Localization, path: Path) -> None:
    """Write ``found`` without its pictures to ``path``; OutputError when that cannot be done."""
    try:
        path.write_text(json.dumps(record(found), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {str(path)!r}: {error.strerror}; choose another place"
        ) from error


def load_localization(path: Path) -> Localization:
    """The localization in a file that :func:`save_localization` wrote, or that holds its fields.

    DataError when it is missing, is no JSON, or does not tell where something was found.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot read a localization from {str(path)!r}: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON in {str(path)!r}: {error}") from error
    if not isinstance(values, dict) or not _whole(values):
        raise DataError(f"expected a localization in {str(path)!r}, e.g. {EXAMPLE}")
    kind, layers, window, scores = (values.pop(k) for k in ("kind", "layers", "window", "scores"))
    return Localization(kind, tuple(layers), tuple(map(float, scores)), window, info=values)


def _whole(values: dict[str, object]) -> bool:
    """Whether the fields of a localization are there, fit their types and each other."""
    layers, scores = values.get("layers"), values.get("scores")
    return (
        values.get("kind") in [*KINDS]  # a list: the value may be unhashable
        and isinstance(layers, list)
        and isinstance(scores, list)
        and values.get("window") == len(layers) > 0
        and all(type(layer) is int for layer in layers)
        and all(type(score) in (int, float) for score in scores)
        and layers == list(range(layers[0], layers[0] + len(layers)))
        and 0 <= layers[0] < len(scores)
    )
