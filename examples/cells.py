"""Cells and lines of Markdown tables: how a number, a row and a heading are written."""

from __future__ import annotations

from overpaint.benchmark.report.paper import as_number
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


def head(*cells: str) -> str:
    """The first two lines of a table."""
    return f"{line(*cells)}\n{'|---' * len(cells)}|"


def line(*cells: str) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"


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
