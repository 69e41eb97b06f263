"""Which cases went worst, and where in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.rows import CaseRow, Result


@dataclass(frozen=True)
class Worst:
    """A case with what each editor reached in it, in [0, 1], and its lowest picture."""

    case: CaseRow
    scores: dict[str, float]
    editor: str = ""
    probe: Any = None

    @property
    def lowest(self) -> float:
        """What the worst editor reached; 2 where no editor has been scored yet."""
        return min(self.scores.values(), default=2.0)


def margin(result: Result, part: str) -> float:
    """How much nearer the picture is to what it should show than to what it should not."""
    return result.old - result.new if part == "specificity" else result.new - result.old


def right(results: Sequence[Result], part: str) -> int:
    """How many of the pictures show what they should."""
    return sum(margin(result, part) > 0 for result in results)


def worst_first(found: Findings) -> list[Worst]:
    """All cases, those first in which an editor reached least.

    What an editor reaches in a case is the mean of its efficacy, generality and specificity there.
    """
    return sorted((_judged(found, case) for case in found.cases), key=lambda worst: worst.lowest)


def _judged(found: Findings, case: CaseRow) -> Worst:
    scores = {}
    for editor in found.editors:
        score = found.score.get((editor.name, case.name))
        parts = [part for part in score[3:] if part is not None] if score else []
        if parts:
            scores[editor.name] = mean(parts)
    if not scores:
        return Worst(case, {})
    editor = min(scores, key=lambda name: scores[name])
    return Worst(
        case, scores, editor, min(case.probes, key=lambda p: _lowest(found, case, editor, p))
    )


def _lowest(found: Findings, case: CaseRow, editor: str, probe: Any) -> float:
    """The share of right pictures, then the lowest margin."""
    results = found.seen.get((editor, case.name, probe["place"]), ())
    if not results:
        return 2.0
    share = right(results, probe["part"]) / len(results)
    return share + 1e-3 * min(margin(result, probe["part"]) for result in results)
