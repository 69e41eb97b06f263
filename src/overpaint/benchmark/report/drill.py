"""Every case with its prompts, scores and pictures before and after; the worst failures first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from overpaint.benchmark.config import EDITS, UNEDITED
from overpaint.benchmark.report.failures import Worst, margin, right, worst_first
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.tablepage import scrolling
from overpaint.benchmark.report.thumbs import data_uri
from overpaint.benchmark.rows import CaseRow, ConditionRow, Result


def drill_down(found: Findings, pictures: int) -> Html | None:
    """All cases; the worst ``pictures`` of them with their pictures."""
    cases = worst_first(found)
    if not cases or not found.results:
        return None
    shown = [_case(found, worst, pictures=number < pictures) for number, worst in enumerate(cases)]
    return join(
        element("h2", "Case by case", id="cases"),
        element("p", _explained(found, len(cases), pictures), class_="note"),
        _filters(found),
        element("div", *shown, class_="cases"),
    )


def _explained(found: Findings, cases: int, pictures: int) -> str:
    text = (
        "The worst failures first: cases in the order of the lowest share of pictures that an "
        "editor got right (mean of efficacy, generality and specificity)."
    )
    if any(found.picture(result) for result in found.results):
        text += " Pictures with a red edge and a cross do not show what they should."
        if pictures < cases:
            text += f" The worst {pictures} of {cases} cases have their pictures here."
    sweeps = found.configuration.get("sweeps", ())
    if any(sweep["over"] == EDITS and not sweep["alone"] for sweep in sweeps):
        text += (
            " Each prompt stands here with what it shall show when its edit is alone. In a model "
            "that holds many, one that another edit is about was judged by what that edit says."
        )
    return text


def _filters(found: Findings) -> Html:
    kinds = dict.fromkeys(case.kind for case in found.cases)
    chosen = [("kind", "Kind", "all kinds", kinds)] if len(kinds) > 1 else []
    if len(found.editors) > 1:
        names = [editor.name for editor in found.editors]
        chosen.append(("method", "Method", "all methods", dict.fromkeys(names)))
    return element("form", *(_choice(*choice) for choice in chosen), class_="filters", hidden=True)


def _choice(name: str, label: str, everything: str, values: Any) -> Html:
    options = [element("option", value, value=value) for value in values]
    whole = element("option", everything, value="")
    return element("label", label, " ", element("select", whole, *options, name=name))


def _case(found: Findings, worst: Worst, *, pictures: bool) -> Html:
    case, conditions = worst.case, _columns(found, worst.case)
    head = element(
        "tr",
        element("th", "Prompt", scope="col"),
        *(_head(found, case, condition) for condition in conditions),
    )
    rows = [
        element(
            "tr",
            element("th", _asked(probe), scope="row"),
            *(_cell(found, case, probe, condition, pictures) for condition in conditions),
        )
        for probe in case.probes
    ]
    whole = element("table", element("thead", head), element("tbody", *rows), class_="pictures")
    percent = {name: round(100 * score) for name, score in worst.scores.items()}
    return element(
        "details",
        element("summary", *_summary(found, worst, pictures)),
        scrolling(whole, case.name),
        class_="case",
        data_kind=case.kind,
        data_scores=json.dumps(percent),
    )


def _summary(found: Findings, worst: Worst, pictures: bool) -> list[Html]:
    case = worst.case
    kind = element("span", case.kind, class_="tag")
    words = [
        element("span", element("b", case.name.replace(" -> ", " → ")), " ", kind, class_="name")
    ]
    if worst.probe is not None:
        prompt = f"“{worst.probe['prompt']}”"
        words.append(element("span", "worst at ", prompt, class_="why"))
    pair = _pair(found, worst) if pictures else []
    score = "not scored yet" if not worst.scores else f"{100 * worst.lowest:.0f}\u202f%"
    return [
        element("span", *pair, class_="pair"),
        element("span", *words, class_="words"),
        element("span", element("b", score), element("span", worst.editor), class_="score"),
    ]


def _pair(found: Findings, worst: Worst) -> list[Html]:
    """The lowest picture, and the same before the edit."""
    if worst.probe is None:
        return []
    place, part = worst.probe["place"], worst.probe["part"]
    after = found.seen.get((worst.editor, worst.case.name, place), ())
    kept = [result for result in after if found.picture(result)]
    if not kept:
        return []
    lowest = min(kept, key=lambda result: margin(result, part))
    before = found.seen.get((found.named("baseline") or "", worst.case.name, place), ())
    same = [result for result in before if result.key.seed == lowest.key.seed]
    shown = [(result, "") for result in same[:1] if found.picture(result)]
    return [_image(found, result, asked) for result, asked in (*shown, (lowest, part))]


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
    found: Findings, case: CaseRow, probe: Any, condition: ConditionRow, pictures: bool
) -> Html:
    results: Sequence[Result] = found.seen.get((condition.name, case.name, probe["place"]), ())
    editor = condition.method not in UNEDITED
    own = condition.name if editor else None
    if not results:
        return element("td", "–", data_method=own)
    part = probe["part"]
    kept = [result for result in results if pictures and found.picture(result)]
    images = [_image(found, result, part if editor else "") for result in kept]
    good, all_of = right(results, part), len(results)
    mean = sum(margin(result, part) for result in results) / all_of
    text = f"{good} of {all_of}"
    return element(
        "td",
        element("span", *images, class_="shots") if images else None,
        element("span", text, title=f"mean margin of the judge: {mean:+.3f}", class_="count"),
        data_method=own,
    )


def _image(found: Findings, result: Result, part: str) -> Html:
    """A picture; with a ``part``, one that is not as it should be there is marked."""
    path = found.picture(result)
    assert path is not None  # asked before
    wrong = bool(part) and margin(result, part) <= 0
    said = f"seed {result.key.seed}: new {result.new:.3f}, old {result.old:.3f}"
    image = element("img", src=data_uri(path), alt="wrong" if wrong else "", title=said)
    return element("span", image, class_="shot wrong" if wrong else "shot")
