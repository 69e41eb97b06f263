"""A method's config from names and values, as they stand in a file or were typed."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overpaint.errors import EditError


def configure(method: str, config: type, values: Mapping[str, Any]) -> Any:
    """An instance of the dataclass ``config`` with ``values`` in place of its defaults.

    Values are what was typed: texts are converted to the type of the field. ``strength`` stands for
    the fields that say how strongly the method edits, and the word ``auto`` for None, which leaves
    them to be chosen. Raises :class:`EditError` for a name the method does not have or a value of
    another type.
    """
    values = _strength(method, config, values)
    hints = typing.get_type_hints(config)
    known = {field.name: hints[field.name] for field in settable(config)}
    for name in values:
        if name not in known:
            raise EditError(
                f"method {method} has no setting {name!r}; it has: {', '.join(known) or 'none'}"
            )
    return config(**{name: converted(name, known[name], v) for name, v in values.items()})


def _strength(method: str, config: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with the method's own settings in place of ``strength``."""
    own = {name: value for name, value in values.items() if name != "strength"}
    if "strength" not in values:
        return own
    fields = getattr(config, "STRENGTH", ())
    if not fields:
        raise EditError(f"method {method} has no strength to choose; leave it out")
    for field in fields:
        if field in own:
            raise EditError(f"expected strength or {field}, which it stands for, got both")
    return own | dict.fromkeys(fields, values["strength"])


def settable(config: type) -> list[dataclasses.Field[Any]]:
    """The fields of the dataclass ``config`` that can be typed."""
    hints = typing.get_type_hints(config)
    return [f for f in dataclasses.fields(config) if simple(hints[f.name])]


def simple(hint: Any) -> bool:
    """Whether a field of this type can be typed on a command line."""
    options = _options(hint)
    return all(o in (bool, int, float, str, Path, type(None)) or _is_texts(o) for o in options)


def _options(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _is_texts(hint: Any) -> bool:
    return typing.get_origin(hint) is tuple and set(typing.get_args(hint)) <= {str, int, ...}


def converted(name: str, hint: Any, value: Any) -> Any:
    """``value`` as the type ``hint``; EditError, naming the setting, if it is not one."""
    for option in _options(hint):
        try:
            return _as(option, value)
        except (TypeError, ValueError):
            continue
    expected = " or ".join(_called(option) for option in _options(hint))
    raise EditError(f"setting {name!r}: expected {expected}, got {value!r}")


def _called(option: Any) -> str:
    """A type as an error names it."""
    if _is_texts(option):
        return "numbers such as 8,9" if int in typing.get_args(option) else "words such as a,b"
    return getattr(option, "__name__", str(option))


def _as(option: Any, value: Any) -> Any:
    """``value`` as the type ``option``; ValueError or TypeError if it is not one."""
    if _is_texts(option):
        inner = next(a for a in typing.get_args(option) if a is not ...)
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return tuple(inner(part) for part in parts if part != "")
    if option is type(None):
        if value in (None, "none", "None", "auto"):
            return None
        raise ValueError
    if option is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError
        return words[str(value).lower()]
    return option(value)
