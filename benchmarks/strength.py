"""How well text alone tells what strength an edit needs, and what choosing it by text gains.

    python benchmarks/strength.py
    python benchmarks/strength.py --cases 2 --seeds 1 --steps 8 --test-cases 2
    python benchmarks/strength.py --cases 4 --seeds 1 --steps 8 --test-cases 0 --plot strength.png

First a sweep of the strength (λ of TIME, the length of ReFACT's δ) over validation cases: for every
case and strength, reach and hold from text against generality and specificity from pictures, as
Spearman's rank correlation over all of them and within each case; and what the F1 would be of the
strength that text, pictures or one fixed value picks. Then the test cases, with the method's fixed
strength and with the chosen one. Goes on where it was stopped: runs are kept in --folder, and
pictures in --share, where other runs find them too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from common import bar, console, keep
from rich.table import Table

from overpaint.benchmark.config import BenchConfig, Sweep
from overpaint.benchmark.patches import patches
from overpaint.benchmark.run import plan_of, run
from overpaint.benchmark.score import Number, Summary, per_case, summaries
from overpaint.localize.figures import WIDE
from overpaint.methods.chosen import chosen_settings
from overpaint.methods.registry import METHODS
from overpaint.methods.strength import Gauge, Sway
from overpaint.metrics.rank import spearman
from overpaint.models.clip import Clip
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.pictures import save_picture
from overpaint.plotting import as_image, new_figure
from overpaint.toybox.cases import TIMED_AND_ROAD

SWEEPS = {
    "time": Sweep("time", "lam", (0.01, 0.1, 1, 10, 50, 250, 1000)),
    "refact": Sweep("refact", "scale", (0.25, 0.5, 0.75, 1, 1.5, 2.25, 3.5)),
    "uce": Sweep("uce", "lam", (0.01, 0.1, 0.5, 1, 10, 100, 1000), settings={"onward": True}),
    "diffquickfix": Sweep("diffquickfix", "lam", (0.001, 0.01, 0.1, 1, 10, 100)),
}
FIXED = {"uce": 0.5, "diffquickfix": 0.01} | {
    method: chosen_settings("toybox", method)[SWEEPS[method].over] for method in ("time", "refact")
}
"""What the benchmarks give each method on Toybox: the paper's, or chosen on validation pictures."""


@dataclass(frozen=True)
class Point:
    """A case at a strength: what text says, and what the pictures show."""

    case: str
    value: float
    sway: Sway
    generality: float
    specificity: float

    @property
    def f1(self) -> float:
        """Geometric mean of generality and specificity."""
        return math.sqrt(self.generality * self.specificity)


LINES: tuple[tuple[str, str, str, Callable[[Point], float]], ...] = (
    ("generality", "-", "C0", lambda p: p.generality),
    ("reach", "--", "C0", lambda p: p.sway.reach),
    ("specificity", "-", "C1", lambda p: p.specificity),
    ("hold", "--", "C1", lambda p: p.sway.hold),
    ("F1", "-", "C2", lambda p: p.f1),
    ("reach and hold", "--", "C2", lambda p: p.sway.both),
)


def sweep(
    flags: argparse.Namespace, method: str, model: Model, judge: Clip, gauges: dict[str, Gauge]
) -> list[Point]:
    """Every validation case at every strength of ``method``."""
    config = BenchConfig(
        data=tuple(f"toybox-{kind}-validation" for kind in TIMED_AND_ROAD),
        methods=(),
        sweeps=(SWEEPS[method],),
        seeds=flags.seeds,
        steps=flags.steps,
        limit=flags.cases,
        keep=0,
    )
    folder = flags.folder / f"sweep-{method}"
    with bar(f"{method}, pictures") as progress:
        done = run(config, folder, model=model, judge=judge, progress=progress, share=flags.share)
    with done.store() as store:
        values = {row.name: row.x or 0.0 for row in store.conditions()}
        scores = {(s.condition, s.case): s for s in per_case(store)}
    plan = plan_of(config)
    asked = {ask.state.key: [] for ask in plan.asks}
    for ask in plan.asks:
        if (ask.condition, ask.case) not in asked[ask.state.key]:
            asked[ask.state.key].append((ask.condition, ask.case))
    points = []
    with bar(f"{method}, text") as progress:
        made = patches(model, plan.states, asked)
        for number, one in enumerate(made):
            (edit,) = one.state.steps[0].edits
            text = repr(edit)
            gauges.setdefault(text, Gauge(model, [edit]))
            sway = gauges[text](one.patch.deltas if one.patch else ())
            for condition, case in asked[one.state.key]:
                s = scores[condition, case]
                points.append(
                    Point(case, values[condition], sway, s.generality or 0.0, s.specificity or 0.0)
                )
            progress(number + 1, len(plan.states), "strengths")
    return points


def agreement(points: Sequence[Point], fixed: float) -> dict[str, float]:
    """Rank correlations of text with pictures, and the F1 of three ways to pick a strength."""

    def alike(one: Sequence[float], other: Sequence[float]) -> float:
        return spearman(torch.tensor(one), torch.tensor(other))

    by_case: dict[str, list[Point]] = {}
    for point in points:
        by_case.setdefault(point.case, []).append(point)
    inside = [alike([p.sway.both for p in own], [p.f1 for p in own]) for own in by_case.values()]
    picked = [max(own, key=lambda p: p.sway.both).f1 for own in by_case.values()]
    return {
        "reach ~ generality": alike([p.sway.reach for p in points], [p.generality for p in points]),
        "hold ~ specificity": alike([p.sway.hold for p in points], [p.specificity for p in points]),
        "both ~ F1": alike([p.sway.both for p in points], [p.f1 for p in points]),
        "both ~ F1 in a case": fmean([v for v in inside if v == v] or [math.nan]),
        "F1 fixed": fmean(p.f1 for p in points if p.value == fixed),
        "F1 by text": fmean(picked),
        "F1 by pictures": fmean(max(p.f1 for p in own) for own in by_case.values()),
    }


def draw(points: dict[str, list[Point]], path: Path) -> None:
    """Means over cases against the strength: pictures full, text dashed; one panel a method."""
    figure, _ = new_figure(WIDE, 0.4 + 2.3 * len(points), len(points))
    for place, (method, own) in zip(figure.axes, points.items(), strict=True):
        values = sorted({p.value for p in own})
        for name, style, colour, of in LINES:
            means = [fmean(of(p) for p in own if p.value == v) for v in values]
            place.plot(values, means, style, color=colour, marker="o", ms=3, lw=1.2, label=name)
        place.axvline(FIXED[method], color="0.7", lw=0.8, zorder=0, label="fixed strength")
        place.set_xscale("log")
        place.set_xticks(values, [f"{value:g}" for value in values])
        place.minorticks_off()
        place.set_ylim(0, 1.03)
        place.set_xlabel(f"{METHODS[method].label}: {SWEEPS[method].over}")
    names = figure.axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    save_picture(as_image(figure), path)


def compare(flags: argparse.Namespace, model: Model, judge: Clip) -> dict[str, dict[str, Summary]]:
    """Method -> fixed and automatic strength -> numbers over all test cases."""
    found: dict[str, dict[str, Summary]] = {method: {} for method in flags.methods}
    for name in ("fixed", "auto"):
        auto = {method: dict(SWEEPS[method].settings) for method in flags.methods}
        for settings in auto.values() if name == "auto" else ():
            settings["strength"] = "auto"
        config = BenchConfig(
            methods=tuple(flags.methods),
            settings=auto,
            seeds=flags.seeds,
            steps=flags.steps,
            limit=flags.test_cases,
            keep=0,
        )
        with bar(f"test, {name}") as progress:
            folder = flags.folder / f"test-{name}"
            done = run(
                config, folder, model=model, judge=judge, progress=progress, share=flags.share
            )
        with done.store() as store:
            for (method, kind), summary in summaries(store).items():
                if kind == "all":
                    found[method][name] = summary
    return found


def percent(number: Number | None) -> str:
    """``"93.4 (89-97)"``: mean and 95 % interval over cases."""
    if number is None:
        return "-"
    return f"{100 * number.mean:.1f} ({100 * number.low:.0f}-{100 * number.high:.0f})"


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["time", "refact"], choices=list(SWEEPS))
    parser.add_argument("--cases", type=int, help="validation cases of each kind")
    parser.add_argument("--test-cases", type=int, help="test cases of each kind; 0 for no test")
    parser.add_argument("--seeds", type=int, default=4, help="pictures per prompt")
    parser.add_argument("--steps", type=int, help="of the sampler")
    parser.add_argument("--folder", type=Path, default=Path("bench/strength"))
    parser.add_argument("--share", type=Path, default=Path("bench/shared"))
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the sweeps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()

    model, judge = load("toybox"), load_clip("toybox-judge")
    gauges: dict[str, Gauge] = {}
    points = {method: sweep(flags, method, model, judge, gauges) for method in flags.methods}
    result: dict[str, Any] = {"validation": {m: agreement(p, FIXED[m]) for m, p in points.items()}}
    table = Table(title="Text against pictures, validation cases")
    for name in ("", *flags.methods):
        table.add_column(name, justify="right" if name else "left")
    for row in next(iter(result["validation"].values())):
        table.add_row(row, *(f"{result['validation'][m][row]:.2f}" for m in flags.methods))
    console.print(table)
    if flags.plot:
        draw(points, flags.plot)
        console.print(f"wrote {flags.plot}")
    if flags.test_cases != 0:
        found = compare(flags, model, judge)
        table = Table(title="Test cases, %: fixed and chosen strength")
        for name in ("method", "strength", "efficacy", "generality", "specificity", "F1"):
            table.add_column(name)
        for method, rows in found.items():
            for name, s in rows.items():
                numbers = (s.efficacy, s.generality, s.specificity, s.f1)
                table.add_row(method, name, *(percent(n) for n in numbers))
        console.print(table)
        result["test"] = {
            method: {name: asdict(summary) for name, summary in rows.items()}
            for method, rows in found.items()
        }
    if flags.json:
        keep(flags.json, result)


if __name__ == "__main__":
    main()
