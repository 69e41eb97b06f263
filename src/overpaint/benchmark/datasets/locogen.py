"""Prompts of LocoGen and LocoEdit (Basu et al. 2024), as far as the paper prints them."""

from __future__ import annotations

from pathlib import Path

from overpaint.benchmark.datasets.coco import Caption
from overpaint.benchmark.datasets.locogen_prompts import (
    FACTS,
    LOCATIONS,
    OBJECTS,
    SHOWN,
    STYLED,
    THINGS,
)
from overpaint.benchmark.datasets.table import no_twins, read
from overpaint.toybox.cases import PromptPair

ATTRIBUTES = ("style", "object", "fact")
COLUMNS = ("attribute", "original", "target")

PAINTING = "a painting"
"""The target of every style (appendix C)."""


def locogen() -> tuple[PromptPair, ...]:
    """Prompts with a style, a trademarked object or a fact, and their targets.

    Styles are those of the figures (appendix B) and of appendix K.1, objects and facts those of
    appendix C.
    """
    styles = [*SHOWN, *(prompt for prompts in STYLED.values() for prompt in prompts)]
    return (
        *(PromptPair("style", prompt, PAINTING) for prompt in styles),
        *(PromptPair("object", *pair) for pair in OBJECTS.items()),
        *(PromptPair("fact", *pair) for pair in FACTS.items()),
    )


def locogen_generic() -> tuple[Caption, ...]:
    """The 320 prompts that an edit should leave alone (appendix L): COCO's things at four places.

    The paper names things and places but not the sentence; it is that of its figure 11.
    """
    return tuple(Caption(f"{_one(thing)} in a {place}") for thing in THINGS for place in LOCATIONS)


def _one(thing: str) -> str:
    if thing in ("skis", "scissors"):
        return f"a pair of {thing}"
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def read_pairs(path: Path) -> tuple[PromptPair, ...]:
    """Your own pairs, from a table with the columns attribute, original and target.

    DataError for a broken row, an attribute that is none of style, object and fact, a pair that
    occurs twice, or one whose prompts are equal.
    """
    rows = read(path, COLUMNS)
    no_twins(rows, "target", lambda row: tuple(row[name].casefold() for name in COLUMNS))
    for row in rows:
        if row["attribute"] not in ATTRIBUTES:
            expected = ", ".join(ATTRIBUTES)
            raise row.wrong("attribute", f"expected one of {expected}, got {row['attribute']!r}")
        if row["original"].casefold() == row["target"].casefold():
            raise row.wrong("target", "it equals the original, so nothing would change")
    return tuple(PromptPair(*(row[name] for name in COLUMNS)) for row in rows)
