"""LocoGen's windows of layers: which moves each kind of attribute most, and what each paints.

A window that moves nothing is no failure, so nothing is marked as wrong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

from overpaint.benchmark.finish import by_old
from overpaint.benchmark.report.drill import filters, summary
from overpaint.benchmark.report.markup import Html, element, join
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.shots import shot
from overpaint.benchmark.rows import CaseRow, ConditionRow, Result

SAID = (
    "What each window of layers paints for the prompt when it is given the target prompt, and the "
    "CLIP score by which windows are compared: of a fact with the target prompt, where more is "
    "better; of a style or an object with the prompt itself, where less is."
)


@dataclass(frozen=True)
class Best:
    """The window that moves the CLIP score furthest where it should go, of some cases of a kind.

    ``unedited`` is the score without a window; ``moved`` whether the window's is better.
    """

    window: str
    score: float
    unedited: float | None
    moved: bool


def is_windows(found: Findings) -> bool:
    """Whether the run compares windows of layers."""
    return bool(found.configuration.get("window"))


def best_window(found: Findings, kind: str, cases: Iterable[CaseRow]) -> Best | None:
    """The best window for ``cases``, all of ``kind``; None where none has been painted."""
    names = [case.name for case in cases]
    scores = {
        row.name: value
        for row in found.conditions
        if (value := _score(_seen(found, row, names), kind)) is not None
    }
    windows = [row.name for row in found.editors if row.name in scores]
    if not windows:
        return None
    sign = -1 if by_old(kind) else 1
    best = max(windows, key=lambda name: sign * scores[name])
    plain = scores.get(found.named("baseline") or "")
    moved = plain is None or sign * (scores[best] - plain) > 0
    return Best(best, scores[best], plain, moved)


def window_cases(found: Findings, pictures: int) -> Html | None:
    """Every case with the pictures of all windows, ``pictures`` of them with their pictures."""
    if not found.cases or not found.results:
        return None
    shown = [_case(found, case, number < pictures) for number, case in enumerate(found.cases)]
    more = f" The first {pictures} of {len(shown)} cases have their pictures here."
    return join(
        element("h2", "Window by window", id="cases"),
        element("p", SAID, more if pictures < len(shown) else None, class_="note"),
        filters(found, methods=False),
        element("div", *shown, class_="cases"),
    )


def _case(found: Findings, case: CaseRow, pictures: bool) -> Html:
    best = best_window(found, case.kind, [case])
    strips, pair = [], []
    for row in found.conditions:
        results = _seen(found, row, [case.name])
        shots = [shot(found, r) for r in results if pictures and found.picture(r)]
        own = best is not None and best.moved and row.name == best.window
        if row.method == "baseline" or own:
            pair += shots[:1]
        strips.append(_strip(row, _score(results, case.kind), shots, own))
    score = (best.window, f"best: {best.score:.1f}") if best else ("not painted yet", "")
    if best and not best.moved:
        score = ("no window", "is better than none")
    head = element("summary", *summary(pair, case.name, case.kind, None, score))
    return element(
        "details",
        head,
        element("div", *strips, class_="strips"),
        class_="case",
        data_kind=case.kind,
        data_scores="{}",
    )


def _strip(row: ConditionRow, score: float | None, shots: list[Html], best: bool) -> Html:
    name = "unedited" if row.method == "baseline" else row.name
    number = "–" if score is None else f"{score:.1f}"
    return element(
        "figure",
        element("span", *shots, class_="shots") if shots else None,
        element("figcaption", element("b", name) if best else name, element("span", number)),
    )


def _seen(found: Findings, row: ConditionRow, names: Iterable[str]) -> list[Result]:
    return [r for name in names for r in found.seen.get((row.name, name, "source"), ())]


def _score(results: Iterable[Result], kind: str) -> float | None:
    """Mean CLIP score, as :mod:`overpaint.benchmark.finish` has it."""
    values = [max(0.0, 100 * (r.old if by_old(kind) else r.new)) for r in results]
    return mean(values) if values else None
