"""Toybox's own cases, which come with the package: nothing to read, nothing to fetch."""

from __future__ import annotations

from collections.abc import Callable

from overpaint.toybox import cases
from overpaint.types import Case


def edit_cases(*kinds: cases.EditKind, split: str = "test") -> Callable[[], tuple[Case, ...]]:
    """A function that makes the cases of ``kinds``, one kind after the other."""
    return lambda: tuple(case for kind in kinds for case in cases.load(kind, split))


def professions() -> tuple[cases.GenderCase, ...]:
    """Every profession of the painted world."""
    return cases.load("gender")


def prompt_pairs() -> tuple[cases.PromptPair, ...]:
    """Pairs of prompts that differ in a style, an object or a fact."""
    return cases.load("localization")
