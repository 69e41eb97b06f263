"""``python -m tools.train``: every stage in order, skipping what is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from tools.train import autoencoder, clip, data, denoiser, export, text
from tools.train.run import Run

STAGES: dict[str, Callable[[Run], None]] = {
    "data": data.make_data,
    "tokenizer": data.make_tokenizer,
    "autoencoder": autoencoder.train_autoencoder,
    "clip": clip.train_clip,
    "text": text.train_text,
    "latents": denoiser.encode_latents,
    "captions": denoiser.encode_captions,
    "denoiser": denoiser.train_denoiser,
    "judge": clip.train_judge,
    "export": export.export,
}


def main(
    folder: Annotated[Path, typer.Option(help="Where the run keeps its state.")] = Path(".train"),
    stage: Annotated[list[str] | None, typer.Option(help="Only these stages.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads, 0 for all.")] = 0,
) -> None:
    """Rebuild the Toybox weights. Killed at any point, the same command goes on from there."""
    if threads:
        torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, "cuda" if torch.cuda.is_available() else "cpu")
    console = Console()
    for name in stage or STAGES:
        if name not in STAGES:
            raise typer.BadParameter(f"no stage {name!r}; there are {', '.join(STAGES)}")
        if run.done(name):
            console.print(f"{name}: done before")
            continue
        console.rule(name)
        STAGES[name](run)
        run.finish(name)


if __name__ == "__main__":
    typer.run(main)
