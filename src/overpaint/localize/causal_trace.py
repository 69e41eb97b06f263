"""Causal tracing: which single component, clean again, brings a corrupted picture back.

Basu et al., "On Mechanistic Knowledge Localization in Text-to-Image Generative Models", section 4,
after Meng et al. 2022. The subject's token embeddings get Gaussian noise; one component's output is
then put back to what it is in the clean run; how much CLIP-Score that returns, on average, is the
component's average indirect effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_fields

import torch
from torch import Tensor

from overpaint.errors import EditError, PromptError
from overpaint.localize.score import clip_scores
from overpaint.models.clip import Clip
from overpaint.models.components import (
    KINDS,
    TEXT_KINDS,
    Component,
    denoiser_components,
    is_causal,
    text_components,
    token_embedding,
)
from overpaint.models.conditioning import Conditioning
from overpaint.models.hooks import Change, replace
from overpaint.models.model import Model
from overpaint.models.sampling import sample, sampling_for
from overpaint.models.text import encode, max_length, prompt_tokens, subject_span
from overpaint.types import Progress, Sampling

TOGETHER = 1 << 14
"""Tokens of a text encoder that are traced in one batch."""


@dataclass(frozen=True)
class TraceConfig(Sampling):
    """How components are traced.

    ``noise``  standard deviation of the noise, in those of the token embeddings (3: Meng et al.).
    ``seeds``  each gives the picture's noise and the corruption's.
    """

    noise: float = 3.0
    seeds: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        super().__post_init__()
        if self.noise <= 0 or not self.seeds:
            raise EditError(f"expected noise above 0 and at least one seed, got {self}")
        if self.batch_size is not None and self.batch_size < 2:
            raise EditError(
                f"expected batches of at least 2 pictures, got {self.batch_size}: the clean one is "
                "painted beside those it restores"
            )


@dataclass(frozen=True, eq=False)
class Trace:
    """Average indirect effects, as a map.

    ``effects [rows, columns]`` float32: CLIP-Score with a component restored, less that of the
    corrupted run; NaN where there is no component. ``rows`` and ``columns`` name them. ``clean``
    and ``corrupted`` are the scores of the two runs, averaged like the effects.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    effects: Tensor
    clean: float
    corrupted: float

    @property
    def best(self) -> tuple[str, str]:
        """Row and column of the largest effect."""
        row, column = divmod(int(self.effects.nan_to_num(-torch.inf).argmax()), len(self.columns))
        return self.rows[row], self.columns[column]


def trace_denoiser(
    model: Model,
    clip: Clip,
    prompts: Sequence[str],
    subjects: Sequence[str] | None = None,
    config: TraceConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Trace:
    """Effect of every attention, feed-forward and ResNet of the UNet or the transformer.

    Rows are the kinds, columns the places in the order of the forward pass. The clean run is the
    first row of every batch, so nothing is stored: at each step, in both branches of guidance, a
    component's output is copied from that row into the rows that restore it.

    Args:
        model: The model.
        clip: The CLIP that scores pictures.
        prompts: Prompts to average over.
        subjects: The part of each prompt to corrupt; by default all of it.
        config: How to trace.
        progress: Counts denoising steps.

    Raises:
        ModelError: If the pipeline needs more than text, or the denoiser has no layers that are
            known to read it.
        PromptError: If a subject is not in its prompt.
    """
    config = config or TraceConfig()
    subjects = _subjects(prompts, subjects)
    model.family.check_generates(model)
    parts = denoiser_components(model)
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
            (broken,) = encode(model, [prompt], Sampling(clip_skip=how.clip_skip))
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

    The subject is corrupted in all text encoders of the model, and restored in one.

    Args:
        model: The model.
        clip: The CLIP that scores pictures.
        prompt: The prompt.
        subject: The part of it to corrupt; by default all of it.
        config: How to trace.
        component: The text encoder: CLIP, T5, BERT or a language model.
        progress: Counts denoising steps.

    Returns:
        Two maps, self-attention's and the MLP's. Rows are tokens: where tokens see only those
        before them, from the subject's first to the end, else all. Columns are the layers.

    Raises:
        ModelError: If the pipeline needs more than text, or the layers of the text encoder are
            not known.
        PromptError: If the subject is not in the prompt.
    """
    config, subject = config or TraceConfig(), subject or prompt
    model.family.check_generates(model)
    parts = text_components(model, component)
    read = prompt_tokens(model, prompt, component)
    first = subject_span(model, prompt, subject, component)[0] - read.first
    tokens = range(first if is_causal(model, component) else 0, len(read.tokens))
    start = read.first + model.family.dropped(model, component)  # after padding on the left
    how = sampling_for(model, config)
    (whole,) = encode(model, [prompt], how)
    plan = [(part, start + token) for part in parts for token in tokens]
    scores = torch.zeros(2 + len(plan))
    for done, seed in enumerate(config.seeds):
        given = [whole]
        size = max(3, TOGETHER // max_length(model, component))
        for begin in range(0, len(plan), size - 2):
            with corrupted(model, prompt, subject, seed, config.noise, first=1):
                rows = _restored(model, prompt, plan[begin : begin + size - 2], how)
            given += rows if begin == 0 else rows[1:]  # the corrupted run, then the restored ones
        given = [Conditioning({**row.positive.tensors, **whole.negative}) for row in given]
        pictures = sample(
            model, given, [seed], how, progress=_part(progress, done, len(config.seeds))
        )
        scores += clip_scores(clip, pictures, [prompt] * len(given))[:, 0].cpu()
    scores /= len(config.seeds)
    effects = (scores[2:] - scores[1]).view(-1, len(TEXT_KINDS), len(tokens))  # layer, kind, at
    layers = tuple(str(n) for n in range(len(effects)))
    names = tuple(_plain(read.tokens[token]) for token in tokens)
    ends = float(scores[0]), float(scores[1])
    attention, mlp = (Trace(names, layers, effects[:, k].T, *ends) for k in range(2))
    return attention, mlp


@torch.no_grad()
def _restored(
    model: Model, prompt: str, plan: Sequence[tuple[Component, int]], how: Sampling
) -> list[Conditioning]:
    """The corrupted prompt, then with each component of ``plan`` restored at its token.

    Row 0 of the batch that is encoded is clean; all others are corrupted.
    """
    with ExitStack() as stack:
        for part in dict.fromkeys(part for part, _ in plan):
            own = [(2 + i, at) for i, (other, at) in enumerate(plan) if other is part]
            stack.enter_context(replace(part.module, copied_tokens(own), part.output))
        texts = [prompt] * (2 + len(plan))
        return list(model.family.encode(model, texts, clip_skip=how.clip_skip).split())[1:]


def _plain(token: str) -> str:
    """A token without the marks for the spaces around it."""
    return token.removesuffix("</w>").lstrip("\u2581\u0120") or token


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
    clean: Tensor,
    broken: Tensor,
    scores: dict[Component | None, Tensor],
) -> Trace:
    """Effects by kind and place."""
    kinds = [kind for kind in KINDS if any(part.kind == kind for part in parts)]
    places = list(dict.fromkeys(part.place for part in parts))
    effects = torch.full((len(kinds), len(places)), torch.nan)
    for part in parts:
        effects[kinds.index(part.kind), places.index(part.place)] = scores[part] - broken
    return Trace(tuple(kinds), tuple(places), effects, float(clean), float(broken))


@contextmanager
def corrupted(
    model: Model, prompt: str, subject: str, seed: int, noise: float, *, first: int = 0
) -> Iterator[None]:
    """Inside, the subject's token embeddings have noise in every text encoder.

    For batches of ``prompt`` alone; rows before ``first`` are left as they are. The noise depends
    on ``seed`` and is the same in every row; its standard deviation is ``noise`` times that of the
    encoder's token embeddings.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    with ExitStack() as stack:
        for component in model.text_encoders:
            table = token_embedding(model, component)
            dropped = model.family.dropped(model, component)
            span = [dropped + row for row in subject_span(model, prompt, subject, component)]
            weight: Tensor = table.weight  # type: ignore[assignment]
            drawn = torch.randn(len(span), weight.shape[1], generator=generator)
            drawn = drawn * noise * float(weight.detach().float().std())

            def change(x: Tensor, span: list[int] = span, drawn: Tensor = drawn):
                x = x.clone()
                x[first:, span] += drawn.to(x)
                return x

            stack.enter_context(replace(table, change))
        yield


@contextmanager
def restoring(rows: Sequence[Component | None]) -> Iterator[None]:
    """Inside, row i of a batch takes component ``rows[i]``'s output from row 0 of its branch."""
    with ExitStack() as stack:
        for part in {part for part in rows if part is not None}:
            own = [i for i, other in enumerate(rows) if other is part]
            stack.enter_context(replace(part.module, _copied_rows(own, len(rows)), part.output))
        yield


def _copied_rows(own: Sequence[int], batch: int) -> Change:
    """Rows ``own`` of each branch are those of its row 0."""
    source = torch.arange(batch)
    source[list(own)] = 0

    def change(output: Tensor) -> Tensor:
        return output.unflatten(0, (-1, batch))[:, source.to(output.device)].flatten(0, 1)

    return change


def copied_tokens(own: Sequence[tuple[int, int]]) -> Change:
    """Row r takes its output at a token from row 0, for each ``(r, token)`` of ``own``."""
    rows, places = (list(column) for column in zip(*own, strict=True))

    def change(output: Tensor) -> Tensor:
        output = output.clone()
        output[rows, places] = output[0, places]
        return output

    return change
