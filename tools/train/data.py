"""Stages "data" and "tokenizer": pictures with captions, and a BPE learnt on the captions."""

from __future__ import annotations

import json
import multiprocessing
import random

import numpy as np
from rich.progress import track

from overpaint.toybox.grammar import sample_scene
from overpaint.toybox.render import SIZE, render
from tools.train.run import Run
from tools.train.untyped import CLIPTokenizer

PICTURES = 120_000
SHARD = 1_000
LENGTH = 32  # tokens in a prompt, both marks included
_BYTES = "abcdefghijklmnopqrstuvwxyz0123456789'.,-!?"


def _shard(number: int) -> tuple[np.ndarray, list[str]]:
    rng = random.Random(number)
    pictures = np.empty((SHARD, SIZE, SIZE, 3), np.uint8)
    captions = []
    for i in range(SHARD):
        scene = sample_scene(rng)
        pictures[i] = render(scene, seed=number * SHARD + i)
        captions.append(scene.caption)
    return pictures, captions


def make_data(run: Run) -> None:
    """Render the training set; the same on every machine."""
    out = np.lib.format.open_memmap(
        run.path("pictures.npy"), "w+", np.uint8, (PICTURES, SIZE, SIZE, 3)
    )
    captions: list[str] = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        shards = pool.imap(_shard, range(PICTURES // SHARD))
        for pictures, said in track(shards, "data", total=PICTURES // SHARD):
            out[len(captions) : len(captions) + SHARD] = pictures
            captions += said
    out.flush()
    run.path("captions.json").write_text(json.dumps(captions))
    run.sheet("data", [run.batch(np.arange(12 * k, 12 * k + 12)) for k in range(6)])


def make_tokenizer(run: Run) -> None:
    """CLIP's byte-pair encoding, learnt on the world's captions."""
    vocab: dict[str, int] = {}
    for piece in [*_BYTES, *(c + "</w>" for c in _BYTES), "<|startoftext|>", "<|endoftext|>"]:
        vocab[piece] = len(vocab)
    empty = CLIPTokenizer(vocab=vocab, merges=[])
    tokenizer = empty.train_new_from_iterator(run.captions[:40_000], vocab_size=640)
    tokenizer.model_max_length = LENGTH
    tokenizer.save_pretrained(run.path("tokenizer"))
