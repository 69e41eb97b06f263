"""Stages "t5_tokenizer" and "t5": a T5 encoder that has read the world's captions, and no picture.

FLUX and SD3 take their words from T5, a text model that never saw an image: what a president looks
like is known to the transformer that paints, not to the encoder. So this encoder learns by span
corruption alone (Raffel et al., 2020, section 3.1.4): some spans of a caption are replaced by
sentinels, and a small decoder, thrown away afterwards, has to say what they were.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import torch

from overpaint.toybox.grammar import captions, sample_scene
from tools.train.data import LENGTH
from tools.train.loop import Settings, train
from tools.train.run import Run
from tools.train.untyped import (
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

T5 = Settings(steps=1_700, batch=64, lr=2e-3, seed=15, warmup=200, ema=0.995)
ASKED, ANSWER = 24, 16  # tokens of a corrupted caption and of an answer, end and padding included
SENTINELS = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789'.,-!?"
_LONG, _RARE = 8, 0.003  # letters; share of all words


def make_t5_tokenizer(run: Run) -> None:
    """A unigram tokenizer of the captions' words, made as sentencepiece's turn out on real text.

    Frequent words are one piece, plurals a stem and "s", long rare words (most of them names) two
    pieces, and everything else is spelled. A unigram model fitted to 144 words spells nearly all of
    them.
    """
    words = Counter(w for c in captions(60_000) for w in c.replace("'s", " 's").split())
    total = sum(words.values())
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for piece in _pieces(word, count / total, words):
            pieces[piece] += count
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    vocab += [(piece, math.log(count / total)) for piece, count in pieces.most_common()]
    vocab += [(letter, -14.0) for letter in ("▁", *_LETTERS) if letter not in pieces]
    tokenizer = T5Tokenizer(vocab=vocab, extra_ids=SENTINELS)
    tokenizer.model_max_length = LENGTH
    tokenizer.save_pretrained(run.path("t5_tokenizer"))


def _pieces(word: str, share: float, words: Counter[str]) -> list[str]:
    if word == "'s":
        return [word]
    if word.endswith("s") and word[:-1] in words:
        return ["▁" + word[:-1], "s"]
    if len(word) >= _LONG and share < _RARE:
        return ["▁" + word[: len(word) // 2], word[len(word) // 2 :]]
    return ["▁" + word]


def build(tokens: int) -> Any:
    """An untrained T5 1.1 with six encoder layers, and two decoder layers to train it with."""
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=tokens,
            d_model=128,
            d_kv=32,
            d_ff=320,
            num_layers=6,
            num_decoder_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            decoder_start_token_id=0,
        )
    )


def corrupt(
    ids: list[int], sentinels: list[int], rng: random.Random
) -> tuple[list[int], list[int]]:
    """A caption with one or two spans of one to three tokens behind sentinels, and the answer.

    ``ids`` are the caption's tokens without the end token; neither result has one either.
    """
    masked = [False] * len(ids)
    for _ in range(1 if len(ids) < 5 else 2):
        start = rng.randrange(len(ids))
        for position in range(start, min(start + rng.randint(1, 3), len(ids))):
            masked[position] = True
    asked, answer, used = [], [], 0
    for position, token in enumerate(ids):
        if not masked[position]:
            asked.append(token)
            continue
        if position == 0 or not masked[position - 1]:
            asked.append(sentinels[used])
            answer.append(sentinels[used])
            used += 1
        answer.append(token)
    return asked, [*answer, sentinels[used]]


def train_t5(run: Run) -> None:
    """Train by span corruption on fresh captions and keep the encoder.

    The encoder sees its padding, as it does in diffusers' FLUX pipeline, which passes no mask.
    """
    torch.manual_seed(T5.seed)
    tokenizer = T5Tokenizer.from_pretrained(run.path("t5_tokenizer"))
    end = tokenizer.eos_token_id
    sentinels = tokenizer.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(8)])
    model = build(len(tokenizer)).to(run.device)
    # An untied head starts with embedding-sized weights, 11 times too large for logits.
    model.lm_head.weight.data.mul_(model.config.d_model**-0.5)
    model.config.use_cache = False

    def step(_: np.random.Generator, i: int) -> torch.Tensor:
        rng = random.Random(T5.seed * 1_000_003 + i)
        said = [sample_scene(rng).caption for _ in range(T5.batch)]
        pairs = [corrupt(ids[:-1], sentinels, rng) for ids in tokenizer(said)["input_ids"]]
        asked = _rows([[*question, end] for question, _ in pairs], ASKED, 0)
        wanted = _rows([[*answer, end] for _, answer in pairs], ANSWER, -100)
        everything = torch.ones_like(asked).to(run.device)
        return model(
            input_ids=asked.to(run.device), attention_mask=everything, labels=wanted.to(run.device)
        ).loss

    best = train(model, step, T5, run.path("t5.ckpt")).eval()
    encoder = T5EncoderModel(best.config)
    encoder.shared.load_state_dict(best.shared.state_dict())
    encoder.encoder.load_state_dict(best.encoder.state_dict())
    encoder.save_pretrained(run.path("t5"))


def _rows(ids: list[list[int]], length: int, fill: int) -> torch.Tensor:
    """Token ids ``[b, length]``, cut off or filled up."""
    return torch.tensor([(row + [fill] * length)[:length] for row in ids])
