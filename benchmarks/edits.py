"""Efficacy, generality, specificity and F1 of editing Toybox: ReFACT's Table 1 in the small.

    python benchmarks/edits.py --split validation
    python benchmarks/edits.py --split test --json edits.json
    python benchmarks/edits.py --methods refact --refact covariance_weight=0.5 roles.layer=7

Goes on where it was stopped: what the judge saw of every picture is kept in the --cache file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import CACHE, bar, configured, console, percent
from rich.table import Table

from overpaint.benchmark.paint import Studio, paint, studio
from overpaint.benchmark.plan import UNEDITED, Condition, wants
from overpaint.benchmark.score import Reader, Summary, summarise
from overpaint.methods.common import settings
from overpaint.methods.registry import METHODS
from overpaint.models.clip import load_clip
from overpaint.models.load import load
from overpaint.toybox.cases import EDIT_KINDS
from overpaint.toybox.cases import load as load_cases
from overpaint.types import Case

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    # Chosen on the validation cases, one setting for all kinds.
    **{("refact", kind): {"layer": 7, "covariance_weight": 0.8} for kind in EDIT_KINDS},
    # Roles and appearances share no words with their target (ReFACT, appendix G.2).
    ("time", "roles"): {"end_only": True},
    ("time", "appearances"): {"end_only": True},
}


def condition(row: str, case: Case, flags: argparse.Namespace) -> Condition:
    """The state of the model that a row of the table asks about."""
    if row in ("baseline", "oracle"):
        return UNEDITED
    words = getattr(flags, row)
    config = configured(METHODS[row].config, words, case.kind, **DEFAULTS.get((row, case.kind), {}))
    return Condition(row, (case.edit,), config)


def run(room: Studio, cases: Sequence[Case], flags: argparse.Namespace) -> dict[str, Any]:
    """Paint what is missing, then score: row -> kind -> Summary, and the cases one by one."""
    seeds = range(flags.seeds)
    plan = {row: [(case, condition(row, case, flags)) for case in cases] for row in flags.methods}
    wanted = [
        want
        for row, pairs in plan.items()
        for case, state in pairs
        for want in wants(case, state, seeds, oracle=row == "oracle")
    ]
    start = time.perf_counter()
    with bar("edits") as progress:
        new = paint(room, wanted, progress)
    took = time.perf_counter() - start
    console.print(f"{new} new pictures in {took:.0f} s, {len(room.cache)} in the cache")
    reader = Reader(room.judge, room.cache)
    result: dict[str, Any] = {"rows": {}, "cases": []}
    for row, pairs in plan.items():
        scored = [
            (case, reader.outcome(case, state, seeds, oracle=row == "oracle"))
            for case, state in pairs
        ]
        kinds = {kind: [o for c, o in scored if c.kind == kind] for kind in flags.kinds}
        kinds["all"] = [o for _, o in scored]
        result["rows"][row] = {kind: summarise(o) for kind, o in kinds.items() if o}
        result["cases"] += [
            {"method": row, "kind": c.kind, "case": c.name, **{p: o[p].mean().item() for p in o}}
            for c, o in scored
        ]
    result["settings"] = {
        f"{row} {kind}": settings(condition(row, case, flags).config)
        for row in flags.methods
        if row in METHODS
        for kind, case in {c.kind: c for c in cases}.items()
    }
    return result


def show(rows: dict[str, dict[str, Summary]], kinds: Sequence[str], title: str) -> None:
    """One table; best F1 among the editing methods is green."""
    table = Table(title=title)
    for name in ("", "method", "efficacy", "generality", "specificity", "F1"):
        table.add_column(name)
    for kind in [*kinds, "all"] if len(kinds) > 1 else kinds:
        f1 = {row: rows[row][kind].f1.mean for row in rows if row in METHODS and kind in rows[row]}
        for row in rows:
            if kind not in rows[row]:
                continue
            s = rows[row][kind]
            best = "green" if f1 and f1.get(row) == max(f1.values()) else ""
            numbers = [percent(n) for n in (s.efficacy, s.generality, s.specificity)]
            table.add_row(kind, row, *numbers, percent(s.f1, best))
        table.add_section()
    console.print(table)
    console.print("[dim]mean % ± deviation over seeds (95 % bootstrap interval over cases)[/]")


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", default="validation", choices=["validation", "test"])
    parser.add_argument("--kinds", nargs="+", default=list(EDIT_KINDS), choices=EDIT_KINDS)
    rows = ["baseline", "oracle", *METHODS]
    both = ["baseline", "oracle", "time", "refact"]
    parser.add_argument("--methods", nargs="+", default=both, choices=rows)
    parser.add_argument("--seeds", type=int, default=8, help="pictures per prompt")
    parser.add_argument("--limit", type=int, help="cases per kind")
    for name in METHODS:
        parser.add_argument(f"--{name}", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--steps", type=int, help="of the sampler")
    parser.add_argument("--batch", type=int, help="pictures at once")
    parser.add_argument("--cache", default=CACHE, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    parser.add_argument("--worst", type=int, default=0, help="show so many worst cases per method")
    flags = parser.parse_args()

    cases = [c for kind in flags.kinds for c in load_cases(kind, flags.split)[: flags.limit]]
    room = studio(
        load("toybox"), load_clip("toybox-judge"), flags.cache, steps=flags.steps, batch=flags.batch
    )
    result = run(room, cases, flags)
    show(result["rows"], flags.kinds, f"Toybox, {flags.split} cases, {flags.seeds} seeds")
    for row in flags.methods if flags.worst else ():
        own = [c for c in result["cases"] if c["method"] == row]
        for c in sorted(own, key=lambda c: c["generality"] * c["specificity"])[: flags.worst]:
            numbers = " ".join(f"{p} {c[p]:.2f}" for p in ("efficacy", "generality", "specificity"))
            console.print(f"{row}: {c['case']}: {numbers}")
    if flags.json:
        result["rows"] = {
            row: {kind: asdict(s) for kind, s in kinds.items()}
            for row, kinds in result["rows"].items()
        }
        flags.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
