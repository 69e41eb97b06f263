"""Causal tracing: which single component, clean again, brings a corrupted picture back.

Basu et al., "On Mechanistic Knowledge Localization in Text-to-Image Generative Models", section 4,
after Meng et al. 2022. The subject's token embeddings get Gaussian noise; one component's output is
then put back to what it is in the clean run; how much CLIP-Score that returns, on average, is the
component's average indirect effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace as replace_fields

import torch

from overpaint.errors import PromptError
from overpaint.localize.restore import copied_tokens, corrupted, restoring
from overpaint.localize.score import clip_scores
from overpaint.localize.trace import Trace, TraceConfig
from overpaint.models.clip import Clip
from overpaint.models.components import (
    TEXT_KINDS,
    UNET_KINDS,
    Component,
    text_components,
    unet_components,
)
from overpaint.models.conditioning import Conditioning
from overpaint.models.hooks import replace
from overpaint.models.model import Model
from overpaint.models.sampling import sample, sampling_for
from overpaint.models.text import encode, prompt_tokens, subject_span
from overpaint.types import Progress


def trace_unet(
    model: Model,
    clip: Clip,
    prompts: Sequence[str],
    subjects: Sequence[str] | None = None,
    config: TraceConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Trace:
    """Effect of every self-attention, cross-attention, ResNet and feed-forward of the UNet.

    Rows are the kinds, columns the places from down to up. ``subjects`` are the parts of
    ``prompts`` to corrupt (default: all of each). The clean run is the first row of every batch, so
    nothing is stored: at each step, in both branches of guidance, a component's output is copied
    from that row into the rows that restore it. PromptError when a subject is not in its prompt.
    """
    config = config or TraceConfig()
    subjects = _subjects(prompts, subjects)
    parts = unet_components(model)
    how = sampling_for(model, config)
    batch = max(2, how.batch_size or 1)
    how = replace_fields(how, batch_size=batch)
    plan: list[Component | None] = []  # per state: what it restores; the clean one begins a batch
    for start in range(0, len(parts) + 1, batch - 1):
        plan += [None, *([None, *parts][start : start + batch - 1])]
    scores = torch.zeros(len(plan))
    runs = [(p, s, seed) for p, s in zip(prompts, subjects, strict=True) for seed in config.seeds]
    for done, (prompt, subject, seed) in enumerate(runs):
        (clean,) = encode(model, [prompt], how)
        with corrupted(model, prompt, subject, seed, config.noise):
            (broken,) = encode(model, [prompt], how)
        broken = broken.replace(**clean.negative)
        given = [broken] * len(plan)
        given[::batch] = [clean] * len(given[::batch])
        pictures = sample(
            model,
            given,
            [seed],
            how,
            around=lambda rows: restoring([plan[int(r)] for r in rows]),
            progress=_part(progress, done, len(runs)),
        )
        scores += clip_scores(clip, pictures[None], [prompt] * len(plan))[0, :, 0].cpu()
    scores /= len(runs)
    return _map(parts, scores[0], scores[1], dict(zip(plan, scores, strict=True)))


def trace_text(
    model: Model,
    clip: Clip,
    prompt: str,
    subject: str = "",
    config: TraceConfig | None = None,
    *,
    component: str = "text_encoder",
    progress: Progress | None = None,
) -> tuple[Trace, Trace]:
    """Effect of self-attention and of the MLP in each layer of a text encoder at each token.

    Two maps, self-attention's and the MLP's: rows are the tokens from the subject's first to the
    end token (those before see nothing of the subject), columns the layers. PromptError when the
    subject is not in the prompt.
    """
    config, subject = config or TraceConfig(), subject or prompt
    parts = text_components(model, component)
    span = subject_span(model, prompt, subject, component)
    names = prompt_tokens(model, prompt, component).tokens
    how = sampling_for(model, config)
    (whole,) = encode(model, [prompt], how)
    positions = range(span[0], len(names))
    plan = [(part, position) for part in parts for position in positions]
    scores = torch.zeros(2 + len(plan))
    for done, seed in enumerate(config.seeds):
        texts = [prompt] * (2 + len(plan))  # the clean run, the corrupted one, the restored ones
        with ExitStack() as stack:
            stack.enter_context(corrupted(model, prompt, subject, seed, config.noise, first=1))
            for part in parts:
                own = [(2 + i, at) for i, (other, at) in enumerate(plan) if other is part]
                stack.enter_context(replace(part.module, copied_tokens(own)))
            states = model.family.encode(model, texts)
        given = [Conditioning({**row.tensors, **whole.negative}) for row in states.split()]
        pictures = sample(
            model, given, [seed], how, progress=_part(progress, done, len(config.seeds))
        )
        scores += clip_scores(clip, pictures, texts)[:, 0].cpu()
    scores /= len(config.seeds)
    effects = (scores[2:] - scores[1]).view(-1, len(TEXT_KINDS), len(positions))  # layer, kind, at
    layers = tuple(str(n) for n in range(len(effects)))
    tokens = tuple(names[at].removesuffix("</w>") for at in positions)
    ends = float(scores[0]), float(scores[1])
    first, second = (Trace(tokens, layers, effects[:, k].T, *ends) for k in range(2))
    return first, second


def _subjects(prompts: Sequence[str], subjects: Sequence[str] | None) -> Sequence[str]:
    if isinstance(prompts, str) or not prompts:
        raise PromptError(f"expected a list of prompts to trace, got {prompts!r}")
    if subjects is not None and len(subjects) != len(prompts):
        raise PromptError(f"expected {len(prompts)} subjects, one a prompt, got {len(subjects)}")
    return prompts if subjects is None else subjects


def _part(progress: Progress | None, done: int, total: int) -> Progress | None:
    """``progress`` of one run out of ``total``, ``done`` of which are over."""
    if progress is None:
        return None
    return lambda step, steps, what: progress(done * steps + step, total * steps, what)


def _map(
    parts: Sequence[Component],
    clean: torch.Tensor,
    broken: torch.Tensor,
    scores: dict[Component | None, torch.Tensor],
) -> Trace:
    """Effects by kind and place."""
    places = list(dict.fromkeys(part.place for part in parts))
    effects = torch.full((len(UNET_KINDS), len(places)), torch.nan)
    for part in parts:
        effects[UNET_KINDS.index(part.kind), places.index(part.place)] = scores[part] - broken
    return Trace(UNET_KINDS, tuple(places), effects, float(clean), float(broken))
