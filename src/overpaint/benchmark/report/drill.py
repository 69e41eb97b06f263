"""Every case with its prompts, scores and pictures before and after; the worst failures first."""

from __future__ import annotations

import json

from overpaint.benchmark.config import EDITS
from overpaint.benchmark.report import neither
from overpaint.benchmark.report.casetable import case_table
from overpaint.benchmark.report.failures import Worst, margin, worst_first
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.shots import shot


def drill_down(found: Findings, pictures: int) -> Html | None:
    """All cases; the worst ``pictures`` of them with their pictures."""
    cases = worst_first(found)
    if not cases or not found.results:
        return None
    shown = [_case(found, worst, pictures=number < pictures) for number, worst in enumerate(cases)]
    return join(
        element("h2", "Case by case", id="cases"),
        element("p", _explained(found, "".join(shown), pictures), class_="note"),
        filters(found, methods=True),
        element("div", *shown, class_="cases"),
    )


def _explained(found: Findings, shown: str, pictures: int) -> str:
    cases = len(found.cases)
    text = (
        "The worst failures first: cases in the order of the lowest share of pictures that an "
        "editor got right (mean of efficacy, generality and specificity)."
    )
    if any(found.picture(result) for result in found.results):
        text += " Pictures with a red edge and a cross do not show what they should."
        if pictures < cases:
            text += f" The worst {pictures} of {cases} cases have their pictures here."
    if neither.MARK in shown:
        text += f" {neither.SAID}"
    sweeps = found.configuration.get("sweeps", ())
    if any(sweep["over"] == EDITS and not sweep["alone"] for sweep in sweeps):
        text += (
            " Each prompt stands here with what it shall show when its edit is alone. In a model "
            "that holds many, one that another edit is about was judged by what that edit says."
        )
    return text


def filters(found: Findings, *, methods: bool) -> Html:
    """What the list can be narrowed to: a kind of case, and a method where there are several."""
    kinds: dict[str, str | None] = {case.kind: None for case in found.cases}
    chosen = [("kind", "Kind", "all kinds", kinds)] if len(kinds) > 1 else []
    if methods and len(found.editors) > 1:
        names: dict[str, str | None] = {
            editor.name: _unscored(found, editor.name) for editor in found.editors
        }
        chosen.append(("method", "Method", "all methods", names))
    return element("form", *(_choice(*choice) for choice in chosen), class_="filters", hidden=True)


def _choice(name: str, label: str, everything: str, values: dict[str, str | None]) -> Html:
    options = [
        element("option", value, value=value, data_none=none) for value, none in values.items()
    ]
    whole = element("option", everything, value="")
    return element("label", label, " ", element("select", whole, *options, name=name))


def _unscored(found: Findings, *editors: str) -> str:
    """What is said of a case without a score: it is to come, or nobody edits it in this run."""
    return "not scored yet" if any(name in found.missing for name in editors) else "not edited"


def _case(found: Findings, worst: Worst, *, pictures: bool) -> Html:
    percent = {name: round(100 * score) for name, score in worst.scores.items()}
    return element(
        "details",
        element("summary", *_summary(found, worst, pictures)),
        case_table(found, worst.case, pictures=pictures),
        class_="case",
        data_kind=worst.case.kind,
        data_scores=json.dumps(percent),
    )


def _summary(found: Findings, worst: Worst, pictures: bool) -> list[Html]:
    why = None if worst.probe is None else f"worst at “{worst.probe['prompt']}”"
    pair = _pair(found, worst) if pictures else []
    score = f"{100 * worst.lowest:.0f}\u202f%"
    if not worst.scores:
        score = _unscored(found, *(editor.name for editor in found.editors))
    return summary(pair, worst.case.name, worst.case.kind, why, (score, worst.editor))


def summary(
    pair: list[Html], name: str, kind: str, why: str | None, score: tuple[str, str]
) -> list[Html]:
    """The line of a case: pictures, its name, what is said of it, a number and whose it is."""
    tag = element("span", kind, class_="tag")
    words = [element("span", element("b", name.replace(" -> ", " → ")), " ", tag, class_="name")]
    if why is not None:
        words.append(element("span", why, class_="why"))
    return [
        element("span", *pair, class_="pair"),
        element("span", *words, class_="words"),
        element("span", element("b", score[0]), element("span", score[1]), class_="score"),
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
    shown = [shot(found, result) for result in same[:1] if found.picture(result)]
    return [*shown, shot(found, lowest, part)]
