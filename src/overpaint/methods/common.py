"""What every method does: check the edits, write down its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from overpaint.errors import EditError, PromptError
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.text import last_subject_token, tokenize
from overpaint.types import Edit


def check_edits(
    model: Model, edits: Sequence[Edit], *, destination: bool, component: str = "text_encoder"
) -> None:
    """Refuse edits that no method could carry out, before anything is computed.

    With ``destination`` the prompt that says what the source shall mean is ``edit.destination``
    (default ``target``), else ``edit.target`` or its images. EditError when something is missing,
    doubled, or asks for nothing; PromptError when the subject is not in the source, or a prompt is
    too long.
    """
    if not edits:
        raise EditError("expected at least one edit, got none; give source and target")
    for edit in edits:
        wanted = (edit.destination or edit.target) if destination else edit.target
        if not edit.source.strip():
            raise PromptError("expected a source prompt, got an empty one; say what to edit")
        if edit.images and destination:
            raise EditError("this method needs a target prompt, got pictures; use refact")
        if edit.images and edit.target.strip():
            raise EditError("expected a target prompt or target pictures, got both; give one")
        if not edit.images and not wanted.strip():
            raise EditError(
                f"expected a target for {edit.source!r}, got none; say what it shall be"
            )
        if not edit.images and _plain(wanted) == _plain(edit.source):
            raise EditError(
                f"the target equals the source {edit.source!r}: nothing to edit; change the target"
            )
        last_subject_token(model, edit.source, edit.subject or edit.source, component)


def _plain(prompt: str) -> str:
    return " ".join(prompt.casefold().split())


def fits(model: Model, prompt: str, component: str = "text_encoder") -> bool:
    """Whether the model reads ``prompt`` to its end."""
    try:
        tokenize(model, [prompt], component)
    except PromptError:
        return False
    return True


def settings(config: Any) -> dict[str, object]:
    """A config as plain JSON values; a corpus goes by its name and its size."""
    return {field.name: _json(getattr(config, field.name)) for field in fields(config)}


def _json(value: object) -> object:
    if isinstance(value, Corpus):
        return {"name": value.name, "captions": len(value.captions)}
    if isinstance(value, tuple):
        return [_json(v) for v in value]
    if isinstance(value, float) and value == float("inf"):
        return None  # JSON has no infinity; only limits can be infinite, and None means no limit
    return value
