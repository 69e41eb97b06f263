"""The joint CLIP of a model: pictures and prompts in one space, with the pipeline's own words.

A pipeline keeps only the text tower of a CLIP, and of some CLIPs not all its layers (Stable
Diffusion 2 leaves out the last). Here the CLIP's other half is put beside the pipeline's tower: the
modules the two have in common are the pipeline's, so an edit is seen by both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from overpaint.errors import ModelError
from overpaint.models.loaders import from_pretrained, silence
from overpaint.models.model import Model
from overpaint.models.preprocess import read_preprocess
from overpaint.models.sites import is_clip, text_transformer


def with_clip(model: Model, source: str | Path) -> Model:
    """Put the joint CLIP at ``source`` beside a model, whose text tower becomes its own.

    Args:
        model: The model; nothing in it is changed.
        source: Folder or hub name of a ``transformers.CLIPModel``. It belongs to the first of the
            model's text encoders whose tower has the shapes of its own, or of its first layers.

    Returns:
        ``model`` with ``clip``, and with ``preprocess`` as the files beside the CLIP say.

    Raises:
        ModelError: If nothing can be loaded, or no text encoder has the CLIP's shapes.
    """
    from transformers import CLIPModel

    with silence():
        clip = from_pretrained(CLIPModel, str(source))
    component = _component(model, clip, source)
    encoder = model.component(component)
    place = next(encoder.parameters())
    clip.to(device=place.device, dtype=place.dtype).eval().requires_grad_(False)
    _share(clip, text_transformer(encoder))
    size = clip.config.vision_config.image_size
    return replace(model, clip=clip, preprocess=read_preprocess(str(source), size))


def clip_component(model: Model) -> str:
    """The text encoder that the model's joint CLIP belongs to."""
    for name in model.text_encoders:
        if joint_tower(model, name) is not None:
            return name
    raise ModelError(
        f"The CLIP of {model.name} belongs to none of its text encoders; load it anew."
    )


def joint_tower(model: Model, component: str) -> Any:
    """The joint CLIP's text tower where it is that of ``component``, else None.

    It begins with the layers of ``component`` and may go on where the pipeline stops.
    """
    if model.clip is None:
        return None
    tower = _tower(model, component)
    same = tower is not None and model.clip.text_model.embeddings is tower.embeddings
    return model.clip.text_model if same else None


def _tower(model: Model, component: str) -> Any:
    """The CLIP tower of a text encoder, None where it is of another kind."""
    encoder = model.component(component)
    return text_transformer(encoder) if is_clip(encoder) else None


def _component(model: Model, clip: Any, source: str | Path) -> str:
    wanted = _shapes(clip.text_model)
    towers = {name: _tower(model, name) for name in model.text_encoders}
    for whole in (True, False):
        for name, tower in towers.items():
            shapes = {} if tower is None else _shapes(tower)
            if shapes and (shapes == wanted if whole else shapes.items() <= wanted.items()):
                return name
    raise ModelError(
        f"The text tower of CLIP {source} has other shapes than the text encoders of {model.name}; "
        "give the CLIP that one of them was taken from."
    )


def _shapes(tower: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in tower.named_parameters()}


def _share(clip: Any, tower: Any) -> None:
    """Let ``clip`` read with the modules of ``tower``; later layers stay its own."""
    own = clip.text_model
    if len(own.encoder.layers) == len(tower.encoder.layers):
        clip.text_model = tower
        return
    own.embeddings, own.final_layer_norm = tower.embeddings, tower.final_layer_norm
    for number, layer in enumerate(tower.encoder.layers):
        own.encoder.layers[number] = layer
