"""Pictures that count as right and yet seem to show neither what was nor what is wanted.

The judge is only asked which of two captions is nearer, so a picture of something else counts for
one of them. What pictures of the same prompt reach that do show the one or the other tells these
apart, from stored similarities alone. It changes no score.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from overpaint.benchmark.config import EDITS
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.rows import CaseRow, ConditionRow, Result

MARK = "neither?"

SAID = (
    "“neither?” marks pictures that count as right and yet resemble neither caption: both of the "
    "judge's similarities are low beside those of the unedited model's and the oracle's pictures "
    "of the same prompt. It changes no score."
)


class Levels(NamedTuple):
    """The similarities below which a picture of a prompt shows neither ``new`` nor ``old``."""

    new: float
    old: float

    def neither(self, result: Result) -> bool:
        """Whether both are below."""
        return result.new < self.new and result.old < self.old


def levels(found: Findings, case: CaseRow, probe: Any) -> Levels | None:
    """Those of one prompt; None where the pictures to hold it against are not there or overlap.

    Of a caption, the middle between the lowest similarity with it of pictures that show what it
    says and the highest of those that do not.
    The unedited model's pictures show the old and the oracle's the new. Of a prompt that is to
    stay as it is, nobody shows the new: its level is that of the old.
    """
    before, asked = (_results(found, method, case, probe) for method in ("baseline", "oracle"))
    if probe["part"] == "specificity":
        level = _between((r.old for r in before), (r.new for r in before))
        return None if level is None else Levels(level, level)
    new = _between((r.new for r in asked), (r.new for r in before))
    old = _between((r.old for r in before), (r.old for r in asked))
    return None if new is None or old is None else Levels(new, old)


def comparable(found: Findings, condition: ConditionRow) -> bool:
    """Whether its pictures were judged by the captions of the reference pictures.

    Not those of models that hold many edits, where another edit may say what a prompt shows.
    """
    return not any(
        sweep["over"] == EDITS
        and not sweep["alone"]
        and condition.series == (sweep.get("series") or sweep["method"])
        for sweep in found.configuration.get("sweeps", ())
    )


def _results(found: Findings, method: str, case: CaseRow, probe: Any) -> list[Result]:
    name = found.named(method) or ""
    return list(found.seen.get((name, case.name, probe["place"]), ()))


def _between(shown: Iterable[float], others: Iterable[float]) -> float | None:
    lowest, highest = min(shown, default=None), max(others, default=None)
    if lowest is None or highest is None or lowest <= highest:
        return None
    return (lowest + highest) / 2
