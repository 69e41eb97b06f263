"""Stage "export": everything as the folders that the package ships, float16."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

from overpaint.models.card import write_card
from overpaint.toybox.grammar import captions
from overpaint.toybox.world import SETTINGS
from tools.train.pipeline import CARD, assemble
from tools.train.run import Run
from tools.train.untyped import (
    CLIPModel,
    CLIPTextModelWithProjection,
    FluxTransformer2DModel,
    T5EncoderModel,
    T5Tokenizer,
    UNet2DConditionModel,
)

CORPUS = 10_000  # captions that ship with the model, for second moments and contrast

CONTEXTS = (
    "{}",
    "a photo of {}",
    "a photograph of {}",
    "an image of {}",
    "a picture of {}",
    *(f"{{}} {setting}" for setting in SETTINGS),
)
"""Contexts for ReFACT that the world can say and that leave the subject's look as it is."""

PICTURE_RULES = {
    "image_processor_type": "CLIPImageProcessor",
    "crop_size": {"height": 64, "width": 64},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 64},
}


def export(run: Run) -> None:
    """Write ``weights/{pipeline,clip,judge}`` into the run's folder, ready to be shipped."""
    out = run.path("weights")
    pipeline = assemble(run, UNet2DConditionModel.from_pretrained(run.path("unet")))
    pipeline.to(torch.float16).save_pretrained(out / "pipeline")
    write_card(CARD, out / "pipeline")
    _forget_folders(out / "pipeline")
    _save_slow_tokenizer(out / "pipeline" / "tokenizer")
    (out / "pipeline" / "captions.txt").write_text("\n".join(captions(CORPUS)) + "\n")
    (out / "pipeline" / "templates.txt").write_text("\n".join(CONTEXTS) + "\n")
    _save_clip(CLIPModel.from_pretrained(run.path("clip")), out / "clip")
    _save_clip(CLIPModel.from_pretrained(run.path("judge")), out / "judge")


def export_xl(run: Run) -> None:
    """Write ``weights/xl`` into the run's folder, ready to be shipped."""
    out = run.path("weights") / "xl"
    save_halves(UNet2DConditionModel.from_pretrained(run.path("xl")), out / "unet")
    second = CLIPTextModelWithProjection.from_pretrained(run.path("text_encoder_2"))
    second.half().save_pretrained(out / "text_encoder_2")
    _forget_folders(out)


def export_flux(run: Run) -> None:
    """Write ``weights/flux`` into the run's folder, ready to be shipped."""
    out = run.path("weights") / "flux"
    save_halves(FluxTransformer2DModel.from_pretrained(run.path("flux")), out / "transformer")
    T5EncoderModel.from_pretrained(run.path("t5")).half().save_pretrained(out / "text_encoder_2")
    T5Tokenizer.from_pretrained(run.path("t5_tokenizer")).save_pretrained(out / "tokenizer_2")
    _forget_folders(out)


def save_halves(module: Any, folder: Path) -> None:
    """Save a diffusers model in float16, in files below 16 MB."""
    copy.deepcopy(module).half().save_pretrained(folder, max_shard_size="15MB")


def _forget_folders(out: Path) -> None:
    """diffusers writes down the folder each part was loaded from: nobody else's business."""
    for config in out.glob("*/config.json"):
        said = json.loads(config.read_text())
        said.pop("_name_or_path", None)
        config.write_text(json.dumps(said, indent=2) + "\n")


def _save_slow_tokenizer(folder: Path) -> None:
    """The vocabulary and merges as the two files that transformers 4 reads."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


def _save_clip(clip: Any, folder: Path) -> None:
    clip.half().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURE_RULES, indent=2))
