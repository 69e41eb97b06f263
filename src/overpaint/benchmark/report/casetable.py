"""One case as a table: its prompts, and the pictures before, after each editor, by the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overpaint.benchmark.config import UNEDITED
from overpaint.benchmark.report.failures import margin, right
from overpaint.benchmark.report.markup import Html, element
from overpaint.benchmark.report.neither import Levels, comparable, levels
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.shots import shot
from overpaint.benchmark.report.tablepage import scrolling
from overpaint.benchmark.rows import CaseRow, ConditionRow, Result


def case_table(found: Findings, case: CaseRow, *, pictures: bool) -> Html:
    """All prompts of ``case`` under all conditions that have any of it."""
    conditions = _columns(found, case)
    head = element(
        "tr",
        element("th", "Prompt", scope="col"),
        *(_head(found, case, condition) for condition in conditions),
    )
    rows = [_row(found, case, probe, conditions, pictures) for probe in case.probes]
    whole = element("table", element("thead", head), element("tbody", *rows), class_="pictures")
    return scrolling(whole, case.name)


def _columns(found: Findings, case: CaseRow) -> list[ConditionRow]:
    """Before, after by each editor, oracle; not those that have nothing of the case."""
    order = {"baseline": 0, "oracle": 2, "rewrite": 2}
    places = [probe["place"] for probe in case.probes]
    known = [
        c for c in found.conditions if any((c.name, case.name, p) in found.seen for p in places)
    ]
    return sorted(known, key=lambda c: order.get(c.method, 1))


def _head(found: Findings, case: CaseRow, condition: ConditionRow) -> Html:
    score = found.score.get((condition.name, case.name))
    parts = [f"{100 * part:.0f}" for part in score[3:] if part is not None] if score else []
    name = "before" if condition.method == "baseline" else condition.name
    below = element("span", " · ".join(parts), class_="ci",
                    title="efficacy · generality · specificity, %")  # fmt: skip
    own = None if condition.method in UNEDITED else condition.name
    return element("th", name, below, scope="col", data_method=own)


def _row(
    found: Findings, case: CaseRow, probe: Any, conditions: Sequence[ConditionRow], pictures: bool
) -> Html:
    level = levels(found, case, probe)
    cells = []
    for condition in conditions:
        results = found.seen.get((condition.name, case.name, probe["place"]), ())
        own = level if comparable(found, condition) else None
        cells.append(_cell(found, condition, results, probe["part"], own, pictures))
    return element("tr", element("th", _asked(probe), scope="row"), *cells)


def _asked(probe: Any) -> list[Html]:
    new, old = probe.get("new", ""), probe.get("old", "")
    wanted, other = (old, new) if probe["part"] == "specificity" else (new, old)
    return [
        element("span", probe["part"], class_="tag"),
        element("span", f"“{probe['prompt']}”", class_="prompt"),
        element("span", "shall show ", element("i", wanted), ", not ", element("i", other),
                class_="why"),
    ]  # fmt: skip


def _cell(
    found: Findings,
    condition: ConditionRow,
    results: Sequence[Result],
    part: str,
    level: Levels | None,
    pictures: bool,
) -> Html:
    editor = condition.method not in UNEDITED
    own = condition.name if editor else None
    if not results:
        return element("td", "–", data_method=own)
    kept = [result for result in results if pictures and found.picture(result)]
    images = [shot(found, result, part if editor else "", level) for result in kept]
    good, all_of = right(results, part), len(results)
    mean = sum(margin(result, part) for result in results) / all_of
    unclear = sum(margin(r, part) > 0 and level.neither(r) for r in results) if level else 0
    text = f"{good} of {all_of}" + (f", {unclear} neither?" if editor and unclear else "")
    return element(
        "td",
        element("span", *images, class_="shots") if images else None,
        element("span", text, title=f"mean margin of the judge: {mean:+.3f}", class_="count"),
        data_method=own,
    )
