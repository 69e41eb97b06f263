"""What no part of the library can use, found when a pipeline is loaded and not in the middle."""

from __future__ import annotations

import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.loaders import networks
from overpaint.models.model import Model

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def refuse_unusable(model: Model) -> None:
    """Refuse a model that can be neither encoded, generated with nor edited.

    Raises:
        ModelError: If it has no denoiser or no text encoder, an encoder without its tokenizer,
            weights that are not in memory, or networks in training that drop numbers at random.
    """
    _check_denoiser(model)
    _check_text(model)
    refuse_unread(model)
    read = (*model.text_encoders, model.family.denoiser)
    for name, network in networks(model.pipeline).items():
        if name in read:
            _check_memory(model, name, network)
            _check_dropout(model, name, network)


def refuse_unread(model: Model) -> None:
    """Refuse text encoders that cannot be read, also where they were changed after loading.

    Raises:
        ModelError: If their weights are not in memory, or are stored in eight bits.
    """
    for name in model.text_encoders:
        network = model.component(name)
        _check_memory(model, name, network)
        form = getattr(network, "dtype", None)
        if isinstance(form, torch.dtype) and form.itemsize == 1:
            raise ModelError(
                f"{name} of {model.name} stores its weights in {form} (layerwise casting), and the "
                "pipeline would cast the encoded prompts to that; load the text encoder in at "
                "least 16 bits. The denoiser may store its weights in eight bits."
            )


def _check_denoiser(model: Model) -> None:
    name = model.family.denoiser
    if getattr(model.pipeline, name, None) is None:
        raise ModelError(
            f"{model.name} comes without its {name}, which paints and holds most of what is "
            f"edited; load the pipeline with its {name}."
        )


def _check_text(model: Model) -> None:
    """A text encoder that is not there is not edited; one of them has to be."""
    if not model.text_encoders:
        wanted = " or ".join(model.family.encoders)
        raise ModelError(
            f"{model.name} comes without its {wanted}, but an edit starts from text; load the "
            f"pipeline with its {wanted}."
        )
    for component in model.text_encoders:
        part = component.replace("text_encoder", "tokenizer")
        if getattr(model.pipeline, part, None) is None:
            raise ModelError(
                f"{model.name} comes without its {part}, but an edit starts from text; load the "
                f"pipeline with its {part}."
            )


def _check_memory(model: Model, name: str, network: nn.Module) -> None:
    if any(weight.is_meta for weight in network.parameters()):
        raise ModelError(
            f"The weights of {name} of {model.name} are not in memory (sequential or disk "
            "offload), and can be neither read nor edited; call pipeline.remove_all_hooks() or "
            "load it without; pipeline.enable_model_cpu_offload() saves memory too."
        )


def _check_dropout(model: Model, name: str, network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, _DROPOUT) and module.training and module.p > 0:
            raise ModelError(
                f"{name} of {model.name} is in training mode and drops numbers at random, so no "
                f"two runs are alike; call pipeline.{name}.eval() first."
            )
