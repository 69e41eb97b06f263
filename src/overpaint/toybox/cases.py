"""Edit cases of the painted world: what to edit, and which prompts tell what the edit did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, overload

from overpaint.errors import DataError
from overpaint.toybox.check import validate
from overpaint.toybox.compose import appearance_case, attribute_case, role_case, thing
from overpaint.toybox.compose_styles import style_case
from overpaint.toybox.pairs import APPEARANCES, ATTRIBUTES, ROLES, Pairs, pairs
from overpaint.toybox.pairs import STYLES as RESTYLED
from overpaint.toybox.scene import article
from overpaint.toybox.world import CHARACTERS, MEDIA, PEOPLE, PROFESSIONS, SETTINGS, STYLES
from overpaint.toybox.world import ROLES as HOLDERS
from overpaint.types import Case, Edit, GenderCase

SPLITS = ("test", "validation")

TIMED_AND_ROAD = ("attributes", "roles", "appearances")
"""The kinds of edit cases of the papers' data sets: TIMED's, and the two of RoAD."""

EDIT_KINDS = (*TIMED_AND_ROAD, "styles")
"""All kinds of edit cases; LocoEdit is about styles."""

EditKind = Literal["attributes", "roles", "appearances", "styles"]

_RULES: dict[str, tuple[Pairs, Callable[[str, str, int, int], Case]]] = {
    "attributes": (ATTRIBUTES, attribute_case),
    "roles": (ROLES, role_case),
    "appearances": (APPEARANCES, appearance_case),
    "styles": (RESTYLED, style_case),
}


@dataclass(frozen=True)
class PromptPair:
    """Two prompts that differ in one thing, to find the layers that control it (LocoGen).

    ``attribute`` is ``"style"``, ``"object"`` or ``"fact"``; ``target`` is ``original`` without
    the style or the trademarked thing, or with another fact.
    """

    attribute: str
    original: str
    target: str


@overload
def load(kind: EditKind, split: str = "test") -> tuple[Case, ...]: ...
@overload
def load(kind: Literal["gender"], split: str = "test") -> tuple[GenderCase, ...]: ...
@overload
def load(kind: Literal["localization"], split: str = "test") -> tuple[PromptPair, ...]: ...


@cache
def load(
    kind: str, split: str = "test"
) -> tuple[Case, ...] | tuple[GenderCase, ...] | tuple[PromptPair, ...]:
    """The cases of ``kind`` in ``split`` ("test" or "validation"), always the same, checked.

    The :data:`EDIT_KINDS` give :class:`Case`; ``"gender"`` gives a :class:`GenderCase` for each
    profession, the same in both splits, and ``"localization"`` :class:`PromptPair`. DataError
    for another kind or split.
    """
    if split not in SPLITS:
        raise DataError(f"expected a split out of {', '.join(SPLITS)}, got {split!r}")
    if kind == "gender":
        return tuple(_gender(name) for name in PROFESSIONS)
    if kind == "localization":
        return tuple(_localization(split))
    if kind not in _RULES:
        known = ", ".join([*EDIT_KINDS, "gender", "localization"])
        raise DataError(f"expected a kind of cases out of {known}, got {kind!r}")
    table, rule = _RULES[kind]
    cases: list[Case] = []
    seen: dict[str, int] = {}
    for number, (what, into) in enumerate(pairs(table, split)):
        again = seen.get(what, 0)
        seen[what] = again + 1
        case = rule(what, into, number, again)
        validate(case)
        cases.append(case)
    return tuple(cases)


def _gender(name: str) -> GenderCase:
    """Shaped like TIME's: source, destination, a prompt to search λ with, five to test."""
    women = PROFESSIONS[name].women
    source = article(name)
    target = article(f"{'male' if women > 0.5 else 'female'} {name}")
    examples = (
        f"a painting of {source}",
        *(f"{source} {setting}" for setting in SETTINGS[:3]),
        article(f"happy {name}"),
    )
    return GenderCase(
        Edit(source, target, destination=target), f"a photo of {source}", examples, women
    )


class _Wording(NamedTuple):
    """How the pairs of a split are made.

    ``shown``      the objects that are shown in every style.
    ``character``  ways to ask for a character.
    ``role``       the way to ask for who holds an office.
    ``shift``      how far down the list of people the new holder is from the old one.
    """

    shown: tuple[str, ...]
    character: tuple[str, ...]
    role: str
    shift: int


_WORDINGS = {
    "test": _Wording(
        shown=("cat", "rose", "house", "car"),
        character=("{}", *(f"{{}} {setting}" for setting in SETTINGS)),
        role="the {office} of {country}",
        shift=5,
    ),
    "validation": _Wording(
        shown=("dog", "tulip", "boat", "cup"),
        character=tuple(f"{opening} {{}}" for opening in list(MEDIA)[:5]),
        role="{country}'s {office}",
        shift=9,
    ),
}


def _localization(split: str) -> list[PromptPair]:
    """Styles taken away, characters made ordinary, offices given to somebody else."""
    wording = _WORDINGS[split]
    styled = [
        PromptPair("style", f"{article(name)} in the style of {style}", article(name))
        for style in STYLES
        for name in wording.shown
    ]
    plain = {name: thing(kind).phrase() for name, kind in CHARACTERS.items()}
    ordinary = [
        PromptPair("object", way.format(name), way.format(kind))
        for name, kind in plain.items()
        for way in wording.character
    ]
    people = list(PEOPLE)
    facts = [
        PromptPair(
            "fact",
            wording.role.format(office=office, country=country),
            people[(people.index(holder) + wording.shift) % len(people)],
        )
        for (office, country), holder in HOLDERS.items()
    ]
    return [*styled, *ordinary, *facts]
