"""Every editor on every kind of case, one edit at a time, as one table.

    python benchmarks/methods.py                       # 8 seeds: hours of one core
    python benchmarks/methods.py --seeds 1 --methods refact time uce
    python benchmarks/methods.py --limit 2 --seeds 2 --out bench/look

The same run as `overpaint bench --preset methods --model toybox`; stopped at any moment, the same
command goes on, and one with more seeds goes on from those that are there. The table is README's.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from common import bar, console
from rich.markup import escape
from rich.table import Table

from overpaint.benchmark.config import parse
from overpaint.benchmark.presets import preset
from overpaint.benchmark.report import read_run
from overpaint.benchmark.report.tables import METHODS_LEGEND, methods_by_kind
from overpaint.benchmark.run import run
from overpaint.errors import OverpaintError


def show(folder: Path) -> None:
    """Print what the run in ``folder`` found."""
    found = methods_by_kind(read_run(folder))
    table = Table(*(escape(name) for name in found.columns), box=None)
    for cells in found.itertuples(index=False):
        table.add_row(*(escape(cell.replace(" / ", "/")) for cell in cells))
    console.print(table)
    console.print(METHODS_LEGEND)


def main() -> int:
    """Read the flags, paint what is missing, print."""
    base = preset("methods", "toybox")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8, help="of every prompt")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=list(base.methods), help="which editors")
    parser.add_argument("--limit", type=int, help="cases per kind (default: all)")
    parser.add_argument("--out", type=Path, default=Path("bench/methods"), help="the run")
    parser.add_argument("--share", type=Path, default=Path("bench/shared"))
    flags = parser.parse_args()
    wanted = {k: getattr(flags, k) for k in ("seeds", "steps", "methods", "limit")}
    command = shlex.join(["python", *sys.argv])
    try:
        config = parse({k: v for k, v in wanted.items() if v is not None}, base)
        with bar("painting") as progress:
            notes = {"command": command}
            run(config, flags.out, notes=notes, progress=progress, share=flags.share)
        show(flags.out)
    except OverpaintError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
