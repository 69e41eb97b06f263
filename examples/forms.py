"""The forms of the documentation's tables: each turns what was measured into lines of Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from overpaint.benchmark.config import UNEDITED
from overpaint.benchmark.report.paper import as_number
from overpaint.benchmark.report.read import Findings, read
from overpaint.benchmark.report.tables import COSTS, SCORES
from overpaint.benchmark.rows import ConditionRow
from overpaint.benchmark.score import Number
from overpaint.errors import DataError

LABELS = {
    "baseline": "unedited",
    "oracle": "oracle: asked for the target",
    "rewrite": "words replaced in the prompt",
    "refact": "ReFACT",
    "time": "TIME",
    "time-multi": "TIME, one λ for all",
    "uce": "UCE",
    "locoedit": "LocoEdit",
    "diffquickfix": "DiffQuickFix",
    "finetune": "fine-tuning one MLP",
    "finetune-text": "fine-tuning the text encoder",
}
COLUMNS = {column.name: column for column in SCORES}
Weights = Callable[[], str]


def methods(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`methods RUN`: a line for each method, a column for each kind of cases; the best first."""
    found = finished(root, words, weights)
    kinds = found.kinds[1:] or found.kinds
    yield head("", *kinds, "F1 of all (95 %)", "s", "kB", "params")
    names = ("efficacy", "generality", "specificity", "f1")
    for condition in ranked(found):
        whole = found.summaries[condition.name, "all"]
        cells = [several(found, condition, kind, names) for kind in kinds]
        yield line(label(condition), *cells, with_interval(whole.f1), *costs(condition))
    yield from told(
        found,
        "In a kind of cases: " + " / ".join(COLUMNS[n].label for n in names) + ", in %. "
        "Then seconds of an edit, size of its patch, share of the model's weights it touches",
    )


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


def curves(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`curves RUN [SCORES]`: the sweeps of a run; the longer side goes down the page."""
    found = finished(root, words[:1], weights)
    names = words[1:] or ["f1"]
    points = {(c.series, c.x): c for c in found.conditions if c.series and c.x is not None}
    if not points:
        raise DataError(f"expected a run with sweeps, got {str(found.folder)!r}; see its preset")
    lines = list(dict.fromkeys(series for series, _ in points))
    places = sorted({x for _, x in points})
    cells = {key: several(found, own, "all", names) for key, own in points.items()}
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


def quality(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`quality FILE [BEGINNINGS]`: what benchmarks/toybox_quality.py measured, or some of it."""
    results, command = measured(root, words, weights)
    beginnings = tuple(words[1:]) or ("",)
    yield head("What", "Is", "Should be")
    for row in results:
        if row["name"].startswith(beginnings):
            low, high = row["at_least"], row["at_most"]
            if low is not None and high is not None:
                bound = f"{max(low, 0):.0f}-{high:.0f}"
            else:
                bound = "" if low == high else f"≥ {low:.0f}" if high is None else f"≤ {high:.0f}"
            digits = 0 if row["unit"] in ("ms", "MB") else 1
            value = f"{row['value']:.{digits}f} {row['unit']}"
            yield line(row["name"], value if row["good"] is not False else f"{value} ✗", bound)
    yield from ("", f"`{command}`")


def recall(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`recall FILE`: at each layer the share of cases whose v* reaches its probability."""
    results, command = measured(root, words, weights)
    kinds = list(results[0]["reached"])
    yield head("layer", *(str(row["layer"]) for row in results))
    for kind in kinds:
        yield line(kind, *(f"{100 * row['reached'][kind]:.0f}" for row in results))
    yield line("all", *(f"{100 * row['share']:.0f}" for row in results))
    yield from ("", f"In % of the cases. `{command}`")


def throughput(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`throughput FILE`: pictures a second, against the plain loop."""
    results, command = measured(root, words, weights)
    yield head("", "pictures / s", "ratio")
    yield line("plain loop", f"{results['middle']['loop']:.1f}", "1")
    yield line("runner", f"{results['middle']['runner']:.1f}", f"{results['ratio']:.1f}")
    once = "runner, a picture that is asked for twice counted once"
    yield line(once, f"{results['middle']['painted']:.1f}", f"{results['painted_ratio']:.1f}")
    yield from ("", f"`{command}`")


def speed(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`speed FILE`: how long edits take on a model of SD1.4's shape."""
    results, command = measured(root, words, weights)
    yield head("", "ms", "times ours")
    for row in results:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        yield line(row["name"], f"{row['ms']:.1f}", ratio)
    yield from ("", f"`{command}`")


def localize(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`localize FILE`: fast LocoGen against the exhaustive search."""
    results, command = measured(root, words, weights)
    whole = ("cases", "ties", "exhaustive", "fast")
    names = list(next(iter(results.values()))["all"])
    yield head("", "kind", *names)
    for title, kinds in results.items():
        for kind, row in kinds.items():
            cells = [
                f"{row[n]:.0f}" if n in whole
                else f"{row[n]:.1f}x" if n == "saved" else f"{100 * row[n]:.0f} %"
                for n in names
            ]  # fmt: skip
            yield line(title, kind, *cells)
    yield from ("", f"`{command}`")


FORMS: dict[str, Callable[[Path, list[str], Weights], Iterator[str]]] = {
    form.__name__: form
    for form in (methods, scores, gender, curves, quality, recall, throughput, speed, localize)
}


def finished(root: Path, words: list[str], weights: Weights) -> Findings:
    """The run named in the marker; DataError unless it is whole and of the shipped weights."""
    if len(words) != 1:
        raise DataError(f"expected the folder of a run, got {' '.join(words) or 'nothing'!r}")
    found = read(root / words[0])
    if found.missing or found.untouched:
        absent = sum(found.missing.values())
        what = f"{absent:,} pictures" if absent else ", ".join(found.untouched)
        raise unfinished(found, what)
    _of_shipped(found.configuration.get("weights"), weights, words[0])
    return found


def measured(root: Path, words: list[str], weights: Weights) -> tuple[Any, str]:
    """Results and command from what a script wrote; DataError for something else."""
    path = root / (words[0] if words else "")
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        results, command, own = whole["results"], whole["command"], whole["weights"]
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}; measure it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected what a script of benchmarks/ writes with --json, got {str(path)!r}; measure "
            "it again"
        ) from error
    _of_shipped(own, weights, words[0])
    return results, command


def _of_shipped(own: object, weights: Weights, name: str) -> None:
    if own != weights():
        raise DataError(f"{name!r} was made with other weights than those shipped; begin it anew")


def unfinished(found: Findings, what: str) -> DataError:
    """The error for a run that lacks something."""
    command = found.notes.get("command", "overpaint bench")
    return DataError(f"{str(found.folder)!r} is not finished, it lacks {what}; {command}")


def ranked(found: Findings) -> list[ConditionRow]:
    """What edits nothing first, then the editors by F1."""

    def f1(condition: ConditionRow) -> float:
        own = found.summaries[condition.name, "all"].f1
        return own.mean if own else 0.0

    plain = [c for c in found.conditions if c.method in UNEDITED]
    return [*plain, *sorted(found.editors, key=f1, reverse=True)]


def several(found: Findings, condition: ConditionRow, kind: str, names: Sequence[str]) -> str:
    """`98 / 86 / 97 / **91**`: the last one stands out."""
    own = found.summaries.get((condition.name, kind))
    texts = [percent(getattr(own, name)) if own else "–" for name in names]
    return " / ".join([*texts[:-1], f"**{texts[-1]}**" if len(texts) > 1 else texts[-1]])


def percent(value: Number | None) -> str:
    """Whole per cents."""
    return "–" if value is None else f"{100 * value.mean:.0f}"


def with_interval(value: Number | None) -> str:
    """`91 (89-92)`."""
    if value is None:
        return "–"
    return f"{100 * value.mean:.0f} ({100 * value.low:.0f}-{100 * value.high:.0f})"


def deviating(value: Number | None, seeds: object) -> str:
    """`91.2 ± 0.4`; of one seed `91.2`."""
    if value is None:
        return "–"
    spread = "" if seeds == 1 else f" ± {100 * value.spread:.1f}"
    return f"{100 * value.mean:.1f}{spread}"


def costs(condition: ConditionRow) -> list[str]:
    """Seconds, kilobytes, share of the weights."""
    values = [as_number(condition.about.get(column.name)) for column in COSTS]
    if None in values:
        return ["", "", ""]
    seconds, size, share = (value or 0.0 for value in values)
    return [f"{seconds:.2f}", f"{size:.0f}", f"{share:.1f} %"]


def columned(name: str) -> str:
    """A score as it heads a column."""
    if name not in COLUMNS:
        raise DataError(f"expected a score out of {', '.join(COLUMNS)}, got {name!r}")
    return COLUMNS[name].label


def label(condition: ConditionRow) -> str:
    """What people call a row."""
    return LABELS.get(condition.name, condition.name)


def told(found: Findings, how: str) -> Iterator[str]:
    """What the numbers are, and what made them."""
    configuration = found.configuration
    counts = [(len(found.cases), "cases"), (configuration.get("seeds"), "seeds")]
    counts.append((configuration.get("steps"), "steps"))
    words = [f"{n} {what[:-1] if n == 1 else what}" for n, what in counts if n]
    yield ""
    yield f"{how}; {', '.join(words)}. `{found.notes.get('command', 'overpaint bench')}`"


def head(*cells: str) -> str:
    """The first two lines of a table."""
    return f"{line(*cells)}\n{'|---' * len(cells)}|"


def line(*cells: str) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"
