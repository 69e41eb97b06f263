"""LocoGen without painting every window: a first-order estimate, then the few best exactly.

Not in the paper. How the score changes when layer l reads the target is, to first order, the
gradient of the score with respect to what layer l reads, times the difference of the two texts.
One forward and backward pass gives it for all layers at once, hence for all windows of every m.
The score is that of the clean picture which the denoiser foresees at a few timesteps of a short
run (Tweedie's formula), decoded and seen by CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from overpaint.errors import EditError
from overpaint.localize.painter import Painter
from overpaint.localize.reading import leaves
from overpaint.localize.search import LocoGenConfig, windows_of, winner
from overpaint.localize.start import begin
from overpaint.models.clip import Clip, see, text_features
from overpaint.models.conditioning import conditioning
from overpaint.models.hooks import record
from overpaint.models.latents import decode_pixels
from overpaint.models.model import Model
from overpaint.models.sampling import clean_estimate, scheduler_of
from overpaint.types import Localization, Progress

BACKWARD = 3  # evaluations that a forward and backward pass count for


@dataclass(frozen=True)
class FastConfig:
    """How :func:`fast_locogen` saves work.

    ``steps``       steps of the short run on which gradients are taken.
    ``times``       at how many of them, evenly spread.
    ``candidates``  how many windows of each m are painted.
    ``trial``       number of seeds for the gradients and for choosing among the candidates; the
        chosen one is then painted with the remaining seeds.
    """

    steps: int = 6
    times: int = 3
    candidates: int = 3
    trial: int = 1

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if min(self.steps, self.times, self.candidates, self.trial) < 1:
            raise EditError(f"expected settings of at least 1, got {self}")
        if self.times > self.steps:
            raise EditError(f"expected at most {self.steps} times, one a step, got {self.times}")


@dataclass(frozen=True, eq=False)
class _Moment:
    """A few rows at one time of a clean run.

    ``rows [r]`` numbers of the prompts; ``noisy``, ``without [r, c, h, w]`` latents and the
    unconditional branch's output (None without guidance); ``time`` the timestep.
    """

    rows: torch.Tensor
    noisy: torch.Tensor
    without: torch.Tensor | None
    time: torch.Tensor


def fast_locogen(
    model: Model,
    clip: Clip,
    kind: str,
    originals: Sequence[str],
    targets: Sequence[str],
    config: LocoGenConfig | None = None,
    fast: FastConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Localization:
    """:func:`overpaint.localize.locogen.locogen`, painting only ``fast.candidates`` windows per m.

    The chosen window's score is exact; those of the others are estimates, moved so that the
    estimate for the chosen one is right. ``info`` names the windows ``verified`` and tells the
    ``effects`` of single layers. No pictures are kept. Errors are those of ``locogen``.
    """
    config, fast = config or LocoGenConfig(), fast or FastConfig()
    ends = config.window is None  # only a search for m needs to know them
    start = begin(model, clip, kind, originals, targets, config, ends=ends, progress=progress)
    painter, rule = start.painter, start.painter.rule
    effects = layer_effects(painter, config.seeds[: fast.trial], fast, progress).mean(0)
    for width in start.widths:
        windows = windows_of(painter.depth, width)
        expected = [float(effects[list(w)].sum()) for w in windows]
        ranked = sorted(range(len(windows)), key=lambda j: -rule.sign * expected[j])
        chosen = ranked[: fast.candidates]
        best, exact = _verified(painter, windows, chosen, fast.trial, progress)
        if start.passed(exact):
            break
    scores = [exact + each - expected[best] for each in expected]
    return start.found(windows[best], scores, verified=sorted(chosen), effects=effects.tolist())


def _verified(
    painter: Painter,
    windows: Sequence[range],
    chosen: Sequence[int],
    trial: int,
    progress: Progress | None,
) -> tuple[int, float]:
    """The best of the windows ``chosen`` on the first seeds, and its mean score on all."""
    seeds = painter.config.seeds
    scores = painter.scores(
        painter.pictures([windows[j] for j in chosen], seeds[:trial], "candidates", progress)
    )
    place = winner(painter.rule, scores.mean((-2, -1)).tolist())
    exact = scores[place : place + 1]
    if seeds[trial:]:
        rest = painter.pictures([windows[chosen[place]]], seeds[trial:], "the best", progress)
        exact = torch.cat([exact, painter.scores(rest)], dim=-1)
    return chosen[place], float(exact.mean())


def layer_effects(
    painter: Painter, seeds: Sequence[int], fast: FastConfig, progress: Progress | None = None
) -> torch.Tensor:
    """First-order change of each prompt's score when one layer reads the target: ``[prompts, M]``.

    Mean over ``seeds`` and timesteps; float32 on the CPU.
    """
    effects = torch.zeros(len(painter.ours), painter.depth)
    moments = list(_moments(painter, seeds, fast))
    for done, moment in enumerate(moments, 1):
        effects.index_add_(0, moment.rows, _effects(painter, moment))
        painter.evaluations += BACKWARD * len(moment.rows)
        if progress:
            progress(done, len(moments), "gradients")
    return effects / (len(seeds) * fast.times)


def _moments(painter: Painter, seeds: Sequence[int], fast: FastConfig) -> Iterator[_Moment]:
    """Paint the originals in ``fast.steps`` steps; give the times at which to differentiate."""
    denoiser = painter.model.denoiser
    with record(denoiser) as (inputs,), record(denoiser, outputs=True) as (outputs,):
        painter.pictures([range(0)], seeds, "a short run", steps=fast.steps)
    times = scheduler_of(painter.model, fast.steps).timesteps
    chosen = [int((i + 0.5) * fast.steps / fast.times) for i in range(fast.times)]
    batch = len(inputs[0]) // (1 + painter.guided)
    prompts = torch.arange(len(painter.ours)).repeat_interleave(len(seeds))
    for number, rows in enumerate(prompts.split(batch)):
        for step in chosen:
            call = number * len(times) + step
            without = outputs[call][: len(rows)] if painter.guided else None
            yield _Moment(rows, inputs[call][-batch:][: len(rows)], without, times[step])


def _effects(painter: Painter, moment: _Moment) -> torch.Tensor:
    """Gradient times difference in each row of ``moment``, for each layer: ``[r, M]``."""
    model, read, rows = painter.model, painter.texts, moment.rows
    ours, theirs = painter.ours[rows], painter.theirs[rows]
    pooled = None if read.pooled is None else read.pooled[ours - 1]
    states = read.states[ours.to(read.states.device)]
    text = conditioning(model, states, features=pooled, guided=False)
    pixels = moment.noisy.shape[-1] * model.pipeline.vae_scale_factor
    given = text.batch(torch.arange(len(rows)), pixels)
    words = text_features(painter.clip, [painter.words[int(i)] for i in rows])
    with torch.enable_grad(), leaves(read, ours[:, None].expand(-1, painter.depth)) as found:
        output = model.denoiser(moment.noisy, moment.time, **given, return_dict=False)[0]
        if moment.without is not None:
            output = moment.without + painter.guidance * (output - moment.without)
        scheduler = scheduler_of(model, 1)
        latents = clean_estimate(scheduler, output, moment.noisy, moment.time)
        pictures = (decode_pixels(model, latents) + 1) / 2
        score = 100 * (see(painter.clip, pictures.clamp(0, 1)) * words).sum()
        slopes = torch.autograd.grad(score, [leaf for _, leaf in found])
    effects = torch.zeros(len(rows), painter.depth)
    for (layer, leaf), (_, _, kept), slope in zip(found, read.projected, slopes, strict=True):
        change = kept[theirs.to(kept.device)] - leaf.detach()
        effects[:, layer] += (slope.float() * change.float()).sum((1, 2)).cpu()
    return effects
