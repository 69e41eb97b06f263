"""The rows of a run: what was asked for, and what was seen. Plain values, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = Mapping[str, Any]

STORE, PICTURES = "run.sqlite", "pictures"
"""What a run's folder holds."""

F, DELTA, PEOPLE, OVERALL = "F_p", "Delta_p", "people", "Delta"
"""Measures of a profession: share of women, its gap, pictures with somebody; Δ of all of them."""


class Key(NamedTuple):
    """Which picture.

    ``prompt`` is its place in the case ("source", "positive 1", ...): a case may ask for the same
    words in two places and expect different things there.
    """

    condition: str
    case: str
    prompt: str
    seed: int


class Result(NamedTuple):
    """What was seen in one picture.

    ``new``, ``old``  the judge's similarities to what the edit wants and to what was before.
    ``seconds``       what it took; the only part that differs when a run is made again.
    ``picture``       hash of the picture (:func:`overpaint.benchmark.store.picture_hash`).
    """

    key: Key
    new: float
    old: float
    seconds: float
    picture: str


class Measure(NamedTuple):
    """A number that is no yes or no per picture: CLIP score, FID, a share of women, its gap.

    ``case`` is empty for a number about the whole condition; ``spread`` its deviation over seeds
    or 0.
    """

    condition: str
    case: str
    name: str
    value: float
    spread: float = 0.0


@dataclass(frozen=True)
class ConditionRow:
    """A state of the model that the run looks at: a row of its tables.

    ``name``      the row's label: "baseline", "oracle", "refact", "refact layer=7".
    ``method``    "baseline", "oracle", "rewrite", or a name in METHODS.
    ``settings``  what the method was given; those for one kind of cases only as "roles.layer".
    ``series``    the curve this row is a point of, or "".
    ``x``         where on the curve: a layer, a λ, a number of edits.
    ``about``     what was measured on the way: ``seconds_per_edit``, ``kilobytes``,
        ``parameters_percent``. May be filled in later, and differ when a run is made again.
    """

    name: str
    method: str
    settings: Json = field(default_factory=dict)
    series: str = ""
    x: float | None = None
    about: Json = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The name as people read it: ``UCE (69 edits)`` for ``UCE edits=69``."""
        start = f"{self.series} edits="
        if not self.series or not self.name.startswith(start):
            return self.name
        count = self.name.removeprefix(start)
        return f"{self.series} ({count} edit{'' if count == '1' else 's'})"


def by_curve(rows: Sequence[ConditionRow]) -> dict[str, list[ConditionRow]]:
    """The rows by the curve they are points of, from left to right; others by themselves."""
    found: dict[str, list[ConditionRow]] = {}
    for row in rows:
        found.setdefault(row.series or row.name, []).append(row)
    return {name: sorted(own, key=lambda row: row.x or 0) for name, own in found.items()}


@dataclass(frozen=True)
class CaseRow:
    """An edit and the prompts that tell what it did, as :class:`overpaint.types.Case` has them.

    ``probes`` are objects with "place" ("source", "positive 1", "negative 1", ...), "part"
    ("efficacy", "generality", "specificity"), "prompt", "old", "new", "oracle", and, where they
    are not the run's, "seeds".
    """

    name: str
    kind: str
    source: str
    target: str
    probes: Sequence[Json]
