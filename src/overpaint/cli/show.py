"""What the commands print: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PATIENCE = 0.7  # seconds of silence before a bar appears


def out() -> Console:
    """The console for results; made on use, so that it follows a redirected stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def err() -> Console:
    """The console for everything that is not the result."""
    return Console(stderr=True, highlight=False)


def error(message: object) -> None:
    """One line on stderr, however long and whatever is in it."""
    line = " ".join(str(message).split())
    err().print(f"[bold red]error:[/] {escape(line)}", soft_wrap=True)


def hint(message: str) -> None:
    """One line on stderr about what was probably not meant."""
    err().print(f"[bold yellow]hint:[/] {escape(message)}", soft_wrap=True)


def data(value: object) -> None:
    """``value`` as JSON on stdout, for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))  # noqa: T201


def plain(text: str) -> str:
    """``text`` inside markup, with nothing in it read as markup."""
    return escape(text)


def line(text: str) -> None:
    """One line of markup on stdout."""
    out().print(text, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table; columns that hold only numbers are right-aligned."""
    view = Table(header_style="dim", box=None)
    for index, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        view.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        view.add_row(*(escape(text(cell)) for cell in row))
    line(f"[bold]{escape(title)}[/]")
    out().print(view)


def facts(title: str, pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    view = Table(show_header=False, box=None)
    view.add_column(style="dim", no_wrap=True)
    view.add_column(overflow="fold")
    for name, value in pairs:
        view.add_row(escape(name), escape(text(value)))
    line(f"[bold]{escape(title)}[/]")
    out().print(view)


def text(value: object) -> str:
    """``value`` as a cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(each) for each in value)
    return str(value)


def size(nbytes: int) -> str:
    """``nbytes`` as a person says it: ``"12.3 kB"``."""
    amount = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def duration(seconds: float) -> str:
    """``seconds`` as a person says them: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """A ``progress=`` callback that draws a bar on stderr for work of more than a moment."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
        disable=quiet,
    )
    task = bar.add_task("")
    began = time.monotonic()

    def update(done: int, total: int, what: str) -> None:
        if time.monotonic() - began > PATIENCE and not bar.live.is_started:
            bar.start()
        bar.update(task, description=what, completed=done, total=total)

    try:
        yield update
    finally:
        bar.stop()


@contextmanager
def working(what: str, quiet: bool = False) -> Iterator[None]:
    """A spinner on stderr while something that cannot say how far it is goes on."""
    if quiet or not err().is_terminal:
        yield
        return
    with err().status(what):
        yield
