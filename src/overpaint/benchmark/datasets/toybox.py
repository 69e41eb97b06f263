"""Toybox's own cases, which come with the package: nothing to read, nothing to fetch."""

from __future__ import annotations

from collections.abc import Callable

from overpaint.toybox import cases
from overpaint.toybox.cases import EditKind
from overpaint.types import Case

__all__ = ["EditKind", "edit_cases", "professions", "prompt_pairs"]


def edit_cases(kind: EditKind, split: str) -> Callable[[], tuple[Case, ...]]:
    """A function that gives the cases of ``kind`` in ``split``."""
    return lambda: cases.load(kind, split)


def professions() -> tuple[cases.GenderCase, ...]:
    """Every profession of the painted world."""
    return cases.load("gender")


def prompt_pairs() -> tuple[cases.PromptPair, ...]:
    """Pairs of prompts that differ in a style, an object or a fact."""
    return cases.load("localization")
