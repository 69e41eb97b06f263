"""What can be done with which family of models, and what an edit reaches in one.

The answers follow from what a family says of itself and from what each method needs; running every
cell on random models of the true classes (``benchmarks/families.py``) shows that they are right.
"""

from __future__ import annotations

from collections.abc import Sequence

from overpaint.errors import ModelError
from overpaint.methods.registry import METHODS, Method
from overpaint.models.families import Family, no_neurons
from overpaint.models.model import Model
from overpaint.types import Change

LOCALIZATION = ("locogen", "causal tracing", "neurons")
"""Ways to find where a model keeps something."""


def capabilities() -> tuple[str, ...]:
    """All that is asked of a family: generation, methods, localization, LoRA files."""
    return ("generate", *METHODS, *LOCALIZATION, "lora")


def why_not(family: Family, capability: str, model: Model | None = None) -> str:
    """Why a family cannot do something, in words that name what works; "" if it can.

    Args:
        family: The family.
        capability: One of :func:`capabilities`.
        model: A model of the family, which may have fewer text encoders, or need a picture.
    """
    if capability in family.unsupported:
        return family.unsupported[capability]
    if model is not None and capability in ("generate", "locogen", "causal tracing"):
        try:
            family.check_generates(model)
        except ModelError as error:
            return str(error)
    if capability == "lora" and not family.lora_forms:
        return f"no program reads LoRAs of {family.name}; apply the patch file with overpaint"
    if capability == "neurons":
        return no_neurons(family)
    if capability in METHODS:
        has = family.encoders if model is None else model.text_encoders
        return _method_not(family, METHODS[capability], has)
    return ""


def notes() -> tuple[str, ...]:
    """What the methods need, in a line each: the reasons behind most of what does not work."""
    by_need: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        by_need.setdefault(method.needs, []).append(name)
    return (
        f"{', '.join(by_need['CLIP'])} edit a CLIP text encoder; models that read their prompts "
        f"with another kind are edited by {', '.join(by_need['text path'])}",
        f"{', '.join(by_need['only CLIP'])} trains a CLIP that is the model's only text encoder",
        "overpaint models check MODEL gives the reasons for one model",
    )


def _method_not(family: Family, method: Method, encoders: Sequence[str]) -> str:
    if method.needs != "text path" and not set(family.towers) & set(encoders):
        return (
            f"{method.label} edits a CLIP text encoder, and {family.name} has none; use time, uce "
            "or locoedit"
        )
    if method.needs == "only CLIP" and len(encoders) > 1:
        return (
            f"{method.label} trains a model's only text encoder, and {family.name} has "
            f"{len(encoders)}; use finetune, which trains one layer"
        )
    return ""


def reached(model: Model, deltas: Sequence[Change]) -> tuple[list[str], list[str]]:
    """What of a picture's text ``deltas`` change, and what they leave as it was.

    An edit of a text encoder changes all that is read of it. An edit of the denoiser changes what
    its layers read on one path.

    Returns:
        Two lists of descriptions such as ``"tokens of text_encoder"`` or ``"pooled path"``.
    """
    touched = {delta.site.component for delta in deltas}
    sites = {delta.site for delta in deltas}
    denoiser = model.family.denoiser in touched
    yes, no = [], []
    if denoiser:
        for path in model.family.paths(model):
            (yes if sites & set(path.sites) else no).append(f"{path.name} path")
        return yes, no
    for component in model.text_encoders:
        what = f"{model.family.reads.get(component, 'tokens')} of {component}"
        (yes if component in touched else no).append(what)
    return yes, no
