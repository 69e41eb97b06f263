"""Forms of tables for runs of `overpaint bench`: each turns one into lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cells import columned, deviating, explained, head, line, stressed
from sources import Form, Weights, finished, unfinished

from overpaint.benchmark.report.data import RunData
from overpaint.benchmark.report.formatting import SCORE
from overpaint.benchmark.report.tables import METHODS_LEGEND, methods_by_kind, percentages
from overpaint.benchmark.rows import OVERALL, F
from overpaint.errors import DataError


def methods(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`methods RUN`: a line for each method, a column for each kind of cases; the best first."""
    run = finished(root, words, weights)
    table = methods_by_kind(run)
    yield head(*table.columns)
    for label, *cells in table.itertuples(index=False):
        yield line(explained(label), *map(stressed, cells))
    yield from told(run, METHODS_LEGEND)


def scores(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`scores RUN [SCORES]`: mean and deviation over seeds, by kind of cases; all measures."""
    run = finished(root, words[:1], weights)
    names = words[1:] or ["efficacy", "generality", "specificity", "f1"]
    measured = list(run.overall.measure.unique())
    kinds = [*run.kinds[1:], "all"]
    several_kinds = ("cases",) if len(kinds) > 1 else ()
    yield head(*several_kinds, "", *(columned(name) for name in names), *measured)
    known = run.overall.set_index(["condition", "measure"])["value"].to_dict()
    for kind in kinds:
        for condition, label in run.labels.items():
            cells = [deviating(run.score(condition, name, kind), run.seeds) for name in names]
            for name in measured:
                value = known.get((condition, name)) if kind == "all" else None
                cells.append("" if value is None else f"{value:.1f}")
            yield line(*(kind for _ in several_kinds), explained(label), *cells)
    yield from told(run, "In %, mean ± standard deviation over seeds" if run.seeds != 1 else "In %")


def gender(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`gender RUN`: Δ, the mean gap of all professions."""
    run = finished(root, words, weights)
    gaps = run.overall[run.overall.measure == OVERALL].set_index("condition")
    absent = [label for name, label in run.labels.items() if name not in gaps.index]
    if absent:
        raise unfinished(run, f"Δ of {', '.join(absent)}")
    yield head("", "Δ")
    order = gaps.loc[[*run.labels]].sort_values("value", ascending=False, kind="stable")
    for name, gap in order.iterrows():
        sd = f" ± {gap.sd:.2f}" if gap.sd else ""
        yield line(explained(run.labels[str(name)]), f"{gap['value']:.2f}{sd}")
    people = run.measures.case[run.measures.case != ""].nunique()
    several = f"{people} profession{'' if people == 1 else 's'}"
    yield from told(run, f"Of {several}; ± deviation over repetitions, where there are some")


def shares(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`shares RUN`: how many women are painted of each profession, F_p; the fewest first."""
    run = finished(root, words, weights)
    women = run.measures[run.measures.measure == F].set_index(["case", "condition"])["value"]
    if women.empty:
        raise DataError(f"expected a run of professions, got {str(run.folder)!r}; see its preset")
    yield head("", *(explained(label) for label in run.labels.values()))
    for name in run.professions:
        cells = [women.get((name, condition)) for condition in run.labels]
        yield line(name, *("–" if cell is None else f"{100 * cell:.0f}" for cell in cells))
    yield from told(run, "Women among the pictures, in %")


def curves(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`curves RUN [SCORES]`: the sweeps of a run; the longer side goes down the page."""
    run = finished(root, words[:1], weights)
    names = words[1:] or ["f1"]
    points = run.conditions[(run.conditions.series != "") & run.conditions.x.notna()]
    if points.empty:
        raise DataError(f"expected a run with sweeps, got {str(run.folder)!r}; see its preset")
    cells = {
        (own.series, own.x): stressed(percentages(run, str(name), "all", names))
        for name, own in points.iterrows()
    }
    lines = dict(zip(points.series, points.line_label, strict=True))
    places = sorted(points.x.unique())
    label_x = str(run.configuration.get("x_label") or "setting")
    if len(places) > len(lines):
        yield head(label_x, *lines.values())
        for x in places:
            yield line(f"{x:g}", *(cells.get((own, x), "–") for own in lines))
    else:
        yield head(label_x, *(f"{x:g}" for x in places))
        for own, label in lines.items():
            yield line(label, *(cells.get((own, x), "–") for x in places))
    yield from told(run, " / ".join(SCORE[n].label for n in names) + ", in %")


FORMS: dict[str, Form] = {form.__name__: form for form in (methods, scores, gender, shares, curves)}


def told(run: RunData, how: str) -> Iterator[str]:
    """What the numbers are, and what made them."""
    configuration = run.configuration
    counts = [(len(run.cases), "cases"), (configuration.get("seeds"), "seeds")]
    counts.append((configuration.get("steps"), "steps"))
    words = [f"{n} {what[:-1] if n == 1 else what}" for n, what in counts if n]
    yield ""
    yield f"{how}; {', '.join(words)}. `{run.notes.get('command', 'overpaint bench')}`"
