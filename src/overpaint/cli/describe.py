"""Patches and edits as rows for a person and as records for a program."""

from __future__ import annotations

from collections import Counter
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING

from overpaint.cli import show

if TYPE_CHECKING:
    from overpaint.patching.diff import PatchDiff
    from overpaint.types import Edit, Patch


def edit_texts(patch: Patch) -> list[str]:
    """Each edit in one line: ``a rose -> a blue rose``, ``a rose -> 2 pictures``, or erased."""
    # A loaded patch has no pictures; its info says of each edit which there were.
    known = patch.info.get("target_images")
    hashes = known if isinstance(known, list) else [()] * len(patch.edits)
    pairs = zip(patch.edits, hashes, strict=True)
    return [f"{e.source} -> {_target(e, len(e.images) or len(own))}" for e, own in pairs]


def _target(edit: Edit, pictures: int) -> str:
    if edit.target or not pictures:
        return edit.target or "erased"
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


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
        ("edit", "; ".join(edit_texts(patch))),
        ("method", patch.method),
        (
            "sites",
            ", ".join(f"{n} in {c}" for c, n in places.items()) or "none: it changes nothing",
        ),
        (
            "rank",
            " to ".join(str(rank) for rank in dict.fromkeys((*ranks[:1], *ranks[-1:]))) or "-",
        ),
        ("size", show.size(path.stat().st_size)),
        ("computed on", f"{patch.family} model {patch.fingerprint[:12]}".strip()),
    ]
    said = {name for name, _ in facts}
    measured = [(k, v) for k, v in patch.info.items() if _short(v) and k not in said]
    return [*facts, *measured]


def patch_record(path: Path, patch: Patch) -> dict[str, object]:
    """The same and more, as JSON values."""
    from overpaint.types import RelativeDelta

    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "method": patch.method,
        "edits": [edit_record(edit) for edit in patch.edits],
        "config": dict(patch.config),
        "info": dict(patch.info),
        "fingerprint": patch.fingerprint,
        "family": patch.family,
        "sites": [
            {
                "component": delta.site.component,
                "name": delta.site.name,
                "shape": [delta.site.d_out, delta.site.d_in],
                "rank": delta.rank,
                "relative": isinstance(delta, RelativeDelta),
            }
            for delta in patch.deltas
        ],
    }


def _short(thing: object) -> bool:
    """Whether a measured value fits a line: a number, a word, a few of them."""
    if isinstance(thing, list | tuple):
        return len(thing) <= 8 and all(_short(each) for each in thing)
    return isinstance(thing, bool | int | float | str) and len(str(thing)) < 60


def setting_rows(result: PatchDiff) -> list[tuple[str, object, object]]:
    """Settings that differ; those of one method only are left out when the methods differ."""
    other = any(name == "method" for name, _, _ in result.settings)
    return [
        (name, _in_words(first), _in_words(second))
        for name, first, second in result.settings
        if not other or (first is not None and second is not None)
    ]


def _in_words(thing: object) -> object:
    """Edits as ``source -> target``, all else as it is.

    Of an edit without a target nothing here says whether it had pictures or erases.
    """
    if isinstance(thing, list | tuple) and thing and all(isinstance(e, dict) for e in thing):
        return [f"{e.get('source')} -> {e.get('target') or 'no words'}" for e in thing]
    return thing


def diff_facts(result: PatchDiff) -> list[tuple[str, object]]:
    """A comparison of two patches in a few lines."""
    both = [s for s in result.sites if s.rank_a and s.rank_b]
    facts: list[tuple[str, object]] = [
        ("same change", "yes, bit for bit" if result.same else "no"),
        ("layers in both", len(both)),
        ("only in 1", sum(not s.rank_b for s in result.sites)),
        ("only in 2", sum(not s.rank_a for s in result.sites)),
        ("norm of 1", hypot(*(s.norm_a for s in result.sites))),
        ("norm of 2", hypot(*(s.norm_b for s in result.sites))),
        ("distance", hypot(*(s.distance for s in result.sites))),
    ]
    if both:
        facts.append(
            (
                "cosine",
                f"{min(s.cosine for s in both):.3f} to "
                f"{max(s.cosine for s in both):.3f} where both act",
            )
        )
    return facts
