"""``overpaint paint``: labelled pictures, with and without patches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import arguments, options, show, words

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from overpaint.models.model import Model
    from overpaint.pictures import Row
    from overpaint.types import Patch, Progress


@options.takes_model()
def paint(
    prompts: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT", help="What to paint; one group of rows each.", show_default=False
        ),
    ],
    patch: Annotated[
        list[Path] | None,
        typer.Option(
            "--patch", "-p", metavar="FILE", help="Patch file to compare with; may be repeated."
        ),
    ] = None,
    stack: Annotated[
        bool, typer.Option("--stack", help="All patches at once, in order, instead of each alone.")
    ] = False,
    seeds: options.Seeds = "4",
    out: options.Picture = Path("painting.png"),
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    negative: options.Negative = None,
    height: options.Height = None,
    width: options.Width = None,
    true_cfg: options.TrueCFG = None,
    clip_skip: options.ClipSkip = None,
    scheduler: options.Scheduler = None,
    cell: Annotated[
        int, typer.Option(min=0, help="Side of one picture on the sheet; 0: as painted, or 128.")
    ] = 0,
    asked: options.Source = options.USUAL,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Paint prompts before and after an edit, side by side on one labelled sheet.

    The same seed is the same noise in every row, so what differs is the edit.

    \b
    What an edit changed, and what it left alone:
      [cyan]overpaint paint "a rose" "two roses" "a tulip" --patch rose.safetensors[/]
    Two edits compared, on eight seeds:
      [cyan]overpaint paint "a rose" -p refact.safetensors -p time.safetensors --seeds 8[/]
    Just pictures:
      [cyan]overpaint paint "a happy doctor in the park" -o doctor.png[/]
    """
    from overpaint.patching.apply import check_fingerprint
    from overpaint.patching.files import load_patch
    from overpaint.pictures import grid, save_picture
    from overpaint.types import Sampling

    how = Sampling(
        steps=steps,
        guidance=guidance,
        negative_prompt=negative,
        height=height,
        width=width,
        true_cfg=true_cfg,
        clip_skip=clip_skip,
        scheduler=scheduler,
    )
    columns = arguments.seeds(seeds)
    path = arguments.output_file(out)
    patches = [(file.stem, load_patch(file)) for file in patch or []]
    loaded = asked.load(quiet=json)
    for _, each in patches if not force else []:
        check_fingerprint(loaded, each)
    from overpaint.generate import generate

    paint_all = partial(generate, loaded, prompts, columns, how, output_type="pt")
    with show.progress(json) as progress:
        rows = _rows(loaded, prompts, _variants(patches, stack), paint_all, progress, force)
    save_picture(grid(rows, [f"seed {seed}" for seed in columns], cell=cell), path)
    if json:
        notes = list(dict.fromkeys(row.note for row in rows))
        show.data({"file": str(path), "prompts": prompts, "seeds": columns, "rows": notes})
    else:
        show.line(f"wrote {path}")
    words.hint(asked, prompts, quiet=json)


def _variants(patches: list[tuple[str, Patch]], stack: bool) -> list[tuple[str, tuple[Patch, ...]]]:
    """Name and patches of every row of a group; the first is the model as it is."""
    first: list[tuple[str, tuple[Patch, ...]]] = [("before" if patches else "", ())]
    if stack and patches:
        return [*first, (" + ".join(n for n, _ in patches), tuple(p for _, p in patches))]
    return first + [(name, (patch,)) for name, patch in patches]


def _rows(
    model: Model,
    prompts: list[str],
    variants: list[tuple[str, tuple[Patch, ...]]],
    paint_all: Callable[..., torch.Tensor],
    progress: Progress,
    force: bool,
) -> list[Row]:
    """Every variant's pictures, sorted by prompt."""
    from overpaint.patching.apply import applied
    from overpaint.pictures import Row

    painted = []
    for number, (_, patches) in enumerate(variants):

        def tell(done: int, total: int, what: str, number: int = number) -> None:
            progress(number * total + done, len(variants) * total, what)

        with applied(model, *patches, force=force):
            painted.append(paint_all(progress=tell))
    return [
        Row(pictures[index], prompt, name, changed=bool(patches))
        for index, prompt in enumerate(prompts)
        for pictures, (name, patches) in zip(painted, variants, strict=True)
    ]
