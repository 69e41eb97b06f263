"""Load a model: an embedded one, a folder, a single file, a name on the hub, or a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.card import Card, read_card
from overpaint.models.embedded import CLIPS, DEFAULT, EMBEDDED, toybox_folder
from overpaint.models.families import family_of
from overpaint.models.folders import HUB_NAME, SINGLE_FILES, hub_folder, load_folder, open_folder
from overpaint.models.joint import with_clip
from overpaint.models.loaders import networks, silence
from overpaint.models.model import Model
from overpaint.models.single_file import load_single_file
from overpaint.models.usable import refuse_unusable


def load(
    source: Any,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    clip: str | Path | None = None,
    variant: str | None = None,
    config: str | Path | None = None,
    allow_pickle: bool = False,
) -> Model:
    """Load a model for editing.

    What is loaded here is set to evaluation and frozen. A pipeline object is used as it is: it is
    not cast, moved, frozen or switched to evaluation.

    Args:
        source: Name of an embedded model such as ``"toybox"``, a folder that holds a diffusers
            pipeline, a checkpoint in a single ``.safetensors`` file, a hub name such as
            ``"CompVis/stable-diffusion-v1-4"``, or a diffusers pipeline object.
        device: Where to put it; the CPU by default, and for an object where it is.
        dtype: Number format of the weights; by default the one that the denoiser is stored in.
        clip: Folder or hub name of the joint CLIP that one of the text encoders belongs to (for SD1
            ``"openai/clip-vit-large-patch14"``); an embedded model brings its own. Its text tower
            is replaced by the pipeline's, so that an edit is seen by both.
        variant: Variant of the weights, such as ``"fp16"``; found where a folder has but one.
        config: For a single file: folder of a pipeline with its configuration and tokenizers.
        allow_pickle: Also read a single file that could hold code. The code is not run.

    Returns:
        The model.

    Raises:
        ModelError: If the model cannot be found, read or edited; says what to do.
    """
    if isinstance(source, (str, Path)):
        name = str(source)
        card = card_of(name)
        pipeline = _pipeline(name, dtype or card.precision, variant, config, allow_pickle)
        _settle(pipeline, device or "cpu")
    else:
        pipeline, name = source, type(source).__name__
        _refuse_options(variant=variant, config=config)
        card = read_card(getattr(pipeline, "name_or_path", None) or "")
    model = Model(pipeline, family_of(pipeline), name, card=card)
    refuse_unusable(model)
    if pipeline is source:
        _refuse_changes(model, device, dtype)
    joint = toybox_folder(CLIPS[card.clip]) if not clip and card.clip in CLIPS else clip
    return with_clip(model, joint) if joint else model


def card_of(source: str) -> Card:
    """The card of the model called ``source``, an empty one where it has none; loads nothing."""
    if source in EMBEDDED:
        return read_card(toybox_folder(EMBEDDED[source].folder))
    return read_card(Path(source).expanduser()) if source else Card()


def _pipeline(
    source: str,
    dtype: torch.dtype | None,
    variant: str | None,
    config: str | Path | None,
    allow_pickle: bool,
) -> Any:
    """The diffusers pipeline called ``source``; ModelError when there is none."""
    path = Path(source).expanduser()
    if source not in EMBEDDED and source and path.is_file():
        _refuse_options(variant=variant)
        return load_single_file(path, dtype=dtype, config=config, allow_pickle=allow_pickle)
    if config is not None:
        raise ModelError(
            f"config (--config) is for a model in a single file, and {source!r} is none; leave it "
            "out."
        )
    if source in EMBEDDED:
        return _embedded(source, dtype, variant)
    if source and path.is_dir():
        return load_folder(open_folder(path, source), source, dtype, variant)
    on_hub = HUB_NAME.fullmatch(source) and path.suffix not in SINGLE_FILES
    if not on_hub or _with_ending(source):
        raise ModelError(_unknown(source, path))
    folder, variant = hub_folder(source, variant)
    return load_folder(folder, source, dtype, variant)


def _embedded(name: str, dtype: torch.dtype | None, variant: str | None) -> Any:
    """The embedded model ``name``, with what it shares with the first of them."""
    known = EMBEDDED[name]
    given: dict[str, Any] = {}
    if known.shared:
        home = open_folder(toybox_folder(EMBEDDED[DEFAULT].folder))
        others = dict.fromkeys(set(home.components) - set(known.shared.values()))
        first = load_folder(home, name, dtype, variant, others)
        given = {ours: getattr(first, theirs) for ours, theirs in known.shared.items()}
    return load_folder(open_folder(toybox_folder(known.folder)), name, dtype, variant, given)


def _unknown(source: str, path: Path) -> str:
    """Why ``source`` names no model."""
    if "://" in source:
        return f"{source!r} is an address; download the model and give the file or folder."
    if path.suffix in SINGLE_FILES:
        if not path.is_absolute() and len(path.parts) == 3 and not path.parent.is_dir():
            hub = "/".join(path.parts[:2])
            return (
                f"There is no file {source!r}. If it is one of {hub} on the hub, download it with "
                f"`hf download {hub} {path.name}` and give the path that this prints."
            )
        near = sorted(p for p in path.parent.glob("*" + path.suffix) if p.is_file())
        there = f"; there is {', '.join(str(p) for p in near[:3])}" if near else ""
        return f"There is no file {source!r}{there}; check the name."
    known = ", ".join(repr(name) for name in EMBEDDED)
    if near := _with_ending(source):
        return f"No model {source!r}, but there is a file of that name; give {near!r}."
    return (
        f"No model {source!r}: expected {known}, an existing folder, a .safetensors file, or a hub "
        "name such as 'CompVis/stable-diffusion-v1-4'."
    )


def _with_ending(source: str) -> str:
    """The single file that ``source`` is without its ending, "" where there is none."""
    named = (f"{source}{ending}" for ending in SINGLE_FILES if source)
    return next((name for name in named if Path(name).is_file()), "")


def _settle(pipeline: Any, device: str | torch.device) -> None:
    """Every network of a pipeline of our own on ``device``, in evaluation mode, frozen."""
    with silence():
        if torch.device(device).type != "cpu":
            pipeline.to(device)
    for network in networks(pipeline).values():
        network.eval().requires_grad_(False)


def _refuse_options(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            what = "folders and names on the hub" if name == "variant" else "single files"
            raise ModelError(f"{name} is for {what}; leave it out.")


def _refuse_changes(
    model: Model, device: str | torch.device | None, dtype: torch.dtype | None
) -> None:
    """ModelError when a pipeline object would have to be moved or cast: it is the caller's."""
    is_there = device is None or _same_place(torch.device(device), model.device)
    if not is_there or (dtype is not None and dtype != model.dtype):
        wanted = [repr(str(device))] if not is_there else []
        wanted += [str(dtype)] if dtype is not None and dtype != model.dtype else []
        raise ModelError(
            f"The {model.name} is on {model.device} in {model.dtype} and is not changed here; call "
            f"pipeline.to({', '.join(wanted)}) first, or leave device and dtype out."
        )


def _same_place(wanted: torch.device, found: torch.device) -> bool:
    return wanted.type == found.type and wanted.index in (None, found.index)
