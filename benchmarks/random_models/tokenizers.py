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


def llama_tokenizer(
    *, pad_token: str = "<pad>", add_bos_token: bool = False, length: int = 256
) -> Any:
    """A ``LlamaTokenizerFast``: word pieces with ``▁``, unknown characters as their bytes.

    As AuraFlow has it: no start token, an end token after the text.
    """
    from transformers import LlamaTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", *_fallback_bytes(), *_letters(), *_joined(_word_merges())]
    return LlamaTokenizerFast(
        vocab=_numbered([*pieces, pad_token]),
        merges=_word_merges(),
        pad_token=pad_token,
        padding_side="right",
        add_bos_token=add_bos_token,
        add_eos_token=True,
        model_max_length=length,
    )


def gemma_tokenizer(*, length: int = 256) -> Any:
    """A ``GemmaTokenizerFast``: as Llama's pieces, a start token before the text, none after."""
    from transformers import GemmaTokenizerFast

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces = [*special, *_fallback_bytes(), *_letters(), *_joined(_word_merges())]
    return GemmaTokenizerFast(
        vocab=_numbered(pieces),
        merges=_word_merges(),
        padding_side="right",
        add_bos_token=True,
        add_eos_token=False,
        model_max_length=length,
    )


def bert_tokenizer(*, length: int = 77) -> Any:
    """A ``BertTokenizer``: whole words, and characters (``##`` inside a word) for all others."""
    from transformers import BertTokenizer

    text = " ".join(captions()).lower()
    words = [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)]
    letters = sorted(set(text) - {" "})
    pieces = [*letters, *(f"##{letter}" for letter in letters), *words]
    vocab = _numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])
    return BertTokenizer(vocab=vocab, model_max_length=length)


@cache
def _clip_merges() -> _Merges:
    """Merges over bytes where the last byte of a word carries ``</w>``."""
    from transformers import CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    settings = {"initial_alphabet": _bytes(), "end_of_word_suffix": "</w>"}
    return _learn(tokenizer, captions(), **settings)


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
    merges = _word_merges()
    pieces = [*_letters(), *_joined(merges)]
    merging = Tokenizer(models.BPE(vocab=_numbered(pieces), merges=merges))
    merging.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    seen = Counter(piece for text in _marked() for piece in merging.encode(text).tokens)
    total = sum(seen[piece] + 1 for piece in pieces)
    return [(piece, math.log((seen[piece] + 1) / total)) for piece in dict.fromkeys(pieces)]


@cache
def _word_merges() -> _Merges:
    """Merges over characters where a word starts with ``▁`` (and, first in a text, without)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return _learn(tokenizer, [*_marked(), *captions()])


@cache
def _letters() -> list[str]:
    """Every character of the captions, ``▁`` first."""
    return ["▁", *sorted({letter for text in captions() for letter in text if letter != " "})]


def _marked() -> list[str]:
    """The captions with ``▁`` before every word."""
    return [" ".join(f"▁{word}" for word in text.split()) for text in captions()]


def _learn(tokenizer: Tokenizer, texts: Iterable[str], **settings: Any) -> _Merges:
    """The merges learnt from ``texts`` with the pre-tokenizer set: enough for every whole word."""
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, min_frequency=1, show_progress=False, **settings
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


def _fallback_bytes() -> list[str]:
    """The tokens that stand for single bytes beside a vocabulary of characters."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right


def _joined(merges: _Merges) -> list[str]:
    return ["".join(pair) for pair in merges]


def _numbered(pieces: Iterable[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
