"""What the larger models take over from Toybox: a run's own parts, or else the shipped ones."""

from __future__ import annotations

import shutil
from typing import Any

import torch

from overpaint.models.embedded import toybox_folder
from tools.train.pipeline import text_encoder
from tools.train.run import Run
from tools.train.untyped import AutoencoderKL, CLIPModel, CLIPTokenizer


def borrow_parts(run: Run) -> None:
    """Put the shipped parts into the run's folder where it has not made its own."""
    for name, home in (
        ("tokenizer", ("pipeline", "tokenizer")),
        ("autoencoder", ("pipeline", "vae")),
        ("judge", ("judge",)),
    ):
        if not run.path(name).exists():
            shutil.copytree(toybox_folder("/".join(home)), run.path(name))
    for name in ("clip", "clip_joint"):
        if not run.path(name).exists():
            shutil.copytree(toybox_folder("clip"), run.path(name))


def tokenizer(run: Run) -> Any:
    """CLIP's tokenizer."""
    return CLIPTokenizer.from_pretrained(run.path("tokenizer"))


def autoencoder(run: Run) -> Any:
    """The autoencoder, in float32 on the run's device."""
    return AutoencoderKL.from_pretrained(run.path("autoencoder")).float().to(run.device).eval()


def first_tower(run: Run) -> Any:
    """The first text encoder, in float32 on the run's device."""
    return text_encoder(_clip(run, "clip")).to(run.device).eval()


def judge(run: Run) -> Any:
    """The CLIP that scores pictures, in float32 on the run's device."""
    return _clip(run, "judge").to(run.device).eval()


def _clip(run: Run, name: str) -> Any:
    return CLIPModel.from_pretrained(run.path(name), dtype=torch.float32)
