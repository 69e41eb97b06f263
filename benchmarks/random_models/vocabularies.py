"""Vocabularies trained on :mod:`random_models.captions`, once per process.

All are trained with byte-pair encoding (BPE), which is deterministic: every process gets the same
token ids. Training continues until every word of the captions is one token.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from random_models.captions import captions

Merges = list[tuple[str, str]]
"""BPE merges in the order in which they are applied."""


@cache
def clip_merges() -> Merges:
    """Merges of bytes, with ``</w>`` at the end of a word."""
    from transformers import CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    settings = {"initial_alphabet": printable_bytes(), "end_of_word_suffix": "</w>"}
    return _learn(tokenizer, captions(), **settings)


@cache
def real_clip_merges() -> Merges | None:
    """The merges of OpenAI's CLIP from the ``open_clip`` package; None if it is not installed."""
    spec = util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
    if not path.is_file():
        return None
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    count = 49408 - 2 * 256 - 2  # the file has more; its first line is a comment
    return [_pair(line) for line in lines[1 : 1 + count]]


@cache
def byte_merges() -> Merges:
    """Merges of bytes, pre-tokenized as Qwen does: a space belongs to the word after it."""
    from transformers import Qwen2Tokenizer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    texts = [*captions(), *(f" {caption}" for caption in captions())]
    return _learn(tokenizer, texts, initial_alphabet=printable_bytes())


@cache
def word_merges() -> Merges:
    """Merges of characters, with and without ``▁`` at the start of a word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return _learn(tokenizer, [*_marked(), *captions()])


@cache
def unigrams() -> list[tuple[str, float]]:
    """SentencePiece-style unigrams with their log probabilities.

    The unigrams are all characters and the results of :func:`word_merges`. Their probabilities
    are their frequencies in the BPE-tokenized captions, with add-one smoothing.
    """
    merges = word_merges()
    pieces = [*letters(), *joined(merges)]
    merging = Tokenizer(models.BPE(vocab=numbered(pieces), merges=merges))
    merging.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    seen = Counter(piece for text in _marked() for piece in merging.encode(text).tokens)
    total = sum(seen[piece] + 1 for piece in pieces)
    return [(piece, math.log((seen[piece] + 1) / total)) for piece in dict.fromkeys(pieces)]


@cache
def words() -> list[str]:
    """The lower-cased words and punctuation marks of the captions, without duplicates."""
    text = " ".join(captions()).lower()
    found = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    return list(dict.fromkeys(word for word, _ in found))


@cache
def letters() -> list[str]:
    """Every character of the captions, ``▁`` first."""
    return ["▁", *sorted({letter for text in captions() for letter in text if letter != " "})]


@cache
def printable_bytes() -> list[str]:
    """Printable characters that represent the 256 bytes, in the order of GPT-2's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def fallback_bytes() -> list[str]:
    """Tokens for single bytes in a vocabulary of characters (byte fallback)."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


def joined(merges: Merges) -> list[str]:
    """The tokens that the merges produce."""
    return ["".join(pair) for pair in merges]


def numbered(pieces: Iterable[str]) -> dict[str, int]:
    """Token ids in the order of ``pieces``; a duplicate keeps its first id."""
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def _marked() -> list[str]:
    """The captions with ``▁`` before every word."""
    return [" ".join(f"▁{word}" for word in text.split()) for text in captions()]


def _learn(tokenizer: Tokenizer, texts: Iterable[str], **settings: Any) -> Merges:
    """Train BPE merges on ``texts`` with the tokenizer's pre-tokenizer."""
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, min_frequency=1, show_progress=False, **settings
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [_pair(merge) if isinstance(merge, str) else (merge[0], merge[1]) for merge in merges]


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right
