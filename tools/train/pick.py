"""Which training pictures go into a batch: more of the details, and pictures that differ in one."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np

from overpaint.toybox.grammar import parse
from overpaint.toybox.scene import Scene
from tools.train.run import Run

GROUP = 8  # pictures of one subject that a batch holds beside each other


def evenly(run: Run, rng: np.random.Generator, batch: int) -> np.ndarray:
    """Numbers of ``batch`` different pictures, each as likely as any other."""
    return rng.choice(len(run.captions), batch, replace=False)


def with_details(
    run: Run, rng: np.random.Generator, batch: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Numbers of ``batch`` pictures, half of them with something small to get right.

    A mood, a count, a second subject or a stated gender is a few pixels of a picture and absent
    from three quarters of them; drawn evenly they are learnt last. With ``weights [n]`` pictures
    are drawn that many times as often as others.
    """
    detailed, _ = _sorted(run)
    half = batch // 2
    if weights is None:
        some = rng.integers(0, len(run.captions), batch - half)
        return np.concatenate([some, rng.choice(detailed, half)])
    some = rng.choice(len(weights), batch - half, p=weights / weights.sum())
    among = weights[detailed]
    return np.concatenate([some, rng.choice(detailed, half, p=among / among.sum())])


def with_lookalikes(run: Run, rng: np.random.Generator, batch: int) -> np.ndarray:
    """Numbers of ``batch`` different pictures, half of them in groups that look alike.

    Pictures of a group share their subject or their colour: only a mood, a count, a shape tells
    which caption belongs to which picture, so a contrastive loss must learn exactly that.
    """
    _, groups = _sorted(run)
    chosen = rng.choice(len(groups), batch // 2 // GROUP, replace=False)
    alike = [rng.choice(groups[k], GROUP, replace=False) for k in chosen]
    picked = np.unique(np.concatenate(alike))
    others = np.setdiff1d(rng.choice(len(run.captions), 2 * batch, replace=False), picked)
    return np.concatenate([picked, rng.permutation(others)[: batch - len(picked)]])


def _is_detailed(scene: Scene) -> bool:
    first = scene.subjects[0]
    several = len(scene.subjects) > 1 or bool(scene.count)
    return several or bool(first.emotion) or first.female is not None


@cache
def _sorted(run: Run) -> tuple[np.ndarray, list[np.ndarray]]:
    """Pictures with details, and groups of pictures with one subject or one stated colour."""
    detailed: list[int] = []
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, caption in enumerate(run.captions):
        scene = parse(caption)
        first = scene.subjects[0]
        moody, gendered = bool(first.emotion), first.female is not None
        several = len(scene.subjects) > 1
        groups[first.kind, first.name, first.country, several, moody, gendered].append(number)
        if first.color:
            groups["any object", first.color, scene.count, several].append(number)
        if _is_detailed(scene):
            detailed.append(number)
    large = [np.array(members) for members in groups.values() if len(members) >= GROUP]
    return np.array(detailed), large
