"""``python -m tools.train``: every stage of a model in order, skipping what is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from tools.train import autoencoder, clip, data, denoiser, export, families, second_tower, t5, text
from tools.train.families import Session
from tools.train.parts import borrow_parts
from tools.train.run import Run

Stage = Callable[[Run], None]


def stages(model: str, session: Session) -> dict[str, Stage]:
    """The stages of ``model`` in order."""
    if model == "toybox":
        return {
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
    shared: dict[str, Stage] = {"parts": borrow_parts}
    pictures: dict[str, Stage] = {"stream": lambda run: families.draw_stream(run, session)}
    if model == "toybox-xl":
        return (
            shared
            | {
                "data": data.make_data,
                "second_tower": second_tower.train_second_tower,
                "xl": lambda run: families.train_xl(run, session),
                "export_xl": export.export_xl,
            }
            | pictures
        )
    if model == "toybox-flux":
        return (
            shared
            | {
                "t5_tokenizer": t5.make_t5_tokenizer,
                "t5": t5.train_t5,
                "flux": lambda run: families.train_flux(run, session),
                "export_flux": export.export_flux,
            }
            | pictures
        )
    raise typer.BadParameter(f"no model {model!r}; there are toybox, toybox-xl and toybox-flux")


def main(
    model: Annotated[str, typer.Option(help="toybox, toybox-xl or toybox-flux.")] = "toybox",
    folder: Annotated[Path, typer.Option(help="Where the run keeps its state.")] = Path(".train"),
    stage: Annotated[list[str] | None, typer.Option(help="Only these stages.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads, 0 for all.")] = 0,
    minutes: Annotated[float, typer.Option(help="For the stages xl and flux.")] = 60.0,
    pictures: Annotated[int, typer.Option(help="The stages xl and flux see at most.")] = 400_000,
    batch: Annotated[int, typer.Option(help="Of the stages xl and flux, 0: theirs.")] = 0,
    counted: Annotated[int, typer.Option(help="Pictures of each profession to count.")] = 200,
    graph: Annotated[bool, typer.Option(help="Train them with a CUDA graph.")] = True,
    fused: Annotated[bool, typer.Option(help="Compile their blocks, in bfloat16.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from their weights.")] = False,
) -> None:
    """Rebuild the weights of an embedded model.

    Killed at any point, the same command goes on from there; the stages xl and flux, which train
    for a time, start anew. Their pictures are drawn while they train, or, to train both at once, by
    a process of its own with --stage stream.
    """
    if threads:
        torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, "cuda" if torch.cuda.is_available() else "cpu")
    console = Console()
    known = stages(model, Session(minutes, pictures, batch, graph, fused, resume, counted=counted))
    for name in stage or [name for name in known if name != "stream"]:
        if name not in known:
            raise typer.BadParameter(f"no stage {name!r}; there are {', '.join(known)}")
        if run.done(name):
            console.print(f"{name}: done before")
            continue
        console.rule(name)
        known[name](run)
        run.finish(name)


if __name__ == "__main__":
    typer.run(main)
