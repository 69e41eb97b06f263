"""Prompts as tensors, and the door to everything about text: tokens, spans, alignment.

One implementation for every method. What the denoiser reads comes through the pipeline's own
``encode_prompt`` (:func:`encode`, :func:`read_rows`); what happens inside a CLIP tower, for methods
that edit one, through the tower itself (:func:`hidden_states`, :func:`pooled`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from overpaint.errors import ConfigError
from overpaint.models.conditioning import Conditioning
from overpaint.models.families.base import TextPath
from overpaint.models.joint import joint_tower
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer
from overpaint.models.spans import align, end_rows, last_subject_token, subject_span
from overpaint.models.tokens import (
    Tokens,
    empty_prompt,
    is_cut,
    max_length,
    prompt_tokens,
    refuse_empty,
    token_count,
    tokenize,
)
from overpaint.types import Sampling

__all__ = [
    "Tokens",
    "align",
    "empty_prompt",
    "encode",
    "end_rows",
    "hidden_states",
    "is_cut",
    "last_subject_token",
    "max_length",
    "pooled",
    "prompt_tokens",
    "read_rows",
    "subject_span",
    "text_projection",
    "text_transformer",
    "token_count",
    "tokenize",
    "whole_tower",
]

TOGETHER = 16
"""Prompts encoded in one batch: large enough to be fast, small enough that memory stays flat."""


@torch.no_grad()
def encode(
    model: Model, prompts: Sequence[str], sampling: Sampling | None = None
) -> list[Conditioning]:
    """What the pipeline reads of each prompt, with the negative branch if ``sampling`` needs it.

    Every prompt is encoded on its own and only once: the last bit of a matrix product may depend on
    how many rows it has; alone, a prompt's embedding does not depend on its company.

    Args:
        model: The model.
        prompts: ``n`` prompts.
        sampling: How pictures are generated; None for the positive branch alone.

    Returns:
        ``n`` conditionings of one row.

    Raises:
        ConfigError: If a negative prompt is given that nothing would read.
        PromptError: If a prompt is empty.
    """
    refuse_empty(prompts)
    guided = sampling is not None and model.family.guided(model, sampling)
    how = sampling or Sampling()
    model.family.check_sampling(model, how)
    if how.negative_prompt and not guided:
        if reason := model.family.unsupported.get("negative prompt"):
            raise ConfigError(reason)
        raise ConfigError(
            f"a negative prompt has no effect without guidance above 1 (it is {how.guidance}"
            f"{'' if how.true_cfg is None else f', true_cfg {how.true_cfg}'}); raise the guidance, "
            "for FLUX dev true_cfg, or leave the negative prompt out"
        )
    known: dict[str, Conditioning] = {}
    negative: dict[str, Tensor] = {}  # is the same for all prompts, so it is encoded with the first
    for prompt in dict.fromkeys(prompts):
        found = model.family.encode(
            model,
            [prompt],
            negative=how.negative_prompt,
            guided=guided and not negative,
            clip_skip=how.clip_skip,
        )
        if model.family.shared_negative:
            negative = negative or found.negative
        known[prompt] = found.replace(**negative)
    return [known[prompt] for prompt in prompts]


@torch.no_grad()
def read_rows(
    model: Model, path: TextPath, wanted: Iterable[tuple[str, Sequence[int]]]
) -> tuple[Tensor, ...]:
    """Rows of what the sites of ``path`` read for some prompts.

    Each distinct prompt is encoded once, in batches of bounded size, and only the rows that are
    asked for are kept.

    Args:
        model: The model.
        path: One of ``model.family.paths(model)``.
        wanted: Prompts, and which of their rows.

    Returns:
        For each group of sites of the path ``[m, d]``: the rows of all prompts one after another.
    """
    asked = list(wanted)
    unique = list(dict.fromkeys(prompt for prompt, _ in asked))
    needed: dict[str, list[int]] = {prompt: [] for prompt in unique}
    for prompt, rows in asked:
        needed[prompt] = sorted({*needed[prompt], *rows})
    place = {prompt: {row: i for i, row in enumerate(rows)} for prompt, rows in needed.items()}
    batch = TOGETHER if model.family.fixed_length else 1
    kept: dict[str, tuple[Tensor, ...]] = {}
    for start in range(0, len(unique), batch):
        part = unique[start : start + batch]
        groups = model.family.inputs(model, part, path)
        for number, prompt in enumerate(part):
            kept[prompt] = tuple(states[number, needed[prompt]] for states in groups)
    found: list[list[Tensor]] = [[] for _ in path.groups]
    for prompt, rows in asked:
        chosen = [place[prompt][row] for row in rows]
        for out, states in zip(found, kept[prompt], strict=True):
            out.append(states[chosen])
    return tuple(torch.cat(parts) for parts in found)


def hidden_states(
    model: Model, tokens: Tokens, component: str = "text_encoder", *, whole: bool = False
) -> Tensor:
    """Last hidden states of a CLIP text encoder after the final layer norm, ``[n, L, d]``.

    ``whole``: of all layers that its joint CLIP has, where the pipeline leaves some out.
    """
    encoder = model.component(component)
    uses_mask = getattr(getattr(encoder, "config", None), "use_attention_mask", False)
    mask = tokens.mask.long() if uses_mask else None
    tower = whole_tower(model, component) if whole else text_transformer(encoder)
    return tower(tokens.ids, attention_mask=mask).last_hidden_state


def whole_tower(model: Model, component: str = "text_encoder") -> nn.Module:
    """The CLIP tower of a text encoder, with the layers that only its joint CLIP has."""
    joint = joint_tower(model, component)
    return text_transformer(model.component(component)) if joint is None else joint


def text_projection(model: Model, component: str = "text_encoder") -> nn.Module | None:
    """The map from the end token to the space shared with pictures, or None when unknown."""
    own = getattr(model.component(component), "text_projection", None)
    joint = own is None and joint_tower(model, component) is not None
    return model.clip.text_projection if joint else own


def pooled(
    model: Model,
    prompts: Sequence[str],
    component: str | None = None,
    *,
    allow_empty: bool = False,
) -> Tensor:
    """One feature per prompt, ``[n, d]``: the end token, projected where a projection is known.

    ``component`` defaults to the last CLIP of the model (in SDXL the one with a projection).
    """
    component = component or model.family.clip_encoders(model)[-1]
    tokens = tokenize(model, prompts, component, allow_empty=allow_empty)
    states = hidden_states(model, tokens.trimmed(), component, whole=True)
    ends = states[torch.arange(len(states), device=states.device), tokens.end]
    projection = text_projection(model, component)
    return ends if projection is None else projection(ends)
