"""Stages "judge" and "clip": two CLIPs that share nothing, one to score and one to paint with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from tools.train.contrastive import Captions, contrastive_loss, refusal_loss, unit
from tools.train.data import LENGTH
from tools.train.exams import Sheet, sheets
from tools.train.loop import Settings, train
from tools.train.mistakes import mistaken
from tools.train.pick import evenly, with_lookalikes
from tools.train.run import Run
from tools.train.untyped import CLIPConfig, CLIPModel

WIDTH = 128  # of the text towers and of the joint space
JUDGE = Settings(
    steps=6_800,
    batch=128,
    lr=1e-3,
    weight_decay=0.05,
    seed=11,
    warmup=150,
    ema=0.998,
    bfloat16=True,
)
MISTAKES = 2  # wrong captions a picture that is not examined
CLIP = Settings(steps=1_100, batch=160, lr=1e-3, weight_decay=0.05, seed=12, warmup=150)


def build(tokens: int, text_layers: int, patch: int, width: int, heads: int) -> Any:
    """An untrained CLIP for 64x64 pictures with a four-layer vision tower of ``width``."""
    text = {
        "vocab_size": tokens,
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": text_layers,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "projection_dim": WIDTH,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 4,
        "num_attention_heads": heads,
        "image_size": 64,
        "patch_size": patch,
        "projection_dim": WIDTH,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def features(output: object) -> torch.Tensor:
    """Projected features, whether transformers returns the tensor (4) or an output (5)."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def _train(run: Run, name: str, model: Any, settings: Settings, *, examined: bool) -> None:
    """``examined``: captions that are wrong in one thing are asked about beside the batch's own."""
    captions = Captions(run)

    def encoded(said: list[list[int]]) -> torch.Tensor:
        return unit(features(model.get_text_features(captions.padded(said)[0])))

    def step(rng: np.random.Generator, i: int) -> torch.Tensor:
        asked = _asked(run, captions, rng, random.Random(i), settings.batch) if examined else []
        rest = settings.batch - sum(len(sheet.pictures) for sheet in asked)
        index = np.concatenate([*(s.pictures for s in asked), evenly(run, rng, rest)])
        wrong = [caption for sheet in asked for caption in sheet.wrong]
        refused = captions.tokenizer(wrong)["input_ids"] if wrong else []
        texts = encoded([*(captions.ids[k] for k in index), *refused])
        image = unit(features(model.get_image_features(run.batch(index))))
        text, scale = texts[: len(index)], model.logit_scale
        loss = contrastive_loss(text, image, scale, captions.meanings[index])
        at, seen = len(index), 0
        for sheet in asked:
            number = len(sheet.pictures)
            pictures, captioned = slice(seen, seen + number), slice(at, at + len(sheet.wrong))
            hard = texts[captioned].unflatten(0, (number, -1))
            loss = loss + refusal_loss(text[pictures], image[pictures], scale, hard) / 2
            at, seen = captioned.stop, pictures.stop
        return loss

    kept = train(model, step, settings, run.path(f"{name}.ckpt"))
    kept.eval().save_pretrained(run.path(name))
    _retrieval_sheet(run, name, kept, captions)


def _asked(
    run: Run, captions: Captions, rng: np.random.Generator, chance: random.Random, batch: int
) -> list[Sheet]:
    """The exams, and for the rest of the batch pictures that look alike, with any mistake."""
    exams = sheets(captions, rng, chance)
    alike = with_lookalikes(run, rng, batch - sum(len(sheet.pictures) for sheet in exams))
    scenes = [captions.scenes[k] for k in alike for _ in range(MISTAKES)]
    return [*exams, Sheet(alike, [mistaken(scene, chance).caption for scene in scenes])]


@torch.no_grad()
def _retrieval_sheet(run: Run, name: str, model: Any, captions: Captions) -> None:
    """Eight captions and, in a row each, the twelve pictures of 2,000 that fit them best."""
    pool = np.arange(2_000)
    image = unit(features(model.get_image_features(run.batch(pool))))
    ids, _ = captions.tokens(pool[:8])
    best = (unit(features(model.get_text_features(ids))) @ image.T).topk(12).indices
    run.sheet(name, [torch.stack([run.batch(np.array([k]))[0] for k in row]) for row in best])
    run.path(f"{name}.txt").write_text("\n".join(run.captions[:8]) + "\n")


def train_judge(run: Run) -> None:
    """The CLIP that scores pictures: small patches, for glasses and moods."""
    torch.manual_seed(JUDGE.seed)
    tokens = len(Captions(run).tokenizer)
    model = build(tokens, text_layers=4, patch=8, width=160, heads=5)
    _train(run, "judge", model.to(run.device), JUDGE, examined=True)


def train_clip(run: Run) -> None:
    """The pipeline's CLIP; its vision tower stays, its text tower is grown anew in "text"."""
    torch.manual_seed(CLIP.seed)
    tokens = len(Captions(run).tokenizer)
    model = build(tokens, text_layers=3, patch=16, width=192, heads=6)
    _train(run, "clip_joint", model.to(run.device), CLIP, examined=False)
