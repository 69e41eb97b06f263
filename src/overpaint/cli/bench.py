"""``overpaint bench``: edits x prompts x seeds x methods, painted, judged, and gone on with."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.cli import options, show
from overpaint.cli.scores import show_scores
from overpaint.errors import ConfigError, OutputError
from overpaint.models.embedded import EMBEDDED

if TYPE_CHECKING:
    from overpaint.benchmark.config import BenchConfig
    from overpaint.benchmark.run import Done

WHAT = "What to run"
CHANGES = "Instead of what it says"
STOPPED = 130  # what a shell says of a command that was interrupted


def _list_presets(wanted: bool) -> None:
    if not wanted:
        return
    from overpaint.benchmark.presets import names, preset

    show.table("presets", ("name", "what it makes"), [(n, preset(n).title) for n in names()])
    raise typer.Exit


@options.takes_model(clip=True, default="", config="--model-config")
def bench(
    preset: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=WHAT, help="A table of the papers.")
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=WHAT, help="A configuration in TOML."),
    ] = None,
    _presets: Annotated[
        bool,
        typer.Option(
            "--list",
            rich_help_panel=WHAT,
            help="List the presets, and leave.",
            callback=_list_presets,
            is_eager=True,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="RUN", help="Folder of the run.", show_default="bench/NAME"
        ),
    ] = None,
    judge: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=CHANGES, help="The CLIP that looks.")
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=FILE]", rich_help_panel=CHANGES, help="Data sets."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(metavar="A,B", rich_help_panel=CHANGES, help="Rows, and no curves."),
    ] = "",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="METHOD.SETTING=VALUE",
            rich_help_panel=CHANGES,
            help="Of a method; METHOD.KIND.SETTING for one kind of cases.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(rich_help_panel=CHANGES, help="Pictures per prompt.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(rich_help_panel=CHANGES, help="Cases of each kind.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(rich_help_panel=CHANGES, help="Of the sampler.")
    ] = None,
    fid: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=CHANGES, help="FID of captions: judge or inception."
        ),
    ] = "",
    reference: Annotated[
        str,
        typer.Option(metavar="FOLDER", rich_help_panel=CHANGES, help="Real pictures for FID."),
    ] = "",
    keep: Annotated[
        int | None, typer.Option(rich_help_panel=CHANGES, help="Seeds to keep pictures of.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(rich_help_panel=CHANGES, help="Pictures at once.")
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Take pictures that other runs have painted; give one's own."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many pictures are to be painted, and how long."),
    ] = False,
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Run a benchmark, or go on with one: the same command does what is missing.

    With --model toybox a preset takes Toybox's data and judge too.

    \b
    ReFACT's Table 1, here, on the embedded model:
      [cyan]overpaint bench --preset refact-table1 --model toybox[/]
    A first look at it:
      [cyan]overpaint bench --preset refact-table1 --model toybox --limit 2 --seeds 2 -o look[/]
    How many pictures would that be, and how long would it take?
      [cyan]overpaint bench --preset refact-table1 --model toybox --dry-run[/]
    As in the paper, on a machine with a GPU and the hub:
      [cyan]overpaint data get timed road coco[/]
      [cyan]overpaint bench --preset refact-table1 --device cuda[/]
    Your own:
      [cyan]overpaint bench --config mine.toml -o runs/mine[/]
    """
    from overpaint.benchmark.config import with_settings

    changes = {
        "judge": judge,
        "data": data,
        "seeds": seeds,
        "limit": limit,
        "steps": steps,
        "fid": fid,
        "reference": reference,
        "keep": keep,
        "batch": batch,
        **({"methods": methods, "sweeps": ()} if methods else {}),
    }
    given = {k: v for k, v in changes.items() if v not in (None, "", [])}
    wanted = with_settings(_configured(preset, config, asked.name, given), setting or [])
    folder = out or _folder(wanted, config)
    if reference and not wanted.fid:
        raise ConfigError("real pictures are for FID; give --fid judge or --fid inception too")
    if share and share.exists() and not share.is_dir():
        raise OutputError(f"expected a folder to share pictures in, got the file {str(share)!r}")
    if dry_run:
        _foresee(wanted, folder, replace(asked, name=wanted.model), json)
        return
    done = _run(wanted, folder, share, replace(asked, name=wanted.model), json)
    show_scores(done, json)


def _configured(preset: str, file: Path | None, model: str, changes: dict[str, Any]) -> BenchConfig:
    from overpaint.benchmark.config import from_file, parse
    from overpaint.benchmark.presets import preset as named

    if bool(preset) == (file is not None):
        raise ConfigError("expected --preset NAME or --config FILE; 'overpaint bench --list' lists")
    base = from_file(file) if file else named(preset, model)
    return parse({**changes, **({"model": model} if model else {})}, base)


def _folder(config: BenchConfig, file: Path | None) -> Path:
    name = file.stem if file else config.preset
    return Path("bench") / (f"{name}-{config.model}" if config.model in EMBEDDED else name)


def _foresee(config: BenchConfig, folder: Path, asked: options.Source, json: bool) -> None:
    from dataclasses import asdict

    from overpaint.benchmark import run

    run.check(config)
    model = asked.load(quiet=json)
    with show.working("painting a few batches, to see how long they take", json):
        found, seconds = run.estimate(config, folder, model=model, device=asked.device)
    if json:
        show.data({**asdict(found), "seconds_per_picture": seconds})
        return
    most = "at most " if found.at_most else ""
    edits = f"{found.edits:,} edits to compute and " if found.edits else ""
    filled = f" for {found.rows:,} results" if found.rows != found.pictures else ""
    painted = show.duration(found.pictures * seconds)
    show.line(f"{edits}{most}{found.pictures:,} pictures to paint{filled}")
    show.line(f"{most}about {painted} of painting, {seconds:.3g} s a picture; edits not counted")


def _run(
    config: BenchConfig, folder: Path, share: Path | None, asked: options.Source, quiet: bool
) -> Done:
    from overpaint.benchmark import run

    run.check(config)  # before anything is loaded
    command = shlex.join(["overpaint", *sys.argv[1:]])
    model = asked.load(quiet=quiet)
    try:
        with show.progress(quiet) as progress:
            return run.run(
                config,
                folder,
                model=model,
                device=asked.device,
                notes={"command": command},
                progress=progress,
                share=share,
            )
    except KeyboardInterrupt:
        show.err().print(f"stopped; what was painted is in {folder}. The same command goes on.")
        raise typer.Exit(STOPPED) from None
