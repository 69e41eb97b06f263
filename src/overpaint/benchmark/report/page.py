"""The page: gathers what the templates show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from overpaint.benchmark.report import plots
from overpaint.benchmark.report.data import RunData
from overpaint.benchmark.report.formatting import SCORE, format_p, plural
from overpaint.benchmark.report.gallery import CaseGallery, best_window, clip_scores, data_uri
from overpaint.benchmark.report.render import Table
from overpaint.benchmark.report.tables import ALPHA, leads
from overpaint.benchmark.rows import OVERALL

MEDIA_TYPES = {"csv": "text/csv", "md": "text/markdown", "tex": "text/x-tex"}
ALREADY_SHOWN = ("title", "paper", "methods", "settings", "sweeps")


def html_page(
    run: RunData, tables: Sequence[Table], downloads: Mapping[str, str], pictures: int
) -> str:
    """Render the page.

    Args:
        run: The run.
        tables: Its summary tables.
        downloads: Texts of the files that the page offers, by name.
        pictures: For how many cases the page contains the pictures, the worst first.

    Raises:
        OutputError: matplotlib is not installed.
    """
    by_name = {table.name: table for table in tables}
    gallery = CaseGallery(run, pictures)
    return _environment().get_template("page.html.j2").render(
        run=run,
        facts=_facts(run),
        finding=finding(run),
        tables=by_name,
        measures=[table for name, table in by_name.items() if name.startswith("measures")],
        curves=plots.curves(run),
        curve_plots=plots.curve_plots(run),
        curves_heading=plots.curves_heading(run),
        references=list(plots.references(run)),
        overview=plots.overview_plots(run),
        women=plots.women_plot(run),
        line_colors=plots.LINE_COLORS,
        gallery=gallery,
        is_windows=bool(run.configuration.get("window")),
        provenance=_provenance(run),
        downloads=[
            (name, data_uri(f"{MEDIA_TYPES[name.rpartition('.')[2]]};charset=utf-8", text.encode()))
            for name, text in downloads.items()
        ],
    )  # fmt: skip


def finding(run: RunData) -> dict[str, Any]:
    """What the sentence at the head of the page says; empty if there is nothing to compare."""
    if run.configuration.get("window"):
        return _best_windows(run)
    return _gender_gaps(run) or _lead(run)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("overpaint.benchmark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment


def _facts(run: RunData) -> list[str]:
    configuration = run.configuration
    judge = configuration.get("judge")
    counts = {"case": len(run.cases), "profession": len(run.professions), "seed": run.seeds}
    facts = [
        str(configuration.get("model") or ""),
        ", ".join(map(str, configuration.get("data") or ())),
        *(plural(count, noun) for noun, count in counts.items() if count),
        f"{plural(len(run.pictures), 'picture')} judged" if len(run.pictures) else "",
        f"judge {judge}" if judge else "",
    ]
    return [fact for fact in facts if fact]


def _best_windows(run: RunData) -> dict[str, Any]:
    scores = clip_scores(run)
    kinds = dict.fromkeys(case.kind for case in run.cases)
    best = {kind: best_window(run, kind, scores[scores.kind == kind]) for kind in kinds}
    windows = {kind: window for kind, window in best.items() if window}
    return {"windows": windows} if windows else {}


def _gender_gaps(run: RunData) -> dict[str, Any]:
    """Δ of every method, the lowest first; empty for runs of other things than professions."""
    overall = run.overall
    gaps = overall[overall.measure == OVERALL].set_index("condition").value.to_dict()
    editors = sorted((name for name in run.editors.index if name in gaps), key=lambda n: gaps[n])
    if not editors:
        return {}
    rest = [name for name in run.conditions.index if name in gaps and name not in editors]
    lowest = gaps[editors[0]]
    return {
        "closest": [run.labels[name] for name in editors if gaps[name] == lowest],
        "improved": lowest < gaps.get(run.first("baseline"), 2.0),
        "gaps": [(run.labels[name], f"{gaps[name]:.3f}") for name in (*editors, *rest)],
    }


def _lead(run: RunData) -> dict[str, Any]:
    """The best editor, its F1, and its lead over the second."""
    best, tests = leads(run)
    score = run.score(best, "f1") if best else None
    if best is None or score is None or tests.empty:
        return {}
    column = SCORE["f1"]
    found = {
        "best": run.labels[best],
        "editors": len(run.ranked()),
        "score": f"{column.format(score.value)} ({column.format_interval(score.low, score.high)})",
    }
    smallest = tests[tests.measure == "f1"].nsmallest(1, "value")
    for _, condition, _, lead, _, _, p in smallest.itertuples():
        found["second"] = run.labels[condition]
        found["lead"] = column.format(lead) if round(100 * lead, column.decimals) > 0 else ""
        found["p"], found["significant"] = format_p(p), p < ALPHA
    return found


def _provenance(run: RunData) -> dict[str, list[tuple[str, str]]]:
    """Tables of names and values: configuration, settings, versions."""
    notes = {k: v for k, v in run.notes.items() if k not in ("command", "versions")}
    configuration = {
        key: value
        for key, value in run.configuration.items()
        if key not in ALREADY_SHOWN and value not in (None, "", {})
    }
    settings = [
        (own.label, ", ".join(f"{k} = {plain(v)}" for k, v in own.settings.items()) or "defaults")
        for _, own in run.editors.iterrows()
    ]
    versions = run.notes.get("versions") or {}
    return {
        "Configuration": [(name, plain(v)) for name, v in (configuration | notes).items()],
        "Settings of the methods": settings,
        "Versions": [(name, plain(v)) for name, v in versions.items()],
    }


def plain(value: object) -> str:
    """A JSON value as a person writes it."""
    if isinstance(value, list) and all(not isinstance(v, list | dict) for v in value):
        return ", ".join(plain(v) for v in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
