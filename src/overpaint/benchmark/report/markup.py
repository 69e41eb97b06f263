"""HTML whose tags always close and whose texts are always escaped, because there is no other way.

Whatever comes from data is a plain ``str`` and is escaped where it enters; only what
:func:`element` returns, and what the package itself wrote, is :class:`Html`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Union

VOID = frozenset({"br", "img", "input", "meta"})


class Html(str):
    """Markup: taken as it is."""

    __slots__ = ()


Child = Union[str, "Html", Iterable["Child"], None]


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """``<name attribute="...">children</name>``.

    Attributes are written ``class_`` or ``data_kind`` for ``class`` and ``data-kind``; True is an
    attribute without a value, and None or False is none at all.
    """
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{head}>")
    return Html(f"<{name}{head}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """The children after one another; texts among them are escaped."""
    return Html("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None or isinstance(child, Html):
        return child or ""
    return escape(child) if isinstance(child, str) else join(*child)


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
