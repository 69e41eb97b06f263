"""A hint about words that the embedded model has never read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from overpaint.cli import options, show

if TYPE_CHECKING:
    from overpaint.types import Edit


def hint(asked: options.Source, prompts: Iterable[str], quiet: bool = False) -> None:
    """One line on stderr that names the words of ``prompts`` that the embedded world does not have.

    Nothing for another model: nobody knows its words. Not an error either: an edit may give a new
    word its meaning.
    """
    if quiet or not asked.embedded:
        return
    from overpaint.toybox.grammar import unknown_words

    words = unknown_words(prompts)
    if words:
        named = ", ".join(repr(word) for word in words)
        show.hint(f"Toybox does not know {named}; `overpaint toybox words` lists what it knows")


def of_edits(edits: Iterable[Edit]) -> list[str]:
    """All prompts of ``edits``."""
    return [t for e in edits for t in (e.source, e.target, e.subject, e.old, e.destination)]
