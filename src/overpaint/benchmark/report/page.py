"""The page: what was found, how sure it is, where it failed, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files

from overpaint.benchmark.report import curves, origin, overview, shares
from overpaint.benchmark.report.drill import drill_down
from overpaint.benchmark.report.headline import headline
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Table
from overpaint.benchmark.report.tablepage import bare, shown
from overpaint.benchmark.report.windows import is_windows, window_cases

MANY = 12  # conditions up to which all kinds of cases are shown at once
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
        headline(found, by_name.get("significance")),
        curves.sweeps(found),
        _results(by_name.get("results"), found),
        overview.overview(found),
        _shown(by_name.get("significance")),
        shares.women(found),
        *(_unless_long(table) if table.name == "measures" else shown(table) for table in measures),
        _unless_long(by_name.get("costs")),
        _folded(by_name.get("paper")),
        (window_cases if is_windows(found) else drill_down)(found, pictures),
        origin.made(found),
        origin.offered(downloads),
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


def _unless_long(table: Table | None) -> Html | None:
    return shown(table) if table and len(table.rows) <= MANY else _folded(table)


def _folded(table: Table | None) -> Html | None:
    """A table to look at on demand."""
    if table is None:
        return None
    note = element("p", table.note, class_="note")
    summary = element("summary", table.title)
    return element("details", summary, note, bare(table), class_="more", id=table.name)


def _results(table: Table | None, found: Findings) -> Html | None:
    """The scores; of many conditions, those by kind of case only on demand.

    So are all of them where curves show them.
    """
    drawn = bool(curves.series(found))
    if table is None or (len(found.conditions) <= MANY and not drawn):
        return _shown(table)
    whole, parts = (
        replace(table, rows=[row for row in table.rows if (row.group == "all") == wanted])
        for wanted in (True, False)
    )
    kinds = element("summary", "By kind of case"), bare(parts)
    by_kind = element("details", *kinds, class_="more") if parts.rows else None
    if not drawn or len(found.conditions) <= MANY:
        return join(shown(whole), by_kind)
    note = element("p", table.note, class_="note")
    points = element("summary", f"{table.title} of every point"), bare(whole), note
    return join(element("details", *points, class_="more", id=table.name), by_kind)


def _head(found: Findings) -> Html:
    configuration = found.configuration
    seeds = configuration.get("seeds")
    count = seeds if isinstance(seeds, int) else len(seeds) if seeds else 0
    facts = [
        f"{configuration['model']}" if configuration.get("model") else "",
        ", ".join(configuration.get("data") or ()),
        _many(len(found.cases), "case"),
        _many(len(shares.professions(found)), "profession"),
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
    if not absent and not found.untouched:
        return None
    whole = absent + len(found.results)
    names = ", ".join(f"{name} ({count:,})" for name, count in found.missing.items())
    command = found.notes.get("command")
    return element(
        "div",
        element("b", "This run is not complete. "),
        f"{absent:,} of {whole:,} pictures are missing: {names}. Cases that are not all painted "
        "are left out of the scores, so conditions may rest on different cases. "
        if absent
        else f"Nothing has been measured yet of {', '.join(found.untouched)}. ",
        join("Go on with ", element("code", str(command)), ".") if command else None,
        class_="warning",
        role="alert",
    )
