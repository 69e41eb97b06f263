"""Patches and edits as rows for a person and as records for a program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from overpaint.cli import show

if TYPE_CHECKING:
    from overpaint.types import Edit, Patch


def edit_text(edit: Edit) -> str:
    """One edit in one line: ``a rose -> a blue rose``."""
    target = edit.target or "picture(s)"
    return f"{edit.source} -> {target}"


def edit_record(edit: Edit) -> dict[str, object]:
    """One edit as JSON values; pictures only by their number."""
    names = ("source", "target", "subject", "old", "destination")
    record: dict[str, object] = {name: getattr(edit, name) for name in names if getattr(edit, name)}
    return record | ({"images": len(edit.images)} if edit.images else {})


def patch_facts(path: Path, patch: Patch) -> list[tuple[str, object]]:
    """Names and values that describe a patch."""
    places = Counter(delta.site.component for delta in patch.deltas)
    ranks = sorted({delta.rank for delta in patch.deltas})
    facts: list[tuple[str, object]] = [
        ("edit", "; ".join(edit_text(edit) for edit in patch.edits)),
        ("method", patch.method),
        ("sites", ", ".join(f"{n} in {component}" for component, n in places.items())),
        ("rank", ranks[0] if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"),
        ("size", show.size(path.stat().st_size)),
        ("computed on", f"model {patch.fingerprint[:12]}"),
    ]
    return facts + [(str(name), value) for name, value in patch.info.items() if _short(value)]


def patch_record(path: Path, patch: Patch) -> dict[str, object]:
    """The same and more, as JSON values."""
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "method": patch.method,
        "edits": [edit_record(edit) for edit in patch.edits],
        "config": dict(patch.config),
        "info": dict(patch.info),
        "fingerprint": patch.fingerprint,
        "sites": [
            {
                "component": delta.site.component,
                "name": delta.site.name,
                "shape": [delta.site.d_out, delta.site.d_in],
                "rank": delta.rank,
            }
            for delta in patch.deltas
        ],
    }


def _short(value: object) -> bool:
    return isinstance(value, bool | int | float | str) and len(str(value)) < 80


def value(thing: object) -> str:
    """A setting in a cell of a table; edits in words."""
    if isinstance(thing, list | tuple) and thing and all(isinstance(e, dict) for e in thing):
        return "; ".join(f"{e.get('source')} -> {e.get('target') or 'picture(s)'}" for e in thing)
    return "-" if thing is None else str(thing)
