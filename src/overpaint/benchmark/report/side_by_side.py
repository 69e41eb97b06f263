"""Every method in one line: its scores on each kind of cases, and what an edit costs.

The table of the README, and of ``benchmarks/methods.py``, as text that anything can lay out.
"""

from __future__ import annotations

from collections.abc import Sequence

from overpaint.benchmark.config import UNEDITED
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.tables import COSTS, SCORES, known_costs
from overpaint.benchmark.rows import ConditionRow
from overpaint.benchmark.score import Number

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
SHOWN = ("efficacy", "generality", "specificity", "f1")
LEGEND = (
    f"In a kind of cases: {' / '.join(COLUMNS[n].label for n in SHOWN)}, in %. "
    "Then seconds of an edit, size of its patch, share of the model's weights it touches"
)


def side_by_side(found: Findings) -> tuple[list[str], list[list[str]]]:
    """The head and the lines of the table; what edits nothing first, then the best."""
    kinds = found.kinds[1:] or found.kinds
    lines = []
    for condition in ranked(found):
        cells = [several(found, condition, kind, SHOWN) for kind in kinds]
        whole = found.summaries.get((condition.name, "all"))
        f1 = with_interval(whole.f1 if whole else None)
        lines.append([label(condition), *cells, f1, *_costs(condition)])
    return ["", *kinds, "F1 of all (95 %)", "s", "kB", "params"], lines


def ranked(found: Findings) -> list[ConditionRow]:
    """What edits nothing first, then the editors by F1."""

    def f1(condition: ConditionRow) -> float:
        whole = found.summaries.get((condition.name, "all"))
        return whole.f1.mean if whole and whole.f1 else 0.0

    plain = [c for c in found.conditions if c.method in UNEDITED]
    return [*plain, *sorted(found.editors, key=f1, reverse=True)]


def several(found: Findings, condition: ConditionRow, kind: str, names: Sequence[str]) -> str:
    """`98 / 86 / 97 / 91`, in per cent."""
    own = found.summaries.get((condition.name, kind))
    return " / ".join(_percent(getattr(own, name)) if own else "–" for name in names)


def with_interval(value: Number | None) -> str:
    """`91 (89-92)`."""
    if value is None:
        return "–"
    return f"{100 * value.mean:.0f} ({100 * value.low:.0f}-{100 * value.high:.0f})"


def label(condition: ConditionRow) -> str:
    """What people call a row."""
    return LABELS.get(condition.name, condition.name)


def _percent(value: Number | None) -> str:
    return "–" if value is None else f"{100 * value.mean:.0f}"


def _costs(condition: ConditionRow) -> list[str]:
    known = known_costs(condition)
    forms = ("{:.2f}", "{:.0f}", "{:.1f} %")
    return [
        form.format(known[column.name]) if column.name in known else ""
        for form, column in zip(forms, COSTS, strict=True)
    ]
