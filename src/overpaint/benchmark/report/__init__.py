"""``overpaint report``: a run as a page to read and as tables to use.

pandas, jinja2 and matplotlib come with ``overpaint[benchmark]``, so they are imported on use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from overpaint.errors import OutputError, PatchError
from overpaint.patching.atomic import write_whole

if TYPE_CHECKING:
    from overpaint.benchmark.report.data import RunData

__all__ = ["PAGE", "read_run", "write_report"]

PAGE = "report.html"
REQUIRED = ("pandas", "jinja2", "matplotlib.figure")


def read_run(folder: Path) -> RunData:
    """Read the run in ``folder`` into data frames.

    Args:
        folder: Folder of a run of ``overpaint bench``; the run may still be going on.

    Returns:
        The run as data frames, see :class:`overpaint.benchmark.report.data.RunData`.

    Raises:
        DataError: There is no run in the folder, or it has no results yet.
        OutputError: pandas, jinja2 or matplotlib is not installed.
    """
    _require()
    from overpaint.benchmark.report import data

    return data.read_run(folder)


def write_report(run: Path, folder: Path | None = None, *, pictures: int = 30) -> list[Path]:
    """Write a run as one HTML page and as CSV, Markdown and LaTeX tables.

    Args:
        run: Folder of a run of ``overpaint bench``; the run may still be going on.
        folder: Where to write, ``run/report`` by default; created if it does not exist.
        pictures: For how many cases the page contains the pictures, the worst first.

    Returns:
        The files written, the page first.

    Raises:
        DataError: There is no run in the folder, or it has no results yet.
        OutputError: A file cannot be written; or pandas, jinja2 or matplotlib is not installed.
    """
    data = read_run(run)
    from overpaint.benchmark.report.page import html_page
    from overpaint.benchmark.report.render import to_csv, to_latex, to_markdown
    from overpaint.benchmark.report.tables import long_frames, summary_tables

    tables = summary_tables(data)
    texts = {f"{t.name}.csv": to_csv(t) for t in tables if not t.name.startswith("measures")}
    texts |= {f"{n}.csv": frame.to_csv(index=False) for n, frame in long_frames(data).items()}
    texts |= {"tables.md": to_markdown(tables), "tables.tex": to_latex(tables)}
    folder = run / "report" if folder is None else folder
    return _write(folder, {PAGE: html_page(data, tables, texts, pictures), **texts})


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create the folder {str(folder)!r}: {error.strerror}; choose another with --out"
        ) from error
    try:
        for name, text in files.items():
            write_whole(folder / name, text.encode())
    except PatchError as error:
        raise OutputError(str(error)) from error
    return [folder / name for name in files]


def _require() -> None:
    for name in REQUIRED:
        try:
            import_module(name)
        except ImportError as error:
            raise OutputError(
                f"reports need {name.partition('.')[0]}, which is not installed: "
                "pip install 'overpaint[benchmark]'"
            ) from error
