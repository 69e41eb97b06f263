"""Which pictures a benchmark needs: the states of the model, and what each is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from overpaint.methods.common import settings
from overpaint.methods.refact import refact_each
from overpaint.methods.registry import METHODS
from overpaint.models.model import Model
from overpaint.types import Case, Edit, Patch, Probe, Progress

Part = Literal["efficacy", "generality", "specificity"]
PARTS: tuple[Part, ...] = ("efficacy", "generality", "specificity")

TOGETHER = 24  # edits whose v* is sought at once


@dataclass(frozen=True, eq=False)
class Condition:
    """A state of the model: as it came, or after ``method`` with ``config`` has done ``edits``."""

    method: str = ""
    edits: tuple[Edit, ...] = ()
    config: Any = None

    @cached_property
    def key(self) -> str:
        """Says in a few letters what was done: equal for equal method, settings and edits."""
        if not self.method:
            return "unedited"
        config = {k: v for k, v in settings(self.config).items() if k != "cache_dir"}
        text = json.dumps([self.method, config, [_plain(e) for e in self.edits]], sort_keys=True)
        return f"{self.method}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


UNEDITED = Condition()


@dataclass(frozen=True, eq=False)
class Want:
    """Pictures of ``prompt`` by the model in ``condition``, one for each of ``seeds``."""

    condition: Condition
    prompt: str
    seeds: tuple[int, ...]


def probes(case: Case, part: Part) -> tuple[Probe, ...]:
    """The prompts of ``case`` that one number is measured on."""
    if part == "efficacy":
        return (case.source,)
    return case.positives if part == "generality" else case.negatives


def asked(probe: Probe, part: Part, *, oracle: bool) -> str:
    """What the model is asked for: the probe's prompt, or the oracle's way to say the new."""
    return (probe.oracle or probe.new) if oracle and part != "specificity" else probe.prompt


def wants(
    case: Case, condition: Condition, seeds: Iterable[int], *, oracle: bool = False
) -> Iterator[Want]:
    """All pictures that tell what ``condition`` does to ``case``."""
    fixed = tuple(seeds)
    for part in PARTS:
        for probe in probes(case, part):
            yield Want(condition, asked(probe, part, oracle=oracle), fixed)


def patches(
    model: Model, conditions: Sequence[Condition], progress: Progress | None = None
) -> Iterator[Patch | None]:
    """The patch of each condition, in order, each computed when it is its turn; None for unedited.

    Single edits by ReFACT with one setting are computed side by side, ``TOGETHER`` at a time.
    """
    ready: dict[str, Patch] = {}
    for place, condition in enumerate(conditions):
        if not condition.method:
            yield None
        elif condition.method == "refact" and len(condition.edits) == 1:
            if condition.key not in ready:
                same = (c for c in conditions[place:] if _together(c, condition))
                group = list(islice(same, TOGETHER))
                edits = [c.edits[0] for c in group]
                made = refact_each(model, edits, condition.config, progress=progress)
                ready = {c.key: patch for c, patch in zip(group, made, strict=True)}
            yield ready[condition.key]
        else:
            function = METHODS[condition.method].function
            yield function(model, condition.edits, condition.config)


def _together(one: Condition, other: Condition) -> bool:
    alike = one.method == other.method and one.config == other.config
    return alike and len(one.edits) == 1


def _plain(edit: Edit) -> list[str]:
    pictures = [hashlib.blake2b(i.numpy().tobytes()).hexdigest() for i in edit.images]
    return [edit.source, edit.target, edit.subject, edit.old, edit.destination, *pictures]
