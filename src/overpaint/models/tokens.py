"""Prompts as tokens, exactly as the pipeline's own tokenizer makes them.

A CLIP prompt becomes: start, its tokens, end, padding, up to the model's length ``L``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overpaint.errors import PromptError
from overpaint.models.model import Model


@dataclass(frozen=True)
class Tokens:
    """Tokenized prompts.

    ``ids [n, L]`` int64, padded to the model's length; ``mask [n, L]`` bool, true from the start
    token to the end token; ``end [n]`` int64, the position of each prompt's end token.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    end: torch.Tensor

    def trimmed(self) -> Tokens:
        """Without the columns that are padding for everyone.

        CLIP's attention is causal: no token before them sees them, nothing that is read changes.
        """
        width = int(self.end.max()) + 1
        return Tokens(self.ids[:, :width], self.mask[:, :width], self.end)


def tokenizer_of(model: Model, component: str = "text_encoder") -> Any:
    """The tokenizer that feeds ``component``."""
    return getattr(model.pipeline, component.replace("text_encoder", "tokenizer"))


def max_length(model: Model, component: str = "text_encoder") -> int:
    """``L``: how many tokens the text encoder reads, start and end included."""
    config = getattr(model.component(component), "config", None)
    positions = getattr(config, "max_position_embeddings", None) or 1 << 30
    return min(tokenizer_of(model, component).model_max_length, positions)


def tokenize(
    model: Model,
    prompts: Sequence[str],
    component: str = "text_encoder",
    *,
    allow_empty: bool = False,
) -> Tokens:
    """Tokenize ``prompts`` (n of them) for ``component``.

    PromptError when a prompt is empty (unless ``allow_empty``, for the unconditional branch of
    guidance) or longer than the model reads; the message names the length and the limit.
    """
    tokenizer, limit = tokenizer_of(model, component), max_length(model, component)
    for prompt in prompts:
        if not prompt.strip() and not allow_empty:
            raise PromptError("The prompt is empty; say what to paint, e.g. 'a rose'.")
    lists = tokenizer(list(prompts), verbose=False).input_ids
    for prompt, ids in zip(prompts, lists, strict=True):
        if len(ids) > limit:
            raise PromptError(
                f"The prompt has {len(ids)} tokens, {limit} are the limit "
                f"(start and end included); shorten it: {prompt!r}"
            )
    # `mask` counts tokens, since the padding token of CLIP is also its end token.
    lengths = torch.tensor([len(ids) for ids in lists])
    padded = torch.full((len(lists), limit), int(tokenizer.pad_token_id))
    for row, ids in zip(padded, lists, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    mask = torch.arange(limit) < lengths[:, None]
    device = next(model.component(component).parameters()).device
    return Tokens(padded.to(device), mask.to(device), (lengths - 1).to(device))


def encoding(model: Model, prompt: str, component: str = "text_encoder") -> Any:
    """One unpadded prompt as a ``tokenizers.Encoding``: ``ids``, ``tokens``, ``offsets``, ...

    ``offsets[i]`` is the range of characters of ``prompt`` that token i stands for, ``word_ids[i]``
    the number of its word, None for the start and end tokens. PromptError as in :func:`tokenize`.
    """
    tokenize(model, [prompt], component)
    tokenizer = tokenizer_of(model, component)
    if tokenizer.is_fast:
        return tokenizer(prompt, verbose=False).encodings[0]
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    found = convert_slow_tokenizer(tokenizer).encode(prompt)
    if found.ids != tokenizer(prompt, verbose=False).input_ids:
        raise PromptError(
            f"The tokenizer cannot say where the words of {prompt!r} stand; use plain characters."
        )
    return found
