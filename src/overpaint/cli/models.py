"""``overpaint models``: the families that can be edited, and what can be edited in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from overpaint.cli import options, show

if TYPE_CHECKING:
    from overpaint.models.families import TextPath
    from overpaint.models.model import Model

app = typer.Typer(help="List the families of models; check one model.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the families of models; check one model."""
    if context.invoked_subcommand is None:
        list_families()


@app.command("list")
def list_families(json: options.Json = False) -> None:
    """List the families of models, how each is laid out, and what works with it.

    \b
      [cyan]overpaint models list[/]
    """
    from overpaint.methods.support import capabilities, notes, why_not
    from overpaint.models.families import FAMILIES

    refused = {f.name: {what: why_not(f, what) for what in capabilities()} for f in FAMILIES}
    if json:
        show.data(
            [
                {
                    "family": family.name,
                    "pipelines": [*family.pipelines, *family.others],
                    "denoiser": family.denoiser,
                    "text encoders": list(family.encoders),
                    "clip": family.clip,
                    "works": [what for what, why in refused[family.name].items() if not why],
                    "refused": {what: why for what, why in refused[family.name].items() if why},
                }
                for family in FAMILIES
            ]
        )
        return
    columns = ("family", "pipelines", "denoiser", "text encoders")
    rows = [(f.name, ", ".join(f.pipelines), f.denoiser, len(f.encoders)) for f in FAMILIES]
    show.table("families", columns, rows)
    marks = [(name, *(not why for why in each.values())) for name, each in refused.items()]
    show.table("\nwhat works", ("family", *capabilities()), marks)
    for line in notes():
        show.line(f"[dim]{show.plain(line)}[/]")
    names = ", ".join(options.EMBEDDED)
    show.line(f"\nembedded models, which come with Overpaint: {names}")


@app.command("check")
@options.takes_model(clip=True, named=True)
def check(
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Load a model and say what can be edited in it.

    \b
      [cyan]overpaint models check toybox[/]
      [cyan]overpaint models check ./my-finetune[/]
      [cyan]overpaint models check dreamshaper.safetensors[/]
    """
    from overpaint.methods.support import capabilities, why_not

    model = asked.load(quiet=json)
    refused = {what: why_not(model.family, what, model) for what in capabilities()}
    refused["generate"] = refused["generate"] or _why_no_pictures(model)
    works = [what for what, why in refused.items() if not why]
    record: dict[str, Any] = {
        **_about(model),
        "text encoders": {name: _encoder(model, name) for name in model.text_encoders},
        "text paths": [_path(path) for path in model.family.paths(model)],
        "works": works,
        "refused": {what: why for what, why in refused.items() if why},
    }
    if json:
        show.data(record)
    else:
        _show(asked.name, record)


def _about(model: Model) -> dict[str, Any]:
    from overpaint.models.fingerprint import fingerprint

    parts = (*model.text_encoders, model.family.denoiser)
    return {
        "model": model.name,
        "family": model.family.name,
        "pipeline": type(model.pipeline).__name__,
        "fingerprint": fingerprint(model),
        "number format": str(model.dtype).removeprefix("torch."),
        "joint CLIP": "yes" if model.clip is not None else "no",
        "weights": {n: sum(p.numel() for p in model.component(n).parameters()) for n in parts},
    }


def _encoder(model: Model, name: str) -> dict[str, Any]:
    """A text encoder: its class, its layers, those that an edit can change, what it reads."""
    from overpaint.models.sites import text_transformer

    network: Any = model.component(name)
    record: dict[str, Any] = {"class": type(network).__name__}
    if name in model.family.clip_encoders(model):
        tower: Any = text_transformer(network)
        record["layers"] = len(tower.encoder.layers)
        record["editable layers"] = f"0 to {model.family.used_layers(model, name) - 1}"
    else:
        config = getattr(network.config, "text_config", network.config)
        layers = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
        record["layers"] = layers
        record["editable layers"] = "none: it is no CLIP; edit the layers that read it"
    record["read for"] = model.family.reads.get(name, "tokens")
    record["longest prompt"] = model.family.max_length(model, name)
    return record


def _path(path: TextPath) -> dict[str, Any]:
    """A way by which text reaches the denoiser, and the layers that read it."""
    widths = sorted({site.d_in for site in path.sites})
    return {
        "name": path.name,
        "layers": len(path.layers),
        "sites": len(path.sites),
        "first": path.sites[0].name,
        "widths": widths,
    }


def _why_no_pictures(model: Model) -> str:
    from overpaint.errors import ModelError

    try:
        model.family.check_generates(model)
    except ModelError as error:
        return str(error)
    return ""


def _show(name: str, record: dict[str, Any]) -> None:
    plain = ("family", "pipeline", "fingerprint", "number format", "joint CLIP")
    weights = [(f"weights of {part}", f"{count:,}") for part, count in record["weights"].items()]
    show.facts(show.plain(name), [*((fact, record[fact]) for fact in plain), *weights])
    columns = ("text encoder", "class", "layers", "editable layers", "read for", "longest prompt")
    rows = [
        (part, *(own[column] for column in columns[1:-1]), f"{own['longest prompt']} tokens")
        for part, own in record["text encoders"].items()
    ]
    show.table("\ntext encoders", columns, rows)
    columns = ("path", "layers", "sites", "widths", "first")
    rows = [tuple(path[c] for c in ("name", *columns[1:])) for path in record["text paths"]]
    show.table("\nlayers of the denoiser that read text", columns, rows)
    show.facts("\nwhat works", [("works", record["works"]), *record["refused"].items()])
