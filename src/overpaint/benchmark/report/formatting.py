"""How a report writes numbers and names. Works without pandas, so the CLI can use it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from overpaint.benchmark.rows import ConditionRow
from overpaint.methods.registry import METHODS

LABELS = {
    **{name: method.label for name, method in METHODS.items()},
    "baseline": "unedited",
    "oracle": "oracle",
    "rewrite": "rewritten prompt",
    "time-multi": "TIME, one λ for all",
}
"""Display names by method."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its name in files, its label for people, and its number format.

    Attributes:
        name: Column name in data frames and CSV files.
        label: Heading in HTML, Markdown and LaTeX.
        scale: Factor from stored to displayed values, 100 for percentages.
        decimals: Digits after the decimal point, unless ``significant`` is given.
        significant: Significant digits; 0 to use ``decimals``.
        better: 1 if higher is better, -1 if lower is, 0 if neither.
        signed: Whether positive values carry a plus sign.
        hint: Explanation shown as a tooltip.
    """

    name: str
    label: str
    scale: float = 1.0
    decimals: int = 1
    significant: int = 0
    better: int = 0
    signed: bool = False
    hint: str = ""

    @property
    def arrow(self) -> str:
        """An arrow in the direction of better values, or ""."""
        return {1: "↑", -1: "↓", 0: ""}[self.better]

    @property
    def heading(self) -> str:
        """The label followed by the arrow."""
        return f"{self.label} {self.arrow}".strip()

    def format(self, value: float) -> str:
        """Format a stored value; a dash for one that is missing or not finite."""
        value *= self.scale
        if not isfinite(value):
            return "–"
        if not self.significant:
            text = f"{value:.{self.decimals}f}"
        elif abs(value) < 10**self.significant:
            text = f"{value:.{self.significant}g}"
        else:
            text = f"{value:.0f}"
        plus = "+" if self.signed and value > 0 else ""
        return plus + text.replace("-", "−")

    def format_interval(self, low: float, high: float) -> str:
        """Format an interval: ``"95.1–99.4"``, or ``"−3.0 to +2.1"`` where signs occur."""
        first, last = self.format(low), self.format(high)
        return f"{first} to {last}" if self.signed or "−" in first else f"{first}–{last}"


SCORES = tuple(
    Column(name, label, scale=100, better=1, hint=hint)
    for name, label, hint in (
        ("efficacy", "Efficacy", "pictures of the edited prompt that show the target"),
        ("generality", "Generality", "pictures of related prompts that show the target"),
        ("specificity", "Specificity", "pictures of unrelated prompts that are unchanged"),
        ("f1", "F1", "geometric mean of generality and specificity, as ReFACT defines it"),
        ("harmonic", "Harmonic mean", "harmonic mean of generality and specificity"),
    )
)
SCORE = {column.name: column for column in SCORES}
COSTS = (
    Column("seconds_per_edit", "Seconds per edit", significant=3, better=-1),
    Column("kilobytes", "kB", significant=3, better=-1),
    Column("parameters_percent", "% of the weights", significant=3, better=-1),
)


def format_p(p: float) -> str:
    """Format a p-value: ``"p = 0.03"``, ``"p < 0.001"``; empty for NaN."""
    if p != p:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: ``"1 case"``, ``"1,200 cases"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def method_label(name: str, method: str) -> str:
    """Replace the identifier of ``method`` at the start of ``name`` by its display name."""
    label = LABELS.get(method)
    if label and (name == method or name.startswith(f"{method} ")):
        return label + name.removeprefix(method)
    return name


def condition_label(row: ConditionRow) -> str:
    """Display name of a condition: ``"TIME lam=0.1"`` for ``"time lam=0.1"``."""
    return method_label(row.shown, row.method)


def known_costs(row: ConditionRow) -> dict[str, float]:
    """The measured values of :data:`COSTS` by column name; empty for unedited conditions."""
    return {column.name: v for column in COSTS if (v := number(row.about, column.name)) is not None}


def number(values: Mapping[str, Any], key: str) -> float | None:
    """``values[key]`` if it is there and a number."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) else None
