"""The summary tables of a run: scores, significance, measures, costs, published numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from overpaint.benchmark.config import TOYBOX
from overpaint.benchmark.report.data import RunData, Score
from overpaint.benchmark.report.formatting import (
    COSTS,
    SCORE,
    SCORES,
    Column,
    number,
)
from overpaint.benchmark.report.render import Cells, Table, table_frame
from overpaint.metrics import f1, harmonic
from overpaint.metrics.significance import Comparison, holm, paired

ALPHA = 0.05
"""p-value below which a difference is significant."""

TABLE_SCORES = (SCORE["f1"], *(column for column in SCORES if column.name != "f1"))
"""F1 leads: on a narrow screen it is the column in sight."""

COMPARED = ("f1", "efficacy", "generality", "specificity")

BETTER = {"clip score with old": -1, "clip": 1, "fid": -1, "delta": -1, "δ": -1}
"""Direction of better values by the start of a measure's name."""

EXPLAINED = {
    "F_p": "Share of a profession's pictures that show women (TIME, section 6).",
    "Delta_p": "|Fₚ − 1/2| / (1/2): 0 for as many women as men, 1 for one gender only.",
    "people": "Share of the pictures that show a person at all.",
}

_MEANS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"f1": f1, "harmonic": harmonic}
_REPETITION = re.compile(r"(.*) \d+")  # "F_p 2": one repetition, beside their mean "F_p"


def summary_tables(run: RunData) -> list[Table]:
    """All tables that the run has numbers for, in the order of the report."""
    tables = [scores_table(run), significance_table(run), *measure_tables(run)]
    tables += [costs_table(run), published_table(run)]
    return [table for table in tables if table is not None]


def scores_table(run: RunData) -> Table | None:
    """Efficacy, generality, specificity and their means, over all cases and by kind.

    Bold marks an editor that is best and significantly so; see :func:`significantly_best`.
    """
    measured = set(run.scores.measure)
    columns = [column for column in TABLE_SCORES if column.name in measured]
    even = all(len(set(run.case_counts(kind).values())) < 2 for kind in run.kinds)
    rows: list[tuple[Any, Cells]] = []
    bold: set[tuple[int, str]] = set()
    for kind in run.kinds:
        best = {column.name: significantly_best(run, column.name, kind) for column in columns}
        for name, label in run.labels.items():
            cells = _score_cells(run, name, kind, columns)
            if cells:
                bold |= {(len(rows), column) for column in best if best[column] == name}
                rows.append(((kind, name, label, ""), cells))
            rows += _published(run, name, kind, columns)
    if run.scores.empty:
        return None
    if not even:
        columns = [*columns, Column("cases", "Cases", decimals=0)]
    note = _scores_note(run, even=even, published=any(keys[3] for keys, _ in rows))
    frame = table_frame(rows, columns)
    return Table("results", "Scores", columns, frame, "Method", note, frozenset(bold),
                 run.editors.index)  # fmt: skip


def significance_table(run: RunData) -> Table | None:
    """The best editor minus every other, with 95 % intervals and p-values; see :func:`leads`."""
    winner, tests = leads(run)
    if winner is None or tests.empty:
        return None
    columns = [Column(name, SCORE[name].label, scale=100, signed=True)
               for name in COMPARED if name in set(tests.measure)]  # fmt: skip
    label = run.labels[winner]
    cells: dict[str, dict[str, Any]] = {}
    for record in tests.to_dict("records"):
        cells.setdefault(record["condition"], {})[record["measure"]] = record
    rows = [((f"{label} minus", name, run.labels[name], ""), own) for name, own in cells.items()]
    note = (
        f"Lead of {label} in percentage points, with its 95 % bootstrap interval over cases and "
        "the two-sided p-value of a paired permutation test on the same cases (Holm-corrected for "
        "the number of comparisons)."
    )
    return Table("significance", f"{label} compared with the other editors", columns,
                 table_frame(rows, columns), f"{label} minus", note)  # fmt: skip


def measure_tables(run: RunData) -> Iterator[Table]:
    """CLIP score, FID, shares of women and their gaps: of whole conditions, then by case."""
    overall = _by_measure(run.overall)
    columns = [_measure_column(name, own) for name, own in overall.items()]
    rows: list[tuple[Any, Cells]] = []
    for name, label in run.labels.items():
        cells = {
            measure: _measured(own[own.condition == name])
            for measure, own in overall.items()
            if name in set(own.condition)
        }
        rows += [(("", name, label, ""), cells)] if cells else []
        rows += [(("", *keys[1:]), own) for keys, own in _published(run, name, "all", columns)]
    if rows and columns:
        frame = table_frame(rows, columns)
        note = "± standard deviation over seeds, where there are several."
        yield Table("measures", "Measures", columns, frame, note=note, editors=run.editors.index)
    for place, (title, note, columns, rows) in enumerate(_measures_by_case(run), start=1):
        frame = table_frame(rows, columns)
        yield Table(f"measures-{place}", f"{title}, by case", columns, frame, "Case", note)


def costs_table(run: RunData) -> Table | None:
    """Seconds, kilobytes and share of the weights of each editor."""
    columns = [column for column in COSTS if column.name in run.editors]
    known = run.editors.dropna(how="all", subset=[column.name for column in columns])
    if not columns or known.empty:
        return None
    rows = [
        (("", str(name), own["label"], ""), {c.name: {"value": own[c.name]} for c in columns})
        for name, own in known.iterrows()
    ]
    note = "Means over all edits: time to compute one, size of its patch, share of changed weights."
    frame = table_frame(rows, columns)
    return Table("costs", "Cost of an edit", columns, frame, note=note, editors=run.editors.index)


def published_table(run: RunData) -> Table | None:
    """The paper's numbers in a table of their own, for a run on Toybox, which no paper knows."""
    entries = run.configuration.get("paper") or ()
    if not entries or run.configuration.get("model") != TOYBOX:
        return None
    names = dict.fromkeys(key for entry in entries for key in entry if key not in _ENTRY_KEYS)
    columns = [
        SCORE.get(name.lower()) or Column(name, measure_label(name), decimals=2) for name in names
    ]
    groups: dict[str, list[tuple[Any, Cells]]] = {}
    for entry in entries:
        group = ", ".join(part for part in (_source(entry), str(entry.get("kind") or "")) if part)
        name = str(entry["condition"])
        keys = (group, name, run.labels.get(name, name), "")
        groups.setdefault(group, []).append((keys, _entry_cells(entry, columns)))
    rows = [row for own in groups.values() for row in own]
    note = (
        "As printed in the paper: Stable Diffusion, the paper's prompts and judge. They cannot be "
        "compared with this run's numbers, which are measured on Toybox; at most the order of the "
        "methods can."
    )
    title = "Published numbers, on Stable Diffusion"
    return Table("paper", title, columns, table_frame(rows, columns), note=note)


def best_editor(run: RunData, among: Sequence[str] | pd.Index | None = None) -> str | None:
    """The ranked editor with the highest F1 (efficacy where there is no F1), out of ``among``."""
    for measure in ("f1", "efficacy"):
        values = {
            name: score.value
            for name in run.ranked()
            if (among is None or name in among) and (score := run.score(name, measure))
        }
        if values:
            return max(values, key=lambda name: values[name])
    return None


def significantly_best(run: RunData, measure: str, kind: str = "all") -> str | None:
    """The ranked editor that leads every other one, each lead with a corrected p < 0.05."""
    scores = [score for name in run.ranked(kind) if (score := run.score(name, measure, kind))]
    if len(scores) < 2:
        return None
    first, *others = sorted(scores, key=lambda score: -score.value)
    values = []
    for other in others:
        test = compare(run, first.condition, other.condition, measure, kind)
        if test is None or test.p >= ALPHA:
            return None  # a corrected p is never smaller
        values.append(test.p)
    return first.condition if max(holm(values)) < ALPHA else None


def leads(run: RunData) -> tuple[str | None, pd.DataFrame]:
    """Test the best editor against every other one.

    Paired permutation tests over the cases that both were scored on, Holm-corrected per measure.
    Each curve takes part with its best point.

    Returns:
        The best editor, and ``condition, measure, value, low, high, p`` of its leads.
    """
    winner = best_editor(run)
    points = [best_editor(run, own.index) for _, own in run.editors.groupby("line", sort=False)]
    others = [name for name in points if name is not None and name != winner]
    records: list[dict[str, Any]] = []
    for measure in COMPARED if winner else ():
        tests = {other: compare(run, winner or "", other, measure) for other in others}
        found = {other: test for other, test in tests.items() if test}
        corrected = holm([test.p for test in found.values()])
        for (other, test), p in zip(found.items(), corrected, strict=True):
            lead = {"value": test.difference, "low": test.low, "high": test.high, "p": p}
            records.append({"condition": other, "measure": measure, **lead})
    columns = ["condition", "measure", "value", "low", "high", "p"]
    return winner, pd.DataFrame(records, columns=columns)


def compare(
    run: RunData, first: str, second: str, measure: str, kind: str = "all"
) -> Comparison | None:
    """Paired test of two conditions over the cases of ``kind`` that both were scored on."""
    mean = _MEANS.get(measure)
    columns = ["generality", "specificity"] if mean else [measure]
    scores = run.case_scores
    scores = scores if kind == "all" else scores[scores.kind == kind]
    one, two = (
        scores[scores.condition == name].set_index("case")[columns].dropna()
        for name in (first, second)
    )
    shared = one.index.intersection(two.index, sort=False)
    if shared.empty:
        return None
    a, b = (torch.tensor(own.loc[shared].to_numpy(dtype=float)) for own in (one, two))
    return paired(a, b, (lambda means: mean(means[:, 0], means[:, 1])) if mean else None)


def long_frames(run: RunData) -> dict[str, pd.DataFrame]:
    """The measures, and the scores of every case, with the methods' names; by name of the file."""
    frames = {"measures": run.measures, "cases": run.case_scores}
    for name, frame in frames.items():
        frames[name] = frame.copy()
        frames[name].insert(1, "method", frame.condition.map(run.labels))
    return {name: frame for name, frame in frames.items() if not frame.empty}


def methods_by_kind(run: RunData) -> pd.DataFrame:
    """One row of text per condition: scores on each kind of cases, F1 of all, costs of an edit.

    The unedited conditions come first, then the editors from the highest F1 down.
    """
    references = run.conditions.index[~run.conditions.is_edit]
    f1s = {name: s.value for name in run.editors.index if (s := run.score(name, "f1"))}
    order = [*references, *sorted(run.editors.index, key=lambda name: -f1s.get(name, 0.0))]
    rows = []
    for name in order:
        row = {"": run.labels[name]}
        for kind in run.kinds[1:] or run.kinds:
            row[kind] = percentages(
                run, name, kind, ("efficacy", "generality", "specificity", "f1")
            )
        whole = run.score(name, "f1")
        row["F1 of all (95 %)"] = (
            f"{100 * whole.value:.0f} ({100 * whole.low:.0f}-{100 * whole.high:.0f})"
            if whole else "–"
        )  # fmt: skip
        known = run.conditions.loc[name].reindex([column.name for column in COSTS]).dropna()
        forms = {"s": "{:.2f}", "kB": "{:.0f}", "params": "{:.1f} %"}
        for (heading, form), column in zip(forms.items(), COSTS, strict=True):
            row[heading] = form.format(known[column.name]) if column.name in known else ""
        rows.append(row)
    return pd.DataFrame(rows)


METHODS_LEGEND = (
    "In a kind of cases: Efficacy / Generality / Specificity / F1, in %. "
    "Then seconds of an edit, size of its patch, share of the model's weights it touches"
)


def percentages(run: RunData, condition: str, kind: str, measures: Sequence[str]) -> str:
    """Several scores in one cell: ``"98 / 86 / 97 / 91"``."""
    scores = (run.score(condition, measure, kind) for measure in measures)
    return " / ".join("–" if score is None else f"{100 * score.value:.0f}" for score in scores)


def _score_cells(run: RunData, name: str, kind: str, columns: Sequence[Column]) -> Cells:
    scores = [score for c in columns if (score := run.score(name, c.name, kind))]
    if not scores:
        return {}
    cells = {score.measure: _statistics(score, seeds=run.seeds) for score in scores}
    return {**cells, "cases": {"value": float(scores[0].cases)}}


def _statistics(score: Score, seeds: int) -> dict[str, float]:
    interval = {"value": score.value, "low": score.low, "high": score.high}
    return interval if seeds == 1 else {**interval, "sd": score.sd}


def _scores_note(run: RunData, *, even: bool, published: bool) -> str:
    sd = "" if run.seeds == 1 else " ± standard deviation over seeds"
    note = f"Mean{sd} in percent, with its 95 % bootstrap interval over cases."
    if "f1" in set(run.scores.measure):
        note += " F1 is the geometric mean of generality and specificity, as in ReFACT."
    if len(run.editors) > 1:
        note += (
            " Bold: the best editor, if it leads every other one significantly (paired "
            "permutation test on the same cases, Holm-corrected p < 0.05). Conditions that edit no "
            "weights are there for reference."
        )
    if not even:
        note += " Rows on fewer cases than others are not ranked."
    if published:
        note += " Italics: numbers printed in the papers, for their models and prompts."
    return note


def _by_measure(measures: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): own for name, own in measures.groupby("measure", sort=False)}


def _measures_by_case(run: RunData) -> Iterator[tuple[str, str, list[Column], list[Any]]]:
    """Title, note, columns and rows: per measure of several conditions, per condition for the rest.

    Repetitions are left out where their mean is there.
    """
    groups = _by_measure(run.measures[run.measures.case != ""])
    groups = {
        name: own
        for name, own in groups.items()
        if not ((match := _REPETITION.fullmatch(name)) and match[1] in groups)
    }
    alone: dict[str, dict[str, pd.DataFrame]] = {}
    for name, own in groups.items():
        conditions = [each for each in run.labels if each in set(own.condition)]
        if len(conditions) > 1:
            columns = [_measure_column(name, own, c, run.labels[c]) for c in conditions]
            parts = {c: own[own.condition == c] for c in conditions}
            yield measure_label(name), EXPLAINED.get(name, ""), columns, _case_rows(parts)
        else:
            alone.setdefault(conditions[0], {})[name] = own
    for condition in (each for each in run.labels if each in alone):
        columns = [_measure_column(name, own) for name, own in alone[condition].items()]
        yield run.labels[condition], "", columns, _case_rows(alone[condition])


def _case_rows(parts: Mapping[str, pd.DataFrame]) -> list[tuple[Any, Cells]]:
    cases = dict.fromkeys(case for own in parts.values() for case in own.case)
    cells = {
        case: {n: _measured(own[own.case == case]) for n, own in parts.items()
               if case in set(own.case)}
        for case in cases
    }  # fmt: skip
    return [(("", "", case, ""), own) for case, own in cells.items()]


def _measured(rows: pd.DataFrame) -> dict[str, float]:
    first = rows.iloc[0]
    return {"value": first["value"], **({"sd": first["sd"]} if first["sd"] else {})}


def _measure_column(measure: str, rows: pd.DataFrame, name: str = "", label: str = "") -> Column:
    """Three decimals for shares, four significant digits for larger numbers."""
    better = next((b for start, b in BETTER.items() if measure.lower().startswith(start)), 0)
    largest = rows["value"].abs().max()
    decimals = 3 if largest <= 1 else max(0, 3 - int(math.log10(largest)))
    label = label or measure_label(measure)
    return Column(name or measure, label, decimals=decimals, better=better)


def measure_label(name: str) -> str:
    """The name of a measure in mathematical notation: ``"Δₚ"`` for ``"Delta_p"``."""
    for word, sign in {"Delta": "Δ", "lambda": "λ", "_p": "ₚ"}.items():
        name = name.replace(word, sign)
    return name


_ENTRY_KEYS = ("condition", "kind", "source")  # the other keys of a paper's entry are numbers


def _published(
    run: RunData, condition: str, kind: str, columns: Sequence[Column]
) -> Iterator[tuple[Any, Cells]]:
    """Rows of the papers' numbers beside ours; none on Toybox, where they are a separate table."""
    entries = run.configuration.get("paper") or ()
    for entry in () if run.configuration.get("model") == TOYBOX else entries:
        theirs = entry.get("kind") or "all"
        only = run.kinds == ["all"] and kind == "all"
        if entry.get("condition") == condition and (theirs == kind or only):
            cells = _entry_cells(entry, columns)
            if cells:
                yield (kind, condition, run.labels[condition], _source(entry)), cells


def _entry_cells(entry: Mapping[str, Any], columns: Sequence[Column]) -> Cells:
    known = {str(key).lower(): value for key, value in entry.items()}
    return {
        column.name: {"value": value}
        for column in columns
        if (value := number(known, column.name.lower())) is not None
    }


def _source(entry: Mapping[str, Any]) -> str:
    return str(entry.get("source") or "the paper")
