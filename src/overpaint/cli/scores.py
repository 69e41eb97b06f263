"""What a finished run found, as the terminal shows it: scores, costs, measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from overpaint.cli import show

if TYPE_CHECKING:
    from overpaint.benchmark.rows import ConditionRow, Measure
    from overpaint.benchmark.run import Done
    from overpaint.benchmark.score import Number, Summary


def show_scores(done: Done, json: bool) -> None:
    """Print what was found, for people or for programs."""
    from overpaint.benchmark.report.formatting import known_costs
    from overpaint.benchmark.rows import by_curve
    from overpaint.benchmark.score import summaries

    with done.store() as store:
        found, title = summaries(store), str(store.configuration["title"] or done.folder)
        measures = [m for m in store.measures() if not m.case]
        order = [row for rows in by_curve(store.conditions()).values() for row in rows]
    if json:
        scores = [{"condition": c, "kind": k, **asdict(s)} for (c, k), s in found.items()]
        rows = [m._asdict() for m in measures]
        costs = [{"condition": row.name, **own} for row in order if (own := known_costs(row))]
        show.data({"run": str(done.folder), "scores": scores, "costs": costs, "measures": rows})
        return
    if found:
        _show_summaries(title, found, order)
    _show_costs(order)
    if measures:
        _show_measures("" if found else title, measures, order)
    show.line(f"\nread it:  [cyan]overpaint report {done.folder}[/]")


def _show_summaries(
    title: str, found: Mapping[tuple[str, str], Summary], order: Sequence[ConditionRow]
) -> None:
    columns = ("", "method", "efficacy", "generality", "specificity", "F1")
    kinds = list(dict.fromkeys(kind for _, kind in found))
    kinds = kinds if len(kinds) > 2 else kinds[:1]  # "all" says the same of a single kind
    rows = [
        (kind, row.shown, *map(_percent, (s.efficacy, s.generality, s.specificity, s.f1)))
        for kind in kinds
        for row in order
        if (s := found.get((row.name, kind)))
    ]
    show.table(title, columns, rows)
    show.line("[dim]mean % ± deviation over seeds (95 % interval over cases)[/]")


def _show_costs(order: Sequence[ConditionRow]) -> None:
    from overpaint.benchmark.report.formatting import COSTS, known_costs

    rows = [
        (row.shown, *(c.format(own[c.name]) if c.name in own else None for c in COSTS))
        for row in order
        if (own := known_costs(row))
    ]
    if rows:
        show.table("\nwhat an edit costs", ("method", *(c.label for c in COSTS)), rows)


def _show_measures(title: str, measures: Sequence[Measure], order: Sequence[ConditionRow]) -> None:
    rows = [
        (row.shown, m.name, f"{m.value:.4g} ±{m.spread:.2g}")
        for row in order
        for m in measures
        if m.condition == row.name
    ]
    show.table(title, ("", "measure", ""), rows)


def _percent(number: Number | None) -> str:
    if number is None:
        return "-"
    span = f"{100 * number.low:.0f}-{100 * number.high:.0f}"
    return f"{100 * number.mean:.1f} ±{100 * number.spread:.1f} ({span})"
