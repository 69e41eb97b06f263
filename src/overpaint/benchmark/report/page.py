"""The page: what was found, how sure it is, where it failed, and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from overpaint.benchmark.report import compare, curves, overview, tables
from overpaint.benchmark.report.drill import drill_down
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Table
from overpaint.benchmark.report.tablepage import scrolling, shown
from overpaint.benchmark.report.text import interval, probability
from overpaint.benchmark.report.thumbs import uri

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(
    found: Findings, made: Sequence[Table], downloads: Mapping[str, str], pictures: int
) -> str:
    """The whole page; ``downloads`` are the files that it offers, by name."""
    by_name = {table.name: table for table in made}
    measures = [table for table in made if table.name.startswith("measure")]
    parts = [
        _head(found),
        _incomplete(found),
        _finding(found, by_name.get("significance")),
        _shown(by_name.get("results")),
        overview.overview(found),
        _shown(by_name.get("significance")),
        curves.sweeps(found),
        *(shown(table) for table in measures),
        _shown(by_name.get("costs")),
        drill_down(found, pictures),
        _made(found),
        _downloads(downloads),
    ]
    sections = [element("section", part) for part in parts if part]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", found.title),
        element("style", _own("page.css")),
    )
    body = element("body", element("main", *sections), element("script", _own("page.js")))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _own(name: str) -> Html:
    return Html(files("overpaint.benchmark.report").joinpath(name).read_text(encoding="utf-8"))


def _shown(table: Table | None) -> Html | None:
    return shown(table) if table else None


def _head(found: Findings) -> Html:
    configuration = found.configuration
    seeds = configuration.get("seeds")
    count = seeds if isinstance(seeds, int) else len(seeds) if seeds else 0
    facts = [
        f"{configuration['model']}" if configuration.get("model") else "",
        ", ".join(configuration.get("data") or ()),
        _many(len(found.cases), "case"),
        _many(count, "seed"),
        f"{len(found.results):,} pictures judged" if found.results else "",
        f"judge {configuration['judge']}" if configuration.get("judge") else "",
    ]
    return join(
        element("h1", found.title),
        element("p", " · ".join(fact for fact in facts if fact), class_="facts"),
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}" if count else ""


def _incomplete(found: Findings) -> Html | None:
    absent = sum(found.missing.values())
    if not absent:
        return None
    whole = absent + len(found.results)
    names = ", ".join(f"{name} ({count:,})" for name, count in found.missing.items())
    command = found.notes.get("command")
    return element(
        "div",
        element("b", "This run is not complete. "),
        f"{absent:,} of {whole:,} pictures are missing: {names}. Cases that are not all painted "
        "are left out of the scores, so conditions may be compared on different cases.",
        join(" Go on with ", element("code", str(command)), ".") if command else None,
        class_="warning",
        role="alert",
    )


def _finding(found: Findings, against: Table | None) -> Html | None:
    """The best editor in a sentence."""
    winner = compare.best(found)
    summary = found.summaries.get((winner, "all")) if winner else None
    if winner is None or summary is None or summary.f1 is None or against is None:
        return None
    f1 = tables.SCORES[3]
    cell = tables.number(summary.f1)
    words: list[str | Html] = [
        element("b", winner),
        f" is the best of {_counted(len(found.editors))} editors: F1 {f1.shown(summary.f1.mean)} ",
        element("span", f"({interval(cell, f1)})"),
    ]
    ranked = [(row.cells[3], row.name) for row in against.rows if row.cells[3].value is not None]
    if ranked:
        cell, second = min(ranked, key=lambda pair: float(pair[0].value or 0))
        points = against.columns[3].shown(float(cell.value or 0)).lstrip("+")
        chance = element("span", f"({probability(cell.p)})")
        words += [f", {points} points above ", element("b", second), " ", chance]
    return element("p", *words, ".", class_="finding")


def _counted(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)


def _made(found: Findings) -> Html:
    command = found.notes.get("command")
    versions = found.notes.get("versions") or {}
    noted = {k: v for k, v in found.notes.items() if k not in ("command", "versions")}
    left_out = ("title", "paper", "methods", "settings", "sweeps")
    settings = {
        k: v
        for k, v in found.configuration.items()
        if k not in left_out and v not in (None, "", {})
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


def _downloads(downloads: Mapping[str, str]) -> Html:
    kinds = {"csv": "text/csv", "md": "text/markdown", "tex": "text/x-tex"}
    links = [
        element("a", name, download=name,
                href=uri(f"{kinds[name.rpartition('.')[2]]};charset=utf-8", text.encode()))
        for name, text in downloads.items()
    ]  # fmt: skip
    return element("footer", element("span", "Tables: "), *(join(link, " ") for link in links))
