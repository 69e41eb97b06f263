"""The ``overpaint`` command: its sub-commands, and how errors leave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from overpaint.cli import (
    bench,
    data,
    debias,
    edit,
    localize,
    models,
    paint,
    patch,
    report,
    show,
    toybox,
)
from overpaint.errors import OverpaintError

# What click raises for a command line it cannot read; a new typer brings a click of its own.
USAGE: Any = typer.BadParameter.__bases__[0]


class Commands(TyperGroup):
    """Turns every error a user can cause into one line on stderr and exit code 2."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the options before the command."""
        with _one_line():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> object:
        """Run the chosen command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except OverpaintError as error:
        show.error(error)
        raise typer.Exit(2) from error
    except USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise  # a group by itself shows its help
        where = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        show.error(f"{error.format_message().rstrip('.')}{where}")
        raise typer.Exit(2) from error


app = typer.Typer(
    name="overpaint",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("edit")(edit.edit)
app.command("debias")(debias.debias)
app.command("paint")(paint.paint)
app.add_typer(localize.app, name="localize")
app.add_typer(patch.app, name="patch")
app.add_typer(models.app, name="models")
app.command("bench")(bench.bench)
app.command("report")(report.report)
app.add_typer(data.app, name="data")
app.add_typer(toybox.app, name="toybox")


def _version(wanted: bool) -> None:
    if wanted:
        from overpaint import __version__

        show.line(__version__)
        raise typer.Exit


@app.callback()
def overpaint(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Edit what a text-to-image model knows, and take the edit off again bit for bit.

    \b
    A first edit, on the model that comes with Overpaint:
      [cyan]overpaint edit "a rose" "a blue rose" -o rose.safetensors[/]
      [cyan]overpaint paint "a rose" "a tulip" --patch rose.safetensors -o roses.png[/]
      [cyan]overpaint patch show rose.safetensors[/]
    """


def main() -> None:
    """Entry point of the installed command."""
    app()
