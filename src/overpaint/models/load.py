"""Load a model: the embedded Toybox, a folder, a name on the hub, or a pipeline in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.families import TOYBOX, family_of
from overpaint.models.layout import read_tower
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    source: Any,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    clip: str | Path | None = None,
) -> Model:
    """Load ``source`` for editing.

    ``source``  ``"toybox"``, a folder that holds a diffusers pipeline, a hub name such as
        ``"CompVis/stable-diffusion-v1-4"``, or a diffusers pipeline object. An object is used as
        it is: it is moved to ``device`` and ``dtype``, not copied.
    ``clip``    folder or hub name of the joint CLIP that the pipeline's text encoder belongs to
        (for SD1 ``"openai/clip-vit-large-patch14"``); Toybox brings its own. Its text tower is
        replaced by the pipeline's, so that an edit is seen by both.

    All networks are set to evaluation and frozen; their weights are not changed.
    Raises ModelError when the model cannot be found or is of an unknown family.
    """
    if isinstance(source, (str, Path)):
        pipeline, name = _pipeline(str(source), dtype), str(source)
    else:
        pipeline, name = source, type(source).__name__
    toybox = source == "toybox"
    family = TOYBOX if toybox else family_of(pipeline)
    model = Model(pipeline, family, name)
    _check_text(model)
    _settle(pipeline, device, dtype)
    joint = toybox_folder("clip") if toybox else clip
    return replace(model, clip=_joint_clip(model, joint)) if joint else model


def toybox_folder(part: str) -> Path:
    """Folder of the embedded ``part``: ``"pipeline"``, ``"clip"`` or ``"judge"``."""
    folder = Path(str(resources.files("overpaint"))) / "toybox" / "weights" / part
    if not folder.is_dir():
        raise ModelError(
            f"The embedded model has no {part!r} at {folder}; reinstall overpaint, or rebuild it "
            "with `python -m tools.train`."
        )
    return folder


def _pipeline(source: str, dtype: torch.dtype) -> Any:
    """The diffusers pipeline called ``source``; ModelError when there is none."""
    folder = toybox_folder("pipeline") if source == "toybox" else Path(source)
    if source and folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelError(
                f"Folder {source} holds no diffusers pipeline: it has no model_index.json. "
                "Save one there with pipeline.save_pretrained(folder)."
            )
        source = str(folder)
    elif not _HUB_NAME.fullmatch(source):
        raise ModelError(
            f"No model {source!r}: expected 'toybox', an existing folder, or a hub name such as "
            "'CompVis/stable-diffusion-v1-4'."
        )
    with silence():
        from diffusers import DiffusionPipeline

        pipeline = from_pretrained(DiffusionPipeline, source, dtype)
    for component in ("text_encoder", "text_encoder_2"):
        read_tower(getattr(pipeline, component, None), folder / component / "model.safetensors")
    return pipeline


def from_pretrained(cls: Any, source: str, dtype: torch.dtype | None = None) -> Any:
    """``cls.from_pretrained``, every failure a ModelError."""
    try:
        return cls.from_pretrained(source, **({"dtype": dtype} if dtype else {}))
    except Exception as error:  # hub, network, JSON, safetensors: each has its own hierarchy
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ModelError(
            f"Cannot load {source!r}: {reason} Check the name and the network, or give a folder."
        ) from error


@contextmanager
def silence() -> Iterator[None]:
    """Bars and notes on the screen belong to the caller: switch those of the loaders off."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = [
        (log, log.get_verbosity(), log.is_progress_bar_enabled())
        for log in (diffusers_logging, transformers_logging)
    ]
    for log, _, _ in before:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, verbosity, bars in before:
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


def _check_text(model: Model) -> None:
    """ModelError unless every text encoder is there together with its tokenizer."""
    for component in model.family.text_encoders:
        for part in (component, component.replace("text_encoder", "tokenizer")):
            if getattr(model.pipeline, part, None) is None:
                raise ModelError(
                    f"{model.name} comes without its {part}, but an edit starts from text; "
                    f"load the pipeline with its {part}."
                )


def _settle(pipeline: Any, device: str | torch.device, dtype: torch.dtype) -> None:
    """Every network of the pipeline on ``device`` in ``dtype``, in evaluation mode, frozen."""
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            if next(part.parameters()).dtype != dtype:
                part.to(dtype=dtype)
            part.to(device=device).eval().requires_grad_(False)


def _joint_clip(model: Model, source: str | Path) -> Any:
    """The CLIPModel at ``source``, its text tower replaced by the pipeline's own module."""
    from transformers import CLIPModel

    with silence():
        clip = from_pretrained(CLIPModel, str(source))
    tower = text_transformer(model.component(model.family.text_encoders[0]))
    shapes = [{k: v.shape for k, v in t.named_parameters()} for t in (tower, clip.text_model)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"The text tower of CLIP {source} has other shapes than the one of {model.name}; "
            "give the CLIP that the pipeline's text encoder was taken from."
        )
    clip.text_model = tower
    return clip.to(device=model.device, dtype=model.dtype).eval().requires_grad_(False)
