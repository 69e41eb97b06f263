"""Prompt rewriting: the baseline that edits no weights."""

from __future__ import annotations

from overpaint.errors import EditError
from overpaint.methods.common import counterpart, plain, whole_words
from overpaint.types import Edit


def rewrite(prompt: str, edit: Edit) -> str:
    """``prompt`` with the edit's target in the place of its source, before anything is encoded.

    The whole source is replaced where the prompt has it, else the subject, by the part of the
    target that stands for it, or by nothing where the target is the source without it; a prompt
    with neither comes back as it is. Whole words only, in any case: "rose" is not in "roses".
    EditError when the target is pictures or nothing.
    """
    if not edit.target.strip():
        raise EditError(
            f"rewriting {edit.source!r} expects a target prompt, got none; say what it shall be"
        )
    new = "" if _left_out(edit) else counterpart(edit)
    for words, instead in ((edit.source, " ".join(edit.target.split())), (edit.subject, new)):
        found = list(whole_words(words, prompt)) if words.strip() else []
        if found:
            ends = [0, *(match.end() for match in found)]
            starts = [*(match.start() for match in found), len(prompt)]
            parts = [prompt[end:start] for end, start in zip(ends, starts, strict=True)]
            return instead.join(parts) if instead else " ".join("".join(parts).split())
    return prompt


def _left_out(edit: Edit) -> bool:
    """Whether the target is the source without its subject: "a house" of a house in a style."""
    return any(
        plain(edit.source[: found.start()] + edit.source[found.end() :]) == plain(edit.target)
        for found in whole_words(edit.subject, edit.source)
        if edit.subject.strip()
    )
