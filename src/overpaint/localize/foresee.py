"""How each window would change a picture, foreseen early in an unchanged run.

Not in the paper. The unchanged model takes the first steps of a short run. After each, every
window reads the target for one evaluation of the conditional branch; the unconditional branch reads
no target and is evaluated once. Their guided sum stands for a clean picture (Tweedie's formula),
which is decoded and scored. Unlike a gradient this sees the whole change, which is far from small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import torch

from overpaint.localize.painter import Painter
from overpaint.localize.reading import reading
from overpaint.models.clip import see, text_features
from overpaint.models.conditioning import Conditioning, conditioning
from overpaint.models.latents import decode_pixels, latent_side, starting_noise
from overpaint.models.sampling import clean_estimate, run_of, scheduler_of
from overpaint.types import Progress


@torch.no_grad()
def foreseen(
    painter: Painter,
    windows: Sequence[range],
    seeds: Sequence[int],
    *,
    steps: int,
    looks: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Score of the pictures foreseen early in a run of ``steps``: ``[windows, prompts, seeds]``.

    The mean over ``looks``: after the first step, after the second, and so on. A look costs three
    evaluations for each prompt and seed (without guidance one), and one more for each window.
    """
    model, guided = painter.model, painter.guided
    text = _texts(painter)
    alone = text if guided else replace(text, empty=None, empty_pooled=None)
    noise = starting_noise(model, seeds, latent_side(model, painter.config.size))
    pairs = torch.cartesian_prod(torch.arange(len(painter.ours)), torch.arange(len(seeds)))
    scores = []
    for prompt, seed in pairs:
        own, start = painter.ours[prompt, None], noise[None, seed]
        table = painter.table(windows)[:, prompt]
        if guided:  # one more row, which reads the unconditional text
            table = torch.cat([torch.zeros_like(table[:1]), table])
        run = run_of(model, alone, own - 1, start, steps, painter.guidance)
        seen = []
        for noisy, time in islice(run, looks):
            outputs = _outputs(painter, text, table, own, noisy, time)
            if guided:
                outputs = outputs[:1] + painter.guidance * (outputs[1:] - outputs[:1])
            latents = clean_estimate(scheduler_of(model, steps), outputs, noisy, time)
            seen.append(_scores(painter, latents, int(prompt)))
        scores.append(torch.stack(seen).mean(0))
        painter.evaluations += looks * (1 + guided + len(table))
        if progress:
            progress(len(scores), len(pairs), "foreseeing")
    return torch.stack(scores, dim=1).unflatten(1, (len(painter.ours), len(seeds)))


def _texts(painter: Painter) -> Conditioning:
    """All prompts; number i of ``painter.texts`` is here i - 1."""
    read = painter.texts
    return conditioning(painter.model, read.states[1:], empty=read.states[0], features=read.pooled)


def _outputs(
    painter: Painter,
    text: Conditioning,
    table: torch.Tensor,
    own: torch.Tensor,
    noisy: torch.Tensor,
    time: int,
) -> torch.Tensor:
    """What the denoiser says of ``noisy [1, c, h, w]`` when row r reads ``table [n, M]``'s row r.

    In layers that read no text at all the unconditional row is the unconditional prompt's, and all
    others that of the prompt ``own``.
    """
    model = painter.model
    pixels = noisy.shape[-1] * model.pipeline.vae_scale_factor
    assert text.empty is not None
    states = torch.cat([text.empty[None], text.states])
    pooled = None
    if text.pooled is not None and text.empty_pooled is not None:
        pooled = torch.cat([text.empty_pooled[None], text.pooled])
    every = Conditioning(states, pooled=pooled)
    outputs = []
    for rows in table.split(2 * painter.batch):
        blank = (rows == 0).all(1)
        given = every.batch(torch.where(blank, 0, own), pixels)
        doubled = noisy.expand(len(rows), -1, -1, -1)
        with reading(painter.texts, rows):
            outputs.append(model.denoiser(doubled, time, **given, return_dict=False)[0])
    return torch.cat(outputs)


def _scores(painter: Painter, latents: torch.Tensor, prompt: int) -> torch.Tensor:
    """CLIP-Score ``[n]`` with one prompt of what ``latents [n, c, h, w]`` decode to; on the CPU."""
    words = text_features(painter.clip, [painter.words[prompt]])[0]
    scores = []
    for part in latents.split(painter.batch):
        pictures = (decode_pixels(painter.model, part) + 1) / 2
        scores.append(100 * (see(painter.clip, pictures.clamp(0, 1)) @ words))
    return torch.cat(scores).cpu()
