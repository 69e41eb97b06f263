"""How good the pictures of captions are that no edit is about: FID, and CLIP score by another CLIP.

TIME, section 5.4 and appendix C; ReFACT, section 3.3 and appendix D. Both read the pictures that a
run has kept, when all are painted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.plan import CAPTION, Ask
from overpaint.benchmark.rows import Measure
from overpaint.benchmark.store import Store
from overpaint.errors import DataError
from overpaint.metrics.quality import (
    ImageTower,
    clip_score,
    frechet_distances,
    inception,
    require_torchmetrics,
)
from overpaint.models.clip import Clip
from overpaint.models.judges import load_clip
from overpaint.pictures import read_picture, to_tensor
from overpaint.toybox.grammar import parse
from overpaint.toybox.render import render
from overpaint.types import Progress

TOGETHER = 64  # pictures read at once
RENDERED = 4  # real pictures of each caption of the painted world
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

FID, SCORE = "FID", "CLIP score"

Shown = dict[tuple[str, str], list[tuple[Path, str]]]
"""By condition and place ("" or ", RoAD"): pictures of captions, and the captions."""


def check_quality(config: BenchConfig) -> None:
    """What can be known before a picture is painted of whether :func:`add_quality` will work.

    ModelError without torchmetrics, DataError for a reference folder without pictures.
    """
    if config.fid or config.scorer:
        require_torchmetrics()
    if config.fid and config.reference:
        reference_files(config.reference)


def add_quality(
    store: Store,
    asks: Sequence[Ask],
    folder: Path,
    config: BenchConfig,
    judge: Clip,
    progress: Progress | None = None,
) -> None:
    """Measure what ``config`` asks for and the run does not know, of the pictures in ``folder``."""
    known = {measure.name.partition(",")[0] for measure in store.measures()}
    tick = progress or (lambda _done, _total, _what: None)
    pictures = shown(store, asks, folder) if config.fid or config.scorer else {}
    if config.fid and (FID if config.fid == "inception" else f"{FID} ({judge.name})") not in known:
        tick(0, 1, "measuring FID")
        extractor, name = extractor_called(config.fid, judge)
        captions = dict.fromkeys(text for own in pictures.values() for _, text in own)
        reference = reference_pictures(config.reference, [*captions])
        store.add_measures(fid_measures(pictures, reference, extractor, name))
    if config.scorer and f"{SCORE} ({config.scorer})" not in known:
        tick(0, 1, "measuring CLIP score")
        scorer = load_clip(config.scorer, device=judge.place.device)
        store.add_measures(score_measures(pictures, scorer))


def shown(store: Store, asks: Iterable[Ask], folder: Path) -> Shown:
    """The caption pictures of a finished run; DataError when ``folder`` lacks one."""
    texts = {key: ask.prompt for ask in asks if ask.place.startswith(CAPTION) for key in ask.keys()}
    found: Shown = {}
    for result in store.results():
        if result.key not in texts:
            continue
        path = folder / f"{result.picture}.png"
        if not path.is_file():
            raise DataError(f"{path} is gone, and is needed to measure quality; begin a new run")
        place = result.key.condition, result.key.prompt.removeprefix(CAPTION)
        found.setdefault(place, []).append((path, texts[result.key]))
    return found


def fid_measures(
    pictures: Shown, reference: Iterable[Tensor], extractor: nn.Module, name: str
) -> list[Measure]:
    """A measure ``name`` for each condition and place: distance from ``reference`` pictures."""
    sets = (map(torch.stack, _batches(path for path, _ in own)) for own in pictures.values())
    distances = frechet_distances(reference, sets, extractor)
    return [
        Measure(condition, "", f"{name}{place}", distance)
        for (condition, place), distance in zip(pictures, distances, strict=True)
    ]


def score_measures(pictures: Shown, clip: Clip) -> list[Measure]:
    """ "CLIP score (NAME)" by ``clip``, for each condition and place."""
    found = []
    for (condition, place), own in pictures.items():
        metric = clip_score(clip)
        texts = [text for _, text in own]
        for number, batch in enumerate(_batches(path for path, _ in own)):
            start = number * TOGETHER
            metric.update(batch, texts[start : start + len(batch)])
        value = metric.compute().item()
        found.append(Measure(condition, "", f"{SCORE} ({clip.name}){place}", value))
    return found


def extractor_called(name: str, judge: Clip) -> tuple[nn.Module, str]:
    """The extractor, and what the measure is called: "FID" only with Inception."""
    if name == "judge":
        return ImageTower(judge), f"{FID} ({judge.name})"
    return inception(), FID


def reference_pictures(folder: str, captions: Sequence[str]) -> Iterator[Tensor]:
    """Real pictures ``[n, 3, H, W]`` uint8, in batches.

    Those in ``folder``, each cropped to a square at the centre and scaled to 512 (TIME, appendix
    C); or without one, pictures that Toybox's renderer draws of ``captions``. DataError for a
    folder without pictures, PromptError for captions Toybox has no words for.
    """
    if not folder:
        yield from _rendered(captions)
        return
    paths = reference_files(folder)
    for start in range(0, len(paths), TOGETHER):
        yield torch.stack([_square(path) for path in paths[start : start + TOGETHER]])


def reference_files(folder: str) -> list[Path]:
    """The pictures in ``folder``, by name; DataError when there are none."""
    paths = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DataError(f"expected a folder of real pictures for FID, found none in {folder!r}")
    return paths


def _rendered(captions: Sequence[str]) -> Iterator[Tensor]:
    scenes = [parse(caption) for caption in captions]
    for again in range(RENDERED):
        drawn = [
            torch.tensor(render(scene, again * len(scenes) + number)).permute(2, 0, 1)
            for number, scene in enumerate(scenes)
        ]
        yield torch.stack(drawn)


def _square(path: Path, side: int = 512) -> Tensor:
    """A picture as ``[3, side, side]`` uint8, cropped at the centre; DataError when it is none."""
    try:
        with Image.open(path) as image:
            whole = image.convert("RGB")
    except OSError as error:
        raise DataError(
            f"expected real pictures for FID, got {str(path)!r}: no picture, or a damaged one; "
            "remove it"
        ) from error
    short = min(whole.size)
    left, top = (whole.width - short) // 2, (whole.height - short) // 2
    square = whole.crop((left, top, left + short, top + short))
    return to_tensor(square.resize((side, side), Image.Resampling.BICUBIC))


def _batches(paths: Iterable[Path]) -> Iterator[list[Tensor]]:
    batch: list[Tensor] = []
    for path in paths:
        batch.append((read_picture(path) * 255).round().to(torch.uint8))
        if len(batch) == TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch
