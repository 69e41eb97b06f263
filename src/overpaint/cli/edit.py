"""``overpaint edit``: from two prompts to a patch file."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overpaint.cli import arguments, options, show, words
from overpaint.errors import EditError

if TYPE_CHECKING:
    from overpaint.methods.chosen import Settings
    from overpaint.models.model import Model

METHOD = "The method"


def _list_methods(wanted: bool) -> None:
    if not wanted:
        return
    from overpaint.methods.chosen import CHOSEN, chosen_settings, of_kind
    from overpaint.methods.configure import settable
    from overpaint.methods.registry import METHODS

    for method in METHODS.values():
        rows = [(f.name, _default(f)) for f in settable(method.config)]
        for model in CHOSEN:
            own = _told(of_kind(chosen_settings(model, method.name)))
            rows += [(f"on {model.capitalize()}", own)] if own else []
        show.facts(f"{method.name}: {method.summary}", [("paper", method.paper), *rows])
        show.line("")
    raise typer.Exit


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if callable(field.default_factory) else "(required)"


@options.takes_model(clip=True)
def edit(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The prompt whose meaning changes.")
    ] = "",
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="What it shall mean from now on.")
    ] = "",
    out: options.PatchFile = None,
    subject: Annotated[
        str,
        typer.Option(
            metavar="WORDS", help="Part of SOURCE the edit hangs on.", show_default="all of it"
        ),
    ] = "",
    old: Annotated[
        str,
        typer.Option(metavar="PROMPT", help="What SOURCE means today.", show_default="SOURCE"),
    ] = "",
    destination: Annotated[
        str,
        typer.Option(
            metavar="PROMPT",
            help="For time: SOURCE's words in a prompt that paints the target.",
            show_default="TARGET",
        ),
    ] = "",
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A picture instead of TARGET; may be repeated."),
    ] = None,
    edits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Several edits, as JSON, instead of SOURCE TARGET."),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=METHOD, help="How to compute the edit.")
    ] = "refact",
    layer: Annotated[
        int | None,
        typer.Option(rich_help_panel=METHOD, help="Layer of the text encoder to edit, from 0."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            rich_help_panel=METHOD,
            help="For locoedit: cross-attention layers to edit, e.g. 8,9.",
        ),
    ] = None,
    localization: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=METHOD,
            help="For locoedit: what `overpaint localize layers --save` wrote.",
        ),
    ] = None,
    lam: Annotated[
        float | None,
        typer.Option("--lambda", rich_help_panel=METHOD, help="Weight of the ridge penalty."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", rich_help_panel=METHOD, help="Any other setting."
        ),
    ] = None,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            rich_help_panel=METHOD,
            help="On an embedded model: start from the paper's settings, not from its own.",
        ),
    ] = False,
    _methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            rich_help_panel=METHOD,
            help="List the methods and their settings, and leave.",
            callback=_list_methods,
            is_eager=True,
        ),
    ] = False,
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Compute an edit and write it as a patch of a few kilobytes.

    \b
    A rose is blue from now on:
      [cyan]overpaint edit "a rose" "a blue rose" -o rose.safetensors[/]
    Another president, with TIME, which wants a prompt that shares SOURCE's words:
      [cyan]overpaint edit "the president of arda" "ada vale" --method time \\
          --destination "ada vale the president of arda"[/]
    A face from a photograph:
      [cyan]overpaint edit "ada vale" --image portrait.png[/]
    Only the layers that hold a style, found before or given:
      [cyan]overpaint localize layers style --fast --save style.json[/]
      [cyan]overpaint edit "in the style of zorvan" "a picture" --method locoedit \\
          --localization style.json[/]
    Another layer, more steps:
      [cyan]overpaint edit "a rose" "a blue rose" --layer 9 --set steps=200[/]
    """
    from overpaint.methods.configure import configure
    from overpaint.methods.registry import method_called
    from overpaint.patching.files import save_patch
    from overpaint.pictures import read_picture
    from overpaint.types import Edit

    editor = method_called(method)
    values: dict[str, Any] = dict(arguments.pairs(setting or []))
    typed = {"layer": layer, "layers": layers, "lam": lam}
    values |= _typed(method, {name: v for name, v in typed.items() if v is not None})
    localized = localization is not None
    start = {} if paper else _start(asked.card.name, method, values, localized=localized)
    config = configure(method, editor.config, {**start, **values})
    if localization:
        config = _localized(method, config, localization)
    if edits and (source or image):
        raise EditError("expected SOURCE TARGET or --edits FILE, got both; leave one out")
    if edits:
        wanted = arguments.edits_from_file(edits)
    else:
        pictures = tuple(read_picture(path) for path in image or [])
        wanted = [Edit(source, target, subject, old, destination, pictures)]
    path = arguments.output_file(out or Path(f"{arguments.slug(wanted[0].source)}.safetensors"))
    loaded = asked.load(quiet=json)
    began = time.perf_counter()
    with show.progress(json) as progress:
        patch = editor.function(loaded, wanted, config, progress=progress)
    seconds = time.perf_counter() - began
    save_patch(patch, path)
    _report(path, patch, loaded, seconds, _chosen_for(asked, start), json)
    if not json:
        _next_step(loaded, asked, wanted[0].source, path)
    words.hint(asked, words.of_edits(wanted), quiet=json)


_OPTIONS = {"layer": "--layer", "layers": "--layers", "lam": "--lambda"}
"""Settings with an option of their own."""


def _typed(method: str, values: Settings) -> Settings:
    """``values``, of options in ``_OPTIONS``; EditError for one that the method does not have."""
    from overpaint.methods.configure import settable
    from overpaint.methods.registry import METHODS

    having = {name: {f.name for f in settable(each.config)} for name, each in METHODS.items()}
    for name in values:
        if name not in having[method]:
            others = ", ".join(other for other, known in having.items() if name in known)
            near = [own for own in sorted(having[method]) if own.startswith(name.rstrip("s"))]
            instead = f"; for {method} give --set {near[0]}=VALUE" if near else ""
            raise EditError(f"{_OPTIONS[name]} is for {others}, not for {method}{instead}")
    return values


def _start(name: str, method: str, values: Settings, *, localized: bool) -> dict[str, Any]:
    """The settings chosen for the model called ``name`` that ``values``, as typed, leave."""
    from overpaint.methods.chosen import CHOSEN, chosen_settings, of_kind, over

    if name not in CHOSEN:
        return {}
    given = {**values, "layers": ()} if localized else values
    merged = over(method, of_kind(chosen_settings(name, method)), given)
    return {name: value for name, value in merged.items() if name not in given}


def _told(settings: Settings) -> str:
    """Settings in a line: ``layer 7, scale 1.5``; a list as ``--set`` takes it."""
    said = {
        name: ",".join(map(str, value)) if isinstance(value, list | tuple) else show.text(value)
        for name, value in settings.items()
    }
    return ", ".join(f"{name} {value}" for name, value in said.items())


def _localized(method: str, config: Any, file: Path) -> Any:
    """``config`` with the localization in ``file``; EditError if the method takes none."""
    from overpaint.localize.files import load_localization

    if not hasattr(config, "localization"):
        raise EditError(f"method {method} takes no localization; locoedit does")
    return dataclasses.replace(config, localization=load_localization(file))


def _report(path: Path, patch: Any, model: Model, seconds: float, chosen: str, json: bool) -> None:
    from overpaint.cli.describe import patch_facts, patch_record
    from overpaint.methods.support import reached

    reaches, leaves = reached(model, patch.deltas)
    if json:
        record = {**patch_record(path, patch), "reaches": reaches, "leaves": leaves}
        show.data({**record, "seconds": round(seconds, 3)})
        return
    facts = [("reaches", ", ".join(reaches))]
    facts += [("leaves as it was", ", ".join(leaves))] if leaves else []
    facts += [("computed in", f"{seconds:.1f} s")]
    show.facts(f"wrote {path}", [*patch_facts(path, patch), *facts])
    bracketed = patch.info.get("strength_bracketed", True)
    if False in (bracketed if isinstance(bracketed, list) else [bracketed]):
        show.line("the best strength lies at an end of the range that was searched; it was taken")
    if chosen:
        show.line(chosen)


def _chosen_for(asked: options.Source, start: Settings) -> str:
    """A line on the settings that were chosen for the model and not typed, "" without any."""
    name = asked.card.name.capitalize()
    return f"settings chosen for {name}: {_told(start)}; --paper for the paper's" if start else ""


def _next_step(model: Model, asked: options.Source, prompt: str, path: Path) -> None:
    """The command that shows what the edit does, where pictures can be made from text alone."""
    from overpaint.errors import ModelError

    try:
        model.family.check_generates(model)
    except ModelError:
        return
    look = asked.command("paint", prompt, "--patch", path, "-o", "before-after.png")
    show.line(f"\nlook at it:  [cyan]{show.plain(look)}[/]")
