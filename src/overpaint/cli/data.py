"""``overpaint data``: the data sets a benchmark knows, and fetching those that are published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import options, show

if TYPE_CHECKING:
    from overpaint.benchmark.datasets import DataSet

app = typer.Typer(help="List the data sets; fetch published ones.")


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List the data sets; fetch published ones."""
    if context.invoked_subcommand is None:
        list_sets()


@app.command("list")
def list_sets(json: options.Json = False) -> None:
    """List the data sets, how many entries each has, and where it is.

    \b
      [cyan]overpaint data list[/]
    """
    from overpaint.benchmark.datasets import DATASETS

    columns = ("name", "entries", "what it holds", "where")
    rows = [(s.name, s.entries, s.summary, _where(s)) for s in DATASETS.values()]
    if json:
        show.data([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        show.table("data sets", columns, rows)


@app.command("get")
def get(
    names: Annotated[
        list[str],
        typer.Argument(help="Names from [cyan]overpaint data list[/].", metavar="NAME"),
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Keep the files here, not in the cache."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="PLACE", help="A folder, or its address, that holds the files."
        ),
    ] = "",
    json: options.Json = False,
) -> None:
    """Fetch published data sets from their homes, once, and check them by their checksums.

    \b
      [cyan]overpaint data get timed road[/]
      [cyan]overpaint data get coco --to ./data[/]
      [cyan]overpaint data get timed --from ./mirror[/]       without a network
    """
    from overpaint.benchmark.datasets import find
    from overpaint.benchmark.datasets import get as fetch

    for name in names:
        find(name)  # no long work before a misspelt name is found
    files = []
    for name in names:
        with show.progress(json) as progress:
            files.append(fetch(name, folder=to, mirror=source, progress=progress))
    if json:
        show.data([{"name": n, "file": str(f)} for n, f in zip(names, files, strict=True)])
    else:
        show.facts("fetched", list(zip(names, files, strict=True)))


def _where(data: DataSet) -> str:
    from overpaint.benchmark.datasets import kept

    if data.make:
        return "comes with Overpaint"
    if data.source is None:
        return "a file of your own"
    return str(kept(data) or f"overpaint data get {data.name}")
