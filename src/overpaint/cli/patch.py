"""``overpaint patch``: look at patch files, compare them, put them to use."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from overpaint.cli import arguments, describe, options, show

app = typer.Typer(no_args_is_help=True, help="Show, apply, export and compare patch files.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A patch file.", show_default=False)]
Files = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="Patch files.", show_default=False)
]
Sites = Annotated[bool, typer.Option("--sites", help="Also list every changed layer.")]


@app.command("show")
def show_patches(
    files: Files,
    sites: Sites = False,
    json: options.Json = False,
) -> None:
    """Say what is in a patch file: the edit, the method, its settings, what it touches.

    \b
      [cyan]overpaint patch show rose.safetensors[/]
      [cyan]overpaint patch show *.safetensors --json[/]
    """
    from overpaint.patching.files import load_patch

    patches = [(file, load_patch(file)) for file in files]
    if json:
        show.data([describe.patch_record(file, patch) for file, patch in patches])
        return
    for file, patch in patches:
        show.facts(str(file), describe.patch_facts(file, patch))
        show.facts("settings", [(str(name), value) for name, value in patch.config.items()])
        if sites:
            rows = [
                (d.site.component, d.site.name, d.site.d_out, d.site.d_in, d.rank)
                for d in patch.deltas
            ]
            show.table("sites", ("component", "layer", "out", "in", "rank"), rows)


@app.command("apply")
@options.takes_model()
def apply_patches(
    files: Files,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="New folder for the patched pipeline."),
    ],
    asked: options.Source = options.USUAL,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Save a copy of a model with patches in its weights, as a diffusers pipeline folder.

    \b
      [cyan]overpaint patch apply rose.safetensors president.safetensors -o edited/[/]
      [cyan]overpaint paint "a rose" --model edited/[/]
    """
    from overpaint.models.save import save_model
    from overpaint.patching.apply import applied
    from overpaint.patching.files import load_patch

    folder = arguments.output_folder(out)
    patches = [load_patch(file) for file in files]
    loaded = asked.load(quiet=json)
    with applied(loaded, *patches, force=force), show.working(f"writing {folder}", json):
        save_model(loaded, folder)
    if json:
        show.data({"folder": str(folder), "patches": [str(file) for file in files]})
    else:
        show.line(f"wrote {folder}: {asked.name} with {', '.join(file.name for file in files)}")


@app.command("export")
@options.takes_model()
def export(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="LoRA file to write.")],
    family: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="SD1 (also toybox), SD2 or SDXL; for old files, which do not say it themselves.",
        ),
    ] = "",
    form: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="kohya or peft: how layers are called.",
            show_default="what most programs read",
        ),
    ] = "",
    asked: options.Source = options.USUAL,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Write a patch as a LoRA that diffusers, ComfyUI and A1111 load; nothing is lost.

    \b
      [cyan]overpaint patch export rose.safetensors -o rose-lora.safetensors[/]
    and then, in Python with diffusers:
      [cyan]pipeline.load_lora_weights("rose-lora.safetensors")[/]
    A patch of TIME, UCE or LocoEdit tells its changes by the weights of its model, which must then
    be given if it is not toybox:
      [cyan]overpaint patch export rose.safetensors --model sd14/ -o rose-lora.safetensors[/]
    """
    from overpaint.models.families import family_called
    from overpaint.patching.files import load_patch
    from overpaint.patching.lora import export_lora

    path = arguments.output_file(out)
    patch = load_patch(file)
    chosen = family_called(family) if family else None
    loaded = asked.load(quiet=json) if patch.relative else None
    export_lora(patch, path, chosen, form=form, model=loaded, force=force)
    if json:
        show.data({"file": str(path), "bytes": path.stat().st_size, "patch": str(file)})
    else:
        show.line(f"wrote {path}, {show.size(path.stat().st_size)}, a LoRA")


@app.command("diff")
@options.takes_model()
def compare(
    first: File,
    second: File,
    sites: Sites = False,
    asked: options.Source = options.USUAL,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Compare two patches: where and how strongly each acts, how much they agree.

    \b
      [cyan]overpaint patch diff rose.safetensors rose-layer-9.safetensors[/]
      [cyan]overpaint patch diff rose.safetensors tulip.safetensors --sites[/]
    The model is only looked at where a patch of TIME, UCE or LocoEdit tells its changes by it.
    """
    from overpaint.patching.diff import diff
    from overpaint.patching.files import load_patch

    patches = load_patch(first), load_patch(second)
    needed = any(patch.relative for patch in patches)
    loaded = asked.load(quiet=json) if needed else None
    result = diff(*patches, model=loaded, force=force)
    if json:
        show.data({"first": str(first), "second": str(second), **dataclasses.asdict(result)})
        return
    show.facts(f"1: {first}   2: {second}", describe.diff_facts(result))
    if sites:
        columns = ("layer", "rank 1", "rank 2", "norm 1", "norm 2", "distance", "cosine")
        rows = [
            (s.name, s.rank_a, s.rank_b, s.norm_a, s.norm_b, s.distance, s.cosine)
            for s in result.sites
        ]
        show.table("\nlayers", columns, rows)
    if settings := describe.setting_rows(result):
        show.table("\nwhat differs", ("setting", "1", "2"), settings)
