"""``overpaint models``: the families that can be edited, and whether a given model is one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from overpaint.cli import options, show

app = typer.Typer(help="List the families of models; check one model.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the families of models; check one model."""
    if context.invoked_subcommand is None:
        list_families()


@app.command("list")
def list_families(json: options.Json = False) -> None:
    """List the families of models, and how each is laid out.

    \b
      [cyan]overpaint models list[/]
    """
    from overpaint.models.families import FAMILIES

    columns = ("family", "pipelines", "denoiser", "text encoders")
    rows = [
        (
            f.name,
            ", ".join(f.pipelines),
            f.denoiser,
            len(f.encoders),
        )
        for f in FAMILIES
    ]
    if json:
        show.data([dict(zip(columns, row, strict=True)) for row in rows])
        return
    show.table("families", columns, rows)
    show.line('\n"toybox" is the model that comes with Overpaint; it is of family SD1.')


@app.command("check")
def check(
    name: Annotated[
        str, typer.Argument(help="toybox, a folder, or a name on the hub.", metavar="MODEL")
    ],
    json: options.Json = False,
) -> None:
    """Load a model and say what can be edited in it.

    \b
      [cyan]overpaint models check toybox[/]
      [cyan]overpaint models check ./my-finetune[/]
    """
    from overpaint.models.fingerprint import fingerprint
    from overpaint.models.text import max_length, text_transformer

    model = options.load_model(name, quiet=json)
    encoder = model.text_encoders[0]
    tower: Any = text_transformer(model.component(encoder))
    parts = (*model.text_encoders, model.family.denoiser)
    sizes = {part: sum(p.numel() for p in model.component(part).parameters()) for part in parts}
    record = {
        "model": model.name,
        "family": model.family.name,
        "fingerprint": fingerprint(model),
        "text encoder layers": f"0 to {len(tower.encoder.layers) - 1}",
        "cross-attention layers": len(model.family.path(model, "sequence").layers),
        "longest prompt": f"{max_length(model)} tokens, start and end included",
        "joint CLIP": "yes" if model.clip is not None else "no",
        **{f"weights of {part}": f"{count:,}" for part, count in sizes.items()},
    }
    if json:
        show.data(record)
    else:
        show.facts(name, list(record.items()))
