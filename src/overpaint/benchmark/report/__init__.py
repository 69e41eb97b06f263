"""``overpaint report``: a run as a page to read and as tables to use."""

from __future__ import annotations

from pathlib import Path

from overpaint.benchmark.report import compare, paper, tables
from overpaint.benchmark.report.measures import measures
from overpaint.benchmark.report.page import page
from overpaint.benchmark.report.read import Findings, read
from overpaint.benchmark.report.table import Table
from overpaint.benchmark.report.text import records_to_csv, to_csv, to_latex, to_markdown
from overpaint.errors import OutputError
from overpaint.patching.atomic import write_whole

__all__ = ["PAGE", "Findings", "read", "report"]

PAGE = "report.html"
PICTURES = 30  # cases with their pictures in the page


def report(run: Path, folder: Path | None = None, *, pictures: int = PICTURES) -> list[Path]:
    """Write the report of the run in the folder ``run``; the files, the page first.

    ``folder`` is made if need be (default: ``run/report``). The page has the pictures of the
    worst ``pictures`` cases. A run that is still going on may be reported, and the page says so.
    DataError for something that is no run or has no results; OutputError where the files cannot
    be written or matplotlib is missing.
    """
    found = read(run)
    folder = run / "report" if folder is None else folder
    made = _tables(found)
    shown = [table for table in made if not table.name.startswith("measures")]
    texts = {f"{table.name}.csv": to_csv(table) for table in shown}
    texts |= {"measures.csv": records_to_csv(found.measures)} if found.measures else {}
    texts |= {"cases.csv": records_to_csv(found.scores)} if found.scores else {}
    texts |= {"tables.md": to_markdown(made), "tables.tex": to_latex(made)}
    files = {PAGE: page(found, made, texts, pictures), **texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {str(folder)!r}: {error.strerror}; choose another with --out"
        ) from error
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in files]


def _tables(found: Findings) -> list[Table]:
    own = [tables.results(found), compare.comparison(found), *measures(found)]
    rest = tables.costs(found), paper.elsewhere(found, tables.SCORES)
    return [table for table in (*own, *rest) if table is not None]
