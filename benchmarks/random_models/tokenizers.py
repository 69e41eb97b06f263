"""Small tokenizers of the true classes and layouts, learnt from :mod:`random_models.captions`.

Each function returns a fresh tokenizer; the vocabulary behind it is learnt once per process.
Learning is byte-pair merging, which is deterministic, so that a pipeline built in another process
reads the same ids.
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

_Merges = list[tuple[str, str]]


def clip_tokenizer(
    *, pad_token: str = "<|endoftext|>", length: int = 77, full: bool = False
) -> Any:
    """A ``CLIPTokenizer``: 256 bytes, the same ending a word, the merges, start and end token.

    Args:
        pad_token: ``"!"`` in SD2 and in the second tokenizer of SDXL, the end token elsewhere.
        length: ``model_max_length``, in tokens, start and end included.
        full: CLIP's own 49408 tokens, when the package ``open_clip`` that ships their merges is
            installed; the small vocabulary otherwise.
    """
    from transformers import CLIPTokenizer

    merges = (_real_clip_merges() if full else None) or _clip_merges()
    pieces = [*_bytes(), *(f"{byte}</w>" for byte in _bytes()), *_joined(merges)]
    vocab = _numbered([*pieces, "<|startoftext|>", "<|endoftext|>"])
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad_token, model_max_length=length)


def t5_tokenizer(*, length: int = 512) -> Any:
    """A ``T5TokenizerFast``: pad, end and unknown first, then unigrams, then 100 sentinels.

    As in the original there is no byte fallback: a character that no caption has is ``<unk>``.
    """
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_unigrams()]
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    return T5TokenizerFast(vocab=pieces, model_max_length=length)


@cache
def _clip_merges() -> _Merges:
    """Merges over bytes where the last byte of a word carries ``</w>``."""
    from transformers import CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    return _learn(tokenizer, captions(), end_of_word_suffix="</w>")


@cache
def _real_clip_merges() -> _Merges | None:
    """The merges of OpenAI's CLIP from the file that ``open_clip`` ships, or None without it."""
    spec = util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
    if not path.is_file():
        return None
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    count = 49408 - 2 * 256 - 2
    return [_pair(line) for line in lines[1 : 1 + count]]


@cache
def _unigrams() -> list[tuple[str, float]]:
    """Pieces with their log probability: those that byte-pair merging finds, and every character.

    The pieces are counted in the captions as merging cuts them, each once more than it occurs, so
    that no score is infinite.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    texts = captions()
    merges = _learn(tokenizer, texts, bytes_first=False)
    letters = sorted({letter for text in texts for letter in text if not letter.isspace()} | {"▁"})
    pieces = dict.fromkeys([*letters, *_joined(merges)], 1)
    seen = Counter(piece for text in texts for piece in tokenizer.encode(text).tokens)
    counts = {piece: count + seen[piece] for piece, count in pieces.items()}
    total = sum(counts.values())
    return [(piece, math.log(count / total)) for piece, count in counts.items()]


def _learn(
    tokenizer: Tokenizer, texts: Iterable[str], *, bytes_first: bool = True, **settings: Any
) -> _Merges:
    """The merges learnt from ``texts`` with the pre-tokenizer set: enough for every whole word."""
    alphabet = _bytes() if bytes_first else []
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        initial_alphabet=alphabet,
        show_progress=False,
        **settings,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [_pair(merge) if isinstance(merge, str) else (merge[0], merge[1]) for merge in merges]


@cache
def _bytes() -> list[str]:
    """The printable stand-ins of the 256 bytes, in the order of GPT-2's and CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right


def _joined(merges: _Merges) -> list[str]:
    return ["".join(pair) for pair in merges]


def _numbered(pieces: Iterable[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
