"""Whether the edits of a plan can be made, as far as prompts tell, before hours of painting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from overpaint.benchmark.plan import Ask
from overpaint.errors import EditError, OverpaintError
from overpaint.methods.registry import METHODS
from overpaint.models.model import Model
from overpaint.types import Edit

SHOWN = 6  # edits that an error names


def check_edits(model: Model, asks: Iterable[Ask]) -> None:
    """EditError that names the edits of ``asks`` that their methods refuse, and why.

    Every edit is looked at alone, and all that one state of the model holds together; nothing is
    computed but tokens.
    """
    wrong: dict[str, dict[str, OverpaintError]] = {}
    known: dict[tuple[str, Any, tuple[Edit, ...]], OverpaintError | None] = {}
    first: dict[str, Ask] = {}
    for ask in asks:
        if ask.state.method:
            first.setdefault(ask.state.key, ask)
    for ask in first.values():
        method = ask.state.method
        for step in ask.state.steps:
            alone = [(edit,) for edit in step.edits]
            together = [step.edits] if len(step.edits) > 1 else []
            for edits in (*alone, *together):
                key = (method, step.config, edits)
                if key not in known:
                    known[key] = _refusal(model, method, edits, step.config)
                error, own = known[key], wrong.setdefault(method, {})
                if error and not (len(edits) > 1 and own):
                    held = ask.state.edits > 1
                    own.setdefault(_told(edits, "" if held else ask.case), error)
    for method, own in wrong.items():
        if own:
            raise EditError(_message(method, own))


def _refusal(
    model: Model, method: str, edits: Sequence[Edit], config: Any
) -> OverpaintError | None:
    try:
        METHODS[method].check(model, edits, config)
    except OverpaintError as error:
        return error
    return None


def _told(edits: Sequence[Edit], case: str) -> str:
    """The edits as an error names them, with the case they come from."""
    if len(edits) > 1:
        return f"{len(edits)} edits at once"
    target = edits[0].target or "pictures"
    return f"{edits[0].source!r} -> {target!r}" + (f" (case {case!r})" if case else "")


def _message(method: str, wrong: dict[str, OverpaintError]) -> str:
    names = list(wrong)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    reason = str(wrong[names[0]]).rstrip(".")
    return (
        f"{method} cannot make {len(names)} of the edits: {', '.join(names[:SHOWN])}{more}. "
        f"{'The first: ' if len(names) > 1 else ''}{reason}. Change the edit, give {method} other "
        f"settings with --set {method}.NAME=VALUE ({method}.KIND.NAME for one kind of cases), or "
        f"leave {method} out"
    )
