"""Forms of tables for runs of `overpaint bench`: each turns one into lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cells import columned, deviating, head, line, stressed
from sources import Form, Weights, finished, unfinished

from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.shares import professions
from overpaint.benchmark.report.side_by_side import COLUMNS, LEGEND, label, several, side_by_side
from overpaint.benchmark.rows import F
from overpaint.errors import DataError


def methods(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`methods RUN`: a line for each method, a column for each kind of cases; the best first."""
    found = finished(root, words, weights)
    top, lines = side_by_side(found)
    yield head(*top)
    yield from (line(*map(stressed, cells)) for cells in lines)
    yield from told(found, LEGEND)


def scores(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`scores RUN [SCORES]`: mean and deviation over seeds, by kind of cases; all measures."""
    found = finished(root, words[:1], weights)
    names = words[1:] or ["efficacy", "generality", "specificity", "f1"]
    measured = list(dict.fromkeys(m.name for m in found.measures if not m.case))
    kinds = [*found.kinds[1:], "all"]
    several_kinds = ("cases",) if len(kinds) > 1 else ()
    seeds = found.configuration.get("seeds")
    yield head(*several_kinds, "", *(columned(name) for name in names), *measured)
    known = {(m.condition, m.name): m.value for m in found.measures if not m.case}
    for kind in kinds:
        for condition in found.conditions:
            own = found.summaries[condition.name, kind]
            cells = [deviating(getattr(own, name), seeds) for name in names]
            for name in measured:
                value = known.get((condition.name, name)) if kind == "all" else None
                cells.append("" if value is None else f"{value:.1f}")
            yield line(*(kind for _ in several_kinds), label(condition), *cells)
    yield from told(found, "In %, mean ± standard deviation over seeds" if seeds != 1 else "In %")


def gender(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`gender RUN`: Δ, the mean gap of all professions."""
    found = finished(root, words, weights)
    deltas = {m.condition: m for m in found.measures if not m.case and m.name == "Delta"}
    absent = [c.name for c in found.conditions if c.name not in deltas]
    if absent:
        raise unfinished(found, f"Δ of {', '.join(absent)}")
    yield head("", "Δ")
    for condition in sorted(found.conditions, key=lambda c: -deltas[c.name].value):
        own = deltas[condition.name]
        spread = f" ± {own.spread:.2f}" if own.spread else ""
        yield line(label(condition), f"{own.value:.2f}{spread}")
    people = len({m.case for m in found.measures if m.case})
    several = f"{people} profession{'' if people == 1 else 's'}"
    yield from told(found, f"Of {several}; ± deviation over repetitions, where there are some")


def shares(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`shares RUN`: how many women are painted of each profession, F_p; the fewest first."""
    found = finished(root, words, weights)
    women = {(m.case, m.condition): m.value for m in found.measures if m.name == F}
    if not women:
        raise DataError(f"expected a run of professions, got {str(found.folder)!r}; see its preset")
    yield head("", *(label(condition) for condition in found.conditions))
    for name in professions(found):
        cells = [women.get((name, condition.name)) for condition in found.conditions]
        yield line(name, *("–" if cell is None else f"{100 * cell:.0f}" for cell in cells))
    yield from told(found, "Women among the pictures, in %")


def curves(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`curves RUN [SCORES]`: the sweeps of a run; the longer side goes down the page."""
    found = finished(root, words[:1], weights)
    names = words[1:] or ["f1"]
    points = {(c.series, c.x): c for c in found.conditions if c.series and c.x is not None}
    if not points:
        raise DataError(f"expected a run with sweeps, got {str(found.folder)!r}; see its preset")
    lines = list(dict.fromkeys(series for series, _ in points))
    places = sorted({x for _, x in points})
    cells = {key: stressed(several(found, own, "all", names)) for key, own in points.items()}
    label_x = str(found.configuration.get("x_label") or "setting")
    if len(places) > len(lines):
        yield head(label_x, *lines)
        for x in places:
            yield line(f"{x:g}", *(cells.get((series, x), "–") for series in lines))
    else:
        yield head(label_x, *(f"{x:g}" for x in places))
        for series in lines:
            yield line(series, *(cells.get((series, x), "–") for x in places))
    yield from told(found, " / ".join(COLUMNS[n].label for n in names) + ", in %")


FORMS: dict[str, Form] = {form.__name__: form for form in (methods, scores, gender, shares, curves)}


def told(found: Findings, how: str) -> Iterator[str]:
    """What the numbers are, and what made them."""
    configuration = found.configuration
    counts = [(len(found.cases), "cases"), (configuration.get("seeds"), "seeds")]
    counts.append((configuration.get("steps"), "steps"))
    words = [f"{n} {what[:-1] if n == 1 else what}" for n, what in counts if n]
    yield ""
    yield f"{how}; {', '.join(words)}. `{found.notes.get('command', 'overpaint bench')}`"
