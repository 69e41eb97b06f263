"""The embedded world: facts, captions, renderer, edit cases and a small model trained on it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {"captions": "grammar", "unseen_pictures": "unseen"}

__all__ = ["captions", "unseen_pictures"]

if TYPE_CHECKING:
    from overpaint.toybox.grammar import captions
    from overpaint.toybox.unseen import unseen_pictures


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
