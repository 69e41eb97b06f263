"""Toybox's own cases, which come with the package: nothing to read, nothing to fetch."""

from __future__ import annotations

from collections.abc import Callable

from overpaint.benchmark.datasets.coco import Caption
from overpaint.toybox import cases
from overpaint.toybox.cases import EditKind
from overpaint.toybox.grammar import captions as sampled
from overpaint.types import Case, GenderCase

__all__ = ["EditKind", "captions", "edit_cases", "professions", "prompt_pairs"]


def edit_cases(kind: EditKind, split: str) -> Callable[[], tuple[Case, ...]]:
    """A function that gives the cases of ``kind`` in ``split``."""
    return lambda: cases.load(kind, split)


def professions() -> tuple[GenderCase, ...]:
    """Every profession of the painted world."""
    return cases.load("gender")


def prompt_pairs(split: str = "test") -> tuple[cases.PromptPair, ...]:
    """Pairs of prompts that differ in a style, an object or a fact."""
    return cases.load("localization", split)


def captions() -> tuple[Caption, ...]:
    """Prompts of the painted world that no edit is about, each with a seed of its own: 320."""
    drawn = dict.fromkeys(sampled(640, seed=1))
    return tuple(Caption(text, seed) for seed, text in enumerate(list(drawn)[:320]))
