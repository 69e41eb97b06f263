"""What a run found, in a sentence: the best editor, the best windows, who comes nearest to fair."""

from __future__ import annotations

from collections.abc import Sequence

from overpaint.benchmark.report import compare, tables
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.measures import overall
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Table
from overpaint.benchmark.report.text import interval, probability
from overpaint.benchmark.report.windows import Best, best_window, is_windows
from overpaint.benchmark.rows import OVERALL

DOUBT = 0.05  # p from which a difference is not taken for one


def headline(found: Findings, against: Table | None) -> Html | None:
    """The sentence; None where there is nothing to compare. ``against``: the table of p."""
    words = _windows(found) if is_windows(found) else _fair(found) or _editors(found, against)
    return element("p", *words, ".", class_="finding") if words else None


def _windows(found: Findings) -> list[Html]:
    """The best window for each kind of attribute, with its CLIP score."""
    kinds = dict.fromkeys(case.kind for case in found.cases)
    bests = [
        (kind, best)
        for kind in kinds
        if (best := best_window(found, kind, [c for c in found.cases if c.kind == kind]))
    ]
    parts = [_window(kind, best) for kind, best in bests]
    return [Html("Best windows: "), *_listed(parts, "; ")] if parts else []


def _window(kind: str, best: Best) -> Html:
    who = element("b", best.window) if best.moved else "none"
    plain = "" if best.unedited is None else f", unedited {best.unedited:.1f}"
    score = element("span", f"CLIP score {best.score:.1f}{plain}")
    return join(who, f" for {kind} (", score, ")")


def _fair(found: Findings) -> list[Html]:
    """Δ of every method, the lowest first; empty for runs of other things than professions."""
    values = {m.condition: m.value for m in overall(found).get(OVERALL, ())}
    editors = sorted((c.name for c in found.editors if c.name in values), key=values.__getitem__)
    if not editors:
        return []
    others = [c.name for c in found.conditions if c.name in values and c.name not in editors]
    lowest = values[editors[0]]
    first = [name for name in editors if values[name] == lowest]
    wanted = "to as many women as men"
    if lowest >= values.get(found.named("baseline") or "", 2.0):
        said = join(f"No method comes nearer {wanted} than the unedited model: Δ ")
    else:
        names = _listed([element("b", name) for name in first], " and ")
        said = join(names, f" {'comes' if len(first) == 1 else 'come'} nearest {wanted}: Δ ")
    groups = [[f"{name} {values[name]:.3f}" for name in own] for own in (editors, others) if own]
    return [said, join("; ".join(", ".join(group) for group in groups))]


def _editors(found: Findings, against: Table | None) -> list[Html]:
    """The best editor, its F1, and how far the next is."""
    winner = compare.best(found)
    summary = found.summaries.get((winner, "all")) if winner else None
    if winner is None or summary is None or summary.f1 is None or against is None:
        return []
    f1 = tables.SCORES[3]
    reach = element(
        "span", f"{f1.shown(summary.f1.mean)} ({interval(tables.number(summary.f1), f1)})"
    )
    count = _counted(sum(found.whole(editor.name) for editor in found.editors))
    words = [element("b", winner), join(f" has the highest F1 of {count} editors: "), reach]
    ranked = [(row.cells[-1], row.name) for row in against.rows if row.cells[-1].value is not None]
    if ranked:
        cell, second = min(ranked, key=lambda pair: float(pair[0].value or 0))
        points = against.columns[-1].shown(float(cell.value or 0)).lstrip("+")
        doubt = "; chance alone may give as much" if (cell.p or 0) >= DOUBT else ""
        chance = element("span", f"({probability(cell.p)})")
        words += [
            join(f", {points} points above "),
            element("b", second),
            join(f"{doubt} "),
            chance,
        ]
    return words


def _listed(parts: Sequence[Html], between: str) -> list[Html]:
    return [join(between if number else None, part) for number, part in enumerate(parts)]


def _counted(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)
