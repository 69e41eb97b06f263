"""Prompts as tokens, exactly as the pipeline's own tokenizers make them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from overpaint.errors import PromptError
from overpaint.models.model import Model


@dataclass(frozen=True)
class Tokens:
    """Prompts tokenized for a CLIP text tower.

    Attributes:
        ids: ``[n, L]`` int64, padded to the model's length.
        mask: ``[n, L]`` bool, true from the start token to the end token.
        end: ``[n]`` int64, the position of each prompt's end token.
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


@dataclass(frozen=True)
class PromptTokens:
    """One prompt as the tokens of a text encoder, and the rows they become.

    Token ``i`` is row ``first + i`` of what the encoder gives. Tokens that are not in the prompt
    (start, end, those of a chat template) have an empty range and no word.

    Attributes:
        tokens: The tokens as text.
        offsets: For each token the range of characters of :attr:`prompt` that it stands for.
        words: For each token the number of its word; None outside the prompt.
        end: The token that follows the prompt: the end token, or the first of the template's rest.
        first: Row of token 0; negative where the pipeline drops the template's beginning.
        length: Rows that the denoiser reads, its padding included where that is not masked.
        prompt: The prompt as the tokenizer sees it.
    """

    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    words: tuple[int | None, ...]
    end: int
    first: int
    length: int
    prompt: str

    @property
    def end_row(self) -> int:
        """Row of the end token: where the rows after the prompt begin."""
        return min(self.first + self.end, self.length - 1)

    @property
    def start_row(self) -> int:
        """Row of the token before the prompt: the start token, or the last of a chat template.

        Where there is none, as in T5, row 0.
        """
        begin = next((i for i, word in enumerate(self.words) if word is not None), self.end)
        return max(self.first + begin - 1, 0)


def max_length(model: Model, component: str = "text_encoder") -> int:
    """``L``: how many tokens the text encoder reads, start and end included."""
    return model.family.max_length(model, component)


def as_read(model: Model, prompt: str, component: str = "text_encoder") -> str:
    """``prompt`` as the tokenizer is given it: a textual inversion as all of its vectors."""
    convert = getattr(model.pipeline, "maybe_convert_prompt", None)
    tokenizer = model.tokenizer(component)
    added = getattr(tokenizer, "added_tokens_encoder", {})
    # The pipeline's conversion tokenizes, which takes time and warns of long prompts.
    inverted = any(f"{token}_1" in added for token in added)
    return convert(prompt, tokenizer) if convert and inverted else prompt


def refuse_empty(prompts: Sequence[str]) -> None:
    """Raise PromptError if a prompt is empty or no text."""
    for prompt in prompts:
        if not isinstance(prompt, str):
            raise PromptError(f"Expected prompts as text, got {prompt!r}.")
        if not prompt.strip():
            raise PromptError("The prompt is empty; say what to generate, e.g. 'a rose'.")


def token_count(model: Model, prompt: str, component: str = "text_encoder") -> int:
    """How many tokens ``prompt`` has before it is cut to the model's length."""
    template = model.family.template(model, as_read(model, prompt, component), component)
    found = _encoding(model.tokenizer(component), template.text, None, template.special)
    return len(found.ids)


def is_cut(model: Model, prompt: str, component: str = "text_encoder") -> bool:
    """Whether ``prompt`` is longer than the pipeline reads, so that its end is cut off."""
    limit = max_length(model, component) + model.family.dropped(model, component)
    return token_count(model, prompt, component) > limit


def tokenize(
    model: Model,
    prompts: Sequence[str],
    component: str = "text_encoder",
    *,
    allow_empty: bool = False,
) -> Tokens:
    """Tokenize ``prompts`` (``n`` of them) for the CLIP text encoder ``component``.

    Prompts that are too long are cut, as the pipeline does.

    Raises:
        PromptError: If a prompt is empty, unless ``allow_empty``.
    """
    if not allow_empty:
        refuse_empty(prompts)
    tokenizer, limit = model.tokenizer(component), max_length(model, component)
    texts = [as_read(model, prompt, component) for prompt in prompts]
    lists = tokenizer(texts, truncation=True, max_length=limit, verbose=False).input_ids
    # `mask` counts tokens, since the padding token of CLIP is also its end token.
    lengths = torch.tensor([len(ids) for ids in lists])
    padded = torch.full((len(lists), limit), int(tokenizer.pad_token_id))
    for row, ids in zip(padded, lists, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    mask = torch.arange(limit) < lengths[:, None]
    device = next(model.component(component).parameters()).device
    return Tokens(padded.to(device), mask.to(device), (lengths - 1).to(device))


def prompt_tokens(model: Model, prompt: str, component: str = "text_encoder") -> PromptTokens:
    """``prompt`` as the tokens of ``component``, cut as the pipeline cuts it.

    Raises:
        PromptError: If the prompt is empty, or the tokenizer cannot say where its words stand.
    """
    refuse_empty([prompt])
    family = model.family
    template = family.template(model, as_read(model, prompt, component), component)
    limit = max_length(model, component)
    dropped = family.dropped(model, component)
    tokenizer = model.tokenizer(component)
    found = _encoding(tokenizer, template.text, limit + dropped, template.special)
    begin, stop = len(template.before), len(template.before) + len(template.prompt)
    offsets, words = [], []
    for (a, b), word in zip(found.offsets, _word_numbers(found, template.text), strict=True):
        # A token may take the space before the prompt along.
        inside = a < b and b > begin and a < stop and word is not None
        offsets.append((max(a, begin) - begin, min(b, stop) - begin) if inside else (0, 0))
        words.append(word if inside else None)
    last = max((i for i, word in enumerate(words) if word is not None), default=-1)
    count = len(found.ids)
    first = (limit - count if family.pads_left(model, component) else 0) - dropped
    return PromptTokens(
        tuple(found.tokens),
        tuple(offsets),
        tuple(words),
        end=min(last + 1, count - 1),
        first=first,
        length=family.read_length(model, component, first + count),
        prompt=template.prompt,
    )


def empty_prompt(model: Model, component: str = "text_encoder") -> PromptTokens:
    """The empty prompt as the tokens of ``component``: those that stand around any prompt."""
    read = prompt_tokens(model, "a", component)
    around = [i for i, word in enumerate(read.words) if word is None]
    own = len(read.tokens) - len(around)
    first = read.first + (own if model.family.pads_left(model, component) else 0)
    return PromptTokens(
        tuple(read.tokens[i] for i in around),
        ((0, 0),) * len(around),
        (None,) * len(around),
        end=min(read.end - own, len(around) - 1),
        first=first,
        length=model.family.read_length(model, component, first + len(around)),
        prompt="",
    )


def _word_numbers(found: Any, text: str) -> list[int | None]:
    """The number of the word that each token of ``found`` belongs to, None for special tokens.

    Tokenizers after SentencePiece (Gemma, Llama) take a whole text for one word; there, words end
    where letters do.
    """
    words: list[int | None] = list(found.word_ids)
    spans: dict[int, list[int]] = {}
    for (a, b), word in zip(found.offsets, words, strict=True):
        if word is not None and a < b:
            span = spans.setdefault(word, [a, b])
            span[:] = min(span[0], a), max(span[1], b)
    if not any(re.search(r"\S\s+\S", text[a:b]) for a, b in spans.values()):
        return words
    starts = [match.start() for match in re.finditer(r"[^\W_]+|(?:[^\w\s]|_)+", text)]
    numbered: list[int | None] = []
    for (a, b), word in zip(found.offsets, words, strict=True):
        here = a + len(text[a:b]) - len(text[a:b].lstrip())
        numbered.append(None if word is None else bisect_right(starts, here) - 1)
    return numbered


_KEPT = 8192
_ENCODINGS: WeakKeyDictionary[Any, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()
"""What tokenizers made of texts: an edit of many prompts asks for each of them several times."""


def _encoding(tokenizer: Any, text: str, limit: int | None, special: bool = True) -> Any:
    """``text`` as a ``tokenizers.Encoding``, cut to ``limit`` tokens."""
    known = _ENCODINGS.setdefault(tokenizer, {})
    key = text, limit, special, len(tokenizer)
    if key not in known:
        if len(known) >= _KEPT:
            known.clear()
        known[key] = _encoded(tokenizer, text, limit, special)
    return known[key]


def _encoded(tokenizer: Any, text: str, limit: int | None, special: bool) -> Any:
    cut = {} if limit is None else {"truncation": True, "max_length": limit}
    ids = tokenizer(text, add_special_tokens=special, verbose=False, **cut)
    if tokenizer.is_fast:
        return ids.encodings[0]
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    found = convert_slow_tokenizer(tokenizer).encode(text, add_special_tokens=special)
    if (limit is None or len(found.ids) <= limit) and found.ids != ids.input_ids:
        raise PromptError(
            f"The tokenizer cannot say where the words of {text!r} stand; use plain characters."
        )
    if limit is not None:
        found.truncate(limit)
    return found
