"""Cells and lines of Markdown tables: how a number, a row and a heading are written."""

from __future__ import annotations

from overpaint.benchmark.report.data import Score
from overpaint.benchmark.report.formatting import SCORE
from overpaint.errors import DataError

EXPLAINED = {
    "oracle": "oracle: asked for the target",
    "rewritten prompt": "words replaced in the prompt",
}


def explained(label: str) -> str:
    """A condition's label, with what it means where readers have no legend."""
    return EXPLAINED.get(label, label)


def head(*cells: str) -> str:
    """The first two lines of a table."""
    return f"{line(*cells)}\n{'|---' * len(cells)}|"


def line(*cells: str) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"


def stressed(cell: str) -> str:
    """`98 / 86 / **91**` of `98 / 86 / 91`: the last of several stands out."""
    others, slash, last = cell.rpartition(" / ")
    return f"{others}{slash}**{last}**" if slash else cell


def deviating(score: Score | None, seeds: object) -> str:
    """`91.2 ± 0.4`; of one seed `91.2`."""
    if score is None:
        return "–"
    sd = "" if seeds == 1 else f" ± {100 * score.sd:.1f}"
    return f"{100 * score.value:.1f}{sd}"


def columned(name: str) -> str:
    """A score as it heads a column."""
    if name not in SCORE:
        raise DataError(f"expected a score out of {', '.join(SCORE)}, got {name!r}")
    return SCORE[name].label
