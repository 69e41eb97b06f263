"""Pictures of a case, with a mark on those that are not what they should be."""

from __future__ import annotations

from overpaint.benchmark.report.failures import margin
from overpaint.benchmark.report.markup import Html, element
from overpaint.benchmark.report.neither import Levels
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.thumbs import data_uri
from overpaint.benchmark.rows import Result


def shot(found: Findings, result: Result, part: str = "", level: Levels | None = None) -> Html:
    """A kept picture; with a ``part``, one that is not as it should be there is marked.

    So is, with a ``level``, one that counts as right and shows neither.
    """
    path = found.picture(result)
    assert path is not None  # asked before
    wrong = bool(part) and margin(result, part) <= 0
    neither = bool(part) and not wrong and level is not None and level.neither(result)
    mark = "wrong" if wrong else "neither" if neither else ""
    said = f"seed {result.key.seed}: new {result.new:.3f}, old {result.old:.3f}"
    image = element("img", src=data_uri(path), alt=f"{mark}?" if neither else mark, title=said)
    return element("span", image, class_=f"shot {mark}".strip())
