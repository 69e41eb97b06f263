"""``overpaint report``: what a benchmark found, as a page and as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overpaint.cli import arguments, options, show


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run of [cyan]overpaint bench[/].")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Where to write.", show_default="RUN/report"
        ),
    ] = None,
    pictures: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Cases, worst first, with pictures in the page."),
    ] = 30,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the curves alone, as a PNG picture, and no report.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a run as one page to read (HTML, no network) and as CSV, Markdown and LaTeX tables.

    A run that is still going on may be reported too; the page says what is missing.

    \b
      [cyan]overpaint report runs/table1[/]
      [cyan]overpaint report runs/table1 -o report --pictures 100[/]
      [cyan]overpaint report runs/many --curves curves.png[/]
    """
    from overpaint.benchmark.report import read_run, write_report

    if curves:
        data = read_run(run)
        from overpaint.benchmark.report.plots import curves_figure
        from overpaint.pictures import save_picture

        curves = arguments.output_file(curves)
        save_picture(curves_figure(data), curves)
        if json:
            show.data({"files": [str(curves)]})
        else:
            show.line(f"wrote {curves}")
        return
    with show.working("reading the run", json):
        files = write_report(run, out, pictures=pictures)
    if json:
        show.data({"files": [str(file) for file in files]})
    else:
        show.line(f"wrote {files[0]}")
        show.line("and " + ", ".join(file.name for file in files[1:]))
