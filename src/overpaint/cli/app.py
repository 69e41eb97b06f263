"""The ``overpaint`` command: its sub-commands, and how errors leave it."""

from __future__ import annotations

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


class Commands(TyperGroup):
    """Turns every error a user can cause into one line on stderr and exit code 2."""

    def invoke(self, ctx: typer.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except OverpaintError as error:
            show.error(error)
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
