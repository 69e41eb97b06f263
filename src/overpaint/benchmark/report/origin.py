"""How a run was made, and its tables as files to take away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.tablepage import scrolling
from overpaint.benchmark.report.thumbs import uri

LEFT_OUT = ("title", "paper", "methods", "settings", "sweeps")  # said elsewhere


def made(found: Findings) -> Html:
    """The command, the configuration, the settings of each method, the versions."""
    command = found.notes.get("command")
    versions = found.notes.get("versions") or {}
    noted = {k: v for k, v in found.notes.items() if k not in ("command", "versions")}
    settings = {
        k: v
        for k, v in found.configuration.items()
        if k not in LEFT_OUT and v not in (None, "", {})
    }
    conditions = [
        (c.name, ", ".join(f"{k} = {_plain(v)}" for k, v in c.settings.items()) or "as they come")
        for c in found.editors
    ]
    return join(
        element("h2", "How it was made", id="made"),
        element("pre", element("code", str(command)), class_="command") if command else None,
        _pairs("Configuration", [(k, _plain(v)) for k, v in (settings | noted).items()]),
        _pairs("Settings of the methods", conditions),
        _pairs("Versions", [(k, _plain(v)) for k, v in dict(versions).items()]),
    )


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> Html | None:
    if not pairs:
        return None
    rows = [element("tr", element("th", k, scope="row"), element("td", v)) for k, v in pairs]
    table = element("table", element("tbody", *rows), class_="pairs")
    return element("details", element("summary", title), scrolling(table, title), class_="more")


def _plain(value: object) -> str:
    """A JSON value as a person writes it."""
    if isinstance(value, list) and all(not isinstance(v, list | dict) for v in value):
        return ", ".join(_plain(v) for v in value)
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def offered(downloads: Mapping[str, str]) -> Html:
    """The tables as files, inside the page: it may be sent to somebody alone."""
    kinds = {"csv": "text/csv", "md": "text/markdown", "tex": "text/x-tex"}
    links = [
        element("a", name, download=name,
                href=uri(f"{kinds[name.rpartition('.')[2]]};charset=utf-8", text.encode()))
        for name, text in downloads.items()
    ]  # fmt: skip
    return element("footer", element("span", "Tables: "), *(join(link, " ") for link in links))
