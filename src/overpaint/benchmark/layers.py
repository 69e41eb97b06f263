"""What each layer of the text encoder holds: edit it, paint, and ask whether the edit shows.

ReFACT section 5 and figure 10, which ask this of emotions in faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from overpaint.methods.refact import ReFACTConfig, refact_each
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.models.model import Model
from overpaint.models.sampling import sample, sampling_for
from overpaint.models.text import encode, text_transformer
from overpaint.models.weights import with_deltas
from overpaint.types import Case, Patch, Progress, Sampling


@dataclass(frozen=True, eq=False)
class LayerScores:
    """How much of each case's target the pictures of its source prompt show.

    ``layers``    the edited layers, from 0.
    ``scores``    CLIP-Score with ``source.new`` after the edit there, ``[layers, cases, seeds]``.
    ``clean``     the same of the unedited model, ``[cases, seeds]``.
    ``oracle``    the same when the unedited model is asked for ``source.new``, ``[cases, seeds]``.
    ``pictures``  the first seed's: ``[1 + layers + 1, cases, 3, H, W]`` uint8, unedited first, the
        oracle's last.
    """

    layers: tuple[int, ...]
    scores: Tensor
    clean: Tensor
    oracle: Tensor
    pictures: Tensor = field(repr=False)


def editable_layers(model: Model, component: str = "text_encoder") -> tuple[int, ...]:
    """All layers but the last, whose MLP no later token reads."""
    tower: Any = text_transformer(model.component(component))
    return tuple(range(len(tower.encoder.layers) - 1))


def layer_scores(
    model: Model,
    judge: Clip,
    cases: Sequence[Case],
    seeds: Sequence[int],
    layers: Sequence[int] | None = None,
    config: ReFACTConfig | None = None,
    how: Sampling | None = None,
    *,
    progress: Progress | None = None,
) -> LayerScores:
    """ReFACT of every case in every one of ``layers``, one at a time, from the same noise.

    Every edit is painted with its source prompt (figure 10: "CLIP score of emotions after editing
    across layers"). ``config`` is ReFACT's but for its layer. CLIP-Score is 100 times the cosine.
    EditError, PromptError or SiteError as for :func:`overpaint.methods.refact.refact`.
    """
    layers = tuple(editable_layers(model) if layers is None else layers)
    config = config or ReFACTConfig()
    edits = [case.edit for case in cases]
    wanted = text_features(judge, [case.source.new for case in cases])
    total = 2 + len(layers)

    def seen(prompts: Sequence[str], patches: Sequence[Patch | None]) -> tuple[Tensor, Tensor]:
        pictures = _paint(model, prompts, patches, seeds, how)
        features = image_features(judge, pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        return 100 * (features * wanted[:, None]).sum(-1).cpu(), pictures[:, 0]

    sources = [case.source.prompt for case in cases]
    none = [None] * len(cases)
    clean, first = seen(sources, none)
    if progress:
        progress(1, total, "layers")
    oracle, asked = seen([case.source.oracle or case.source.new for case in cases], none)
    if progress:
        progress(2, total, "layers")
    scores, shown = [], [first]
    for done, layer in enumerate(layers):
        made = refact_each(model, edits, replace(config, layer=layer))
        score, picture = seen(sources, made)
        scores.append(score)
        shown.append(picture)
        if progress:
            progress(3 + done, total, "layers")
    return LayerScores(layers, torch.stack(scores), clean, oracle, torch.stack([*shown, asked]))


def _paint(
    model: Model,
    prompts: Sequence[str],
    patches: Sequence[Patch | None],
    seeds: Sequence[int],
    how: Sampling | None,
) -> Tensor:
    """Each prompt under its own patch of the text encoder: ``[n, seeds, 3, H, W]`` uint8."""
    how = sampling_for(model, how)
    texts = []
    for prompt, patch in zip(prompts, patches, strict=True):
        with with_deltas(model, patch.deltas if patch else ()):
            texts += encode(model, [prompt], how)
    return sample(model, texts, seeds, how)
