"""Pictures for the larger models: drawn by all cores while the models already learn from the first.

Each shard becomes a file of latents and captions as soon as it is drawn. Trainers read the folder
over and over (:mod:`tools.train.bank`), so that nobody waits for the last picture, and two trainers
can share one folder.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from overpaint.toybox.grammar import sample_scene
from overpaint.toybox.render import SIZE, render, shows_woman
from overpaint.toybox.scene import Scene
from overpaint.toybox.world import PROFESSIONS

SHARD = 1_000
FIRST_SEED = 5_000_000  # of the pictures; the stages of `toybox` draw theirs from 0 on
END = "end"  # a file that says that no more shards will come


@dataclass(frozen=True)
class Facts:
    """What decides how often a picture is seen; arrays of one entry a picture.

    ``profession``  index into PROFESSIONS where the caption leaves the gender open, else -1.
    ``woman``       whether that profession is shown by a woman.
    ``oftener``     how many times as often as a plain one a picture like this should be seen.
    """

    profession: np.ndarray
    woman: np.ndarray
    oftener: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Facts]) -> Facts:
        """The facts of several shards as one."""
        fields = ("profession", "woman", "oftener")
        return Facts(*(np.concatenate([getattr(p, name) for p in parts]) for name in fields))


def oftener(scene: Scene) -> float:
    """How many times as often as a plain picture one of ``scene`` should be seen.

    What is a few pixels of few pictures is learnt last: second subjects, moods, counts, stated
    genders, and whatever lies under an artist's pattern.
    """
    first = scene.subjects[0]
    factor = 1.0
    if len(scene.subjects) > 1:
        factor *= 4.0
    if scene.count:
        factor *= 2.5
    if first.emotion:
        factor *= 4.0 if first.kind == "profession" else 2.5
    if first.female is not None:
        factor *= 2.0
    if scene.style:
        factor *= 2.0
    return min(factor, 6.0)


def draw(number: int) -> tuple[np.ndarray, list[str], Facts]:
    """Shard ``number``: pictures ``[SHARD, 64, 64, 3]`` uint8, captions, facts."""
    rng = random.Random(FIRST_SEED + number)
    names = list(PROFESSIONS)
    pictures = np.empty((SHARD, SIZE, SIZE, 3), np.uint8)
    captions = []
    facts = Facts(np.full(SHARD, -1), np.zeros(SHARD, bool), np.ones(SHARD))
    for i in range(SHARD):
        scene, seed = sample_scene(rng), FIRST_SEED + number * SHARD + i
        pictures[i] = render(scene, seed)
        captions.append(scene.caption)
        facts.oftener[i] = oftener(scene)
        first = scene.subjects[0]
        if first.kind == "profession" and first.female is None:
            facts.oftener[i] *= 1.5  # a share learnt from few pictures has a large error
            if len(scene.subjects) == 1:
                facts.profession[i] = names.index(first.name)
                facts.woman[i] = shows_woman(scene, seed)
    return pictures, captions, facts


@torch.no_grad()
def stream(folder: Path, vae: Any, shards: int, workers: int) -> None:
    """Draw and encode ``shards`` shards into ``folder`` and then write its end.

    ``vae``  the world's autoencoder, on the device it shall run on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_yield_to_trainers) as pool:
        for number, (pictures, captions, facts) in enumerate(pool.imap(draw, range(shards))):
            pixels = torch.from_numpy(pictures).to(vae.device).permute(0, 3, 1, 2)
            found = [
                vae.encode(part.float().div(127.5).sub(1)).latent_dist.mode()
                for part in pixels.split(250)
            ]
            latents = torch.cat(found).mul(vae.config.scaling_factor).half().cpu()
            shard = {"latents": latents, "captions": captions, **vars(facts)}
            _write(shard, folder / f"{number:05d}.pt")
    (folder / END).touch()


def _yield_to_trainers() -> None:
    os.nice(15)


def _write(shard: dict[str, Any], path: Path) -> None:
    """Write beside its place and move it there, so that no reader sees half a file."""
    unfinished = path.with_suffix(".tmp")
    torch.save(shard, unfinished, pickle_protocol=4)
    os.replace(unfinished, path)
