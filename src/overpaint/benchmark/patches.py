"""The patches of a run, each computed when its turn comes, and what computing it took."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

from overpaint.benchmark.plan import State
from overpaint.methods.refact import refact_each
from overpaint.methods.registry import METHODS
from overpaint.models.model import Model
from overpaint.models.weights import with_deltas
from overpaint.types import Patch, Progress

TOGETHER = 24  # edits whose v* is sought at once


@dataclass(frozen=True, eq=False)
class Made:
    """A state of the model with its patch (None for the unedited) and the seconds it took."""

    state: State
    patch: Patch | None = None
    seconds: float = 0.0


def patches(
    model: Model,
    states: Sequence[State],
    wanted: Container[str],
    progress: Progress | None = None,
) -> Iterator[Made]:
    """The patches of those of ``states`` whose key is ``wanted``, in order.

    Single edits by ReFACT with one setting are computed side by side, ``TOGETHER`` at a time. Which
    are together depends on ``states`` alone: the last bits of a patch may depend on its company,
    and a run that goes on has to make the same ones.
    """
    group_of = _groups(states)
    ready: dict[str, Made] = {}
    for state in states:
        if state.key not in wanted:
            continue
        if not state.method:
            yield Made(state)
            continue
        if state.key not in ready:
            group = group_of.get(state.key, [state])
            ready = {made.state.key: made for made in _make(model, group, progress)}
        yield ready.pop(state.key)


def _make(model: Model, group: Sequence[State], progress: Progress | None) -> list[Made]:
    began = time.perf_counter()
    if len(group) > 1:
        edits = [state.steps[0].edits[0] for state in group]
        found = refact_each(model, edits, group[0].steps[0].config, progress=progress)
    else:
        found = (_patch(model, group[0], progress),)
    seconds = (time.perf_counter() - began) / len(group)
    return [Made(state, patch, seconds) for state, patch in zip(group, found, strict=True)]


def _patch(model: Model, state: State, progress: Progress | None) -> Patch:
    """One patch for all steps; each step of ReFACT on the model as edited by those before."""
    function = METHODS[state.method].function
    made: Patch | None = None
    for step in state.steps:
        before = made.deltas if made and state.method == "refact" else ()
        with with_deltas(model, before):
            own: Patch = function(model, step.edits, step.config, progress=progress)
        if made is None:
            made = own
        else:
            both = (*made.edits, *own.edits)
            made = replace(made, deltas=(*made.deltas, *own.deltas), edits=both)
    assert made is not None  # a state with a method has steps
    return made


def _groups(states: Sequence[State]) -> dict[str, list[State]]:
    """By key, the single edits by ReFACT that are computed together with it."""
    alike: dict[str, list[State]] = {}
    for state in states:
        if state.method == "refact" and state.edits == 1:
            alike.setdefault(repr(state.steps[0].config), []).append(state)
    found: dict[str, list[State]] = {}
    for line in alike.values():
        for start in range(0, len(line), TOGETHER):
            group = line[start : start + TOGETHER]
            found |= {state.key: group for state in group}
    return found
