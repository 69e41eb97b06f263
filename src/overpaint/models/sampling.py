"""From encoded prompts and seeds to pictures, through the pipeline's own call.

A picture depends only on the weights, its prompt, its seed and the settings, not on what else is in
its batch: every prompt is encoded alone, noise comes from one CPU generator per picture, and every
batch has the same full size (the last is filled up), because arithmetic on the same numbers may
differ in the last bit when a batch has another shape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor

from overpaint.errors import ConfigError, PromptError
from overpaint.models.conditioning import Conditioning, join
from overpaint.models.failures import explained
from overpaint.models.families.base import eager, quiet_copy
from overpaint.models.model import Model
from overpaint.models.text import encode
from overpaint.types import Progress, Sampling

Around = Callable[[Tensor], AbstractContextManager[Any]]
"""Called with the conditionings' numbers ``[b]`` of a batch, which is generated inside what it
returns."""


def sampling_for(model: Model, sampling: Sampling | None = None) -> Sampling:
    """``sampling`` completed by the model's card, and that by the pipeline's own defaults."""
    card = model.card
    own = Sampling(
        steps=card.steps,
        guidance=card.guidance,
        batch_size=card.batch_size,
        height=card.height,
        width=card.width,
    )
    return (sampling or Sampling()).over(own.over(model.family.defaults(model.pipeline)))


def for_trial(model: Model, sampling: Sampling) -> Sampling:
    """``sampling`` in as few steps as show how the denoiser reads its text, mostly in one.

    Many schedulers put a single step at the last timestep, where there is hardly any noise to
    remove, or refuse it (PNDM). DPM-Solver++ stands in where it knows the model's noise schedule.
    """
    name = "DPMSolverMultistepScheduler"
    pipeline = model.pipeline
    known = any(cls.__name__ == name for cls in getattr(pipeline.scheduler, "compatibles", ()))
    steps = model.family.fewest_steps(pipeline)
    return Sampling(steps=steps, scheduler=name if known else None).over(sampling)


def checked_seeds(seeds: Iterable[Any] | int) -> list[int]:
    """``seeds`` as Python integers; numpy's and torch's integers are fine.

    A single number means that many seeds, from 0.

    Raises:
        ConfigError: If there is none, or one is no whole number from 0 to 2⁶³ - 1.
    """
    count = _whole(seeds)
    if count is None and (isinstance(seeds, str) or not isinstance(seeds, Iterable)):
        raise ConfigError(f"expected a list of seeds or their number, got {seeds!r}")
    if count is not None and count > 1_000_000:
        raise ConfigError(f"expected at most 1,000,000 seeds, got {count}; put one seed in []")
    found: list[int] = []
    for seed in range(count) if count is not None else seeds:  # type: ignore[union-attr]
        whole = _whole(seed)
        if whole is None or not 0 <= whole < 1 << 63:
            raise ConfigError(f"expected seeds as whole numbers from 0 to 2^63 - 1, got {seed!r}")
        found.append(whole)
    if not found:
        raise ConfigError("expected at least one seed, got none")
    return found


def _whole(value: Any) -> int | None:
    """``value`` as an integer if it is one of Python, numpy or torch."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except (TypeError, RuntimeError, ValueError):  # torch raises all of them
        return None


def generate_prompts(
    model: Model,
    prompts: Sequence[str],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    *,
    progress: Progress | None = None,
) -> Tensor:
    """Every prompt with every seed: uint8 ``[n_prompts, n_seeds, 3, H, W]`` on the CPU."""
    model.family.check_generates(model)
    how = sampling_for(model, sampling)
    return sample(model, encode(model, prompts, how), seeds, how, progress=progress)


def sample(
    model: Model,
    conditionings: Sequence[Conditioning],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    *,
    around: Around | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Every conditioning with every seed.

    Args:
        model: The model.
        conditionings: ``n`` encoded prompts of one row each.
        seeds: Seeds of the noise.
        sampling: How to generate.
        around: Interventions that differ from row to row: called with the numbers of the
            conditionings in a batch, gives a context manager in which the batch is generated.
        progress: Counts denoising steps over all batches.

    Returns:
        uint8 ``[n, n_seeds, 3, H, W]`` on the CPU.
    """
    chosen = checked_seeds(seeds)
    if not len(conditionings):
        raise PromptError("Expected at least one prompt, got none.")
    rows = [(i, seed) for i in range(len(conditionings)) for seed in chosen]
    found = _generate(model, conditionings, rows, sampling, around, progress)
    return found.unflatten(0, (len(conditionings), len(chosen)))


def sample_pairs(
    model: Model,
    conditionings: Sequence[Conditioning],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    *,
    around: Around | None = None,
    progress: Progress | None = None,
    ordered: bool = False,
) -> Tensor:
    """One picture of each pair, ``conditionings[i]`` from ``seeds[i]``: uint8 ``[n, 3, H, W]``.

    The same pictures as :func:`sample` gives. With ``ordered``, batches hold the pairs in the order
    in which they are given, even texts that would have batches of their own because the last bit of
    a picture may depend on the longest text beside it.
    """
    chosen = checked_seeds(seeds)
    if len(conditionings) != len(chosen):
        raise PromptError(
            f"Expected a seed for each prompt, got {len(chosen)} for {len(conditionings)}."
        )
    rows = list(enumerate(chosen))
    return _generate(model, conditionings, rows, sampling, around, progress, ordered=ordered)


@torch.no_grad()
def _generate(
    model: Model,
    conditionings: Sequence[Conditioning],
    rows: Sequence[tuple[int, int]],
    sampling: Sampling | None,
    around: Around | None = None,
    progress: Progress | None = None,
    *,
    ordered: bool = False,
) -> Tensor:
    """``[len(rows), 3, H, W]`` for pairs of a conditioning's number and a seed."""
    model.family.check_generates(model)
    how = sampling_for(model, sampling)
    model.family.check_sampling(model, how)
    if (how.height is None) != (how.width is None):
        raise ConfigError(
            f"expected height and width together, got height {how.height}, width {how.width}"
        )  # some pipelines would ignore one that comes alone
    layouts = [0 if ordered else model.family.layout(text) for text in conditionings]
    batches = _batches(layouts, rows, how.batch_size or 1)
    tick = _counter(progress, len(batches))
    found: dict[int, Tensor] = {}
    with ExitStack() as stack:
        if around:
            stack.enter_context(eager(model))
        pipeline = _pipeline(model, how, tick)
        for batch in batches:
            numbers = [rows[place][0] for place in batch]
            generators = [torch.Generator("cpu").manual_seed(rows[place][1]) for place in batch]
            with ExitStack() as inner:
                if around:
                    inner.enter_context(around(torch.tensor(numbers)))
                text = join([conditionings[number] for number in numbers])
                images = model.family.generate(model, pipeline, text, generators, how)
            pixels = (images.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()
            for place, picture in zip(batch, pixels, strict=True):
                found.setdefault(place, picture)
    return torch.stack([found[place] for place in range(len(rows))])


def _batches(
    layouts: Sequence[Hashable], rows: Sequence[tuple[int, int]], size: int
) -> list[list[int]]:
    """Places of ``rows`` in batches of ``size``, each of one layout; the last row fills them up."""
    groups: dict[Hashable, list[int]] = {}
    for place, (number, _) in enumerate(rows):
        groups.setdefault(layouts[number], []).append(place)
    batches = []
    for places in groups.values():
        for start in range(0, len(places), size):
            part = places[start : start + size]
            batches.append(part + part[-1:] * (size - len(part)))
    return batches


def _pipeline(model: Model, how: Sampling, tick: Callable[[int], None]) -> Any:
    """A copy of the pipeline to generate with, with the scheduler that ``how`` asks for."""
    pipeline = quiet_copy(model.pipeline, tick)
    if how.scheduler:
        import diffusers

        cls: Any = getattr(diffusers, how.scheduler, None)
        if cls is None or not hasattr(cls, "set_timesteps"):
            raise ConfigError(
                f"expected the class name of a diffusers scheduler, got {how.scheduler!r}; for "
                "example DPMSolverMultistepScheduler"
            )
        with explained(model, "generate", how):
            pipeline.__dict__["scheduler"] = cls.from_config(pipeline.scheduler.config)
    return pipeline


def _counter(progress: Progress | None, batches: int) -> Callable[[int], None]:
    """A function that reports one more step each time it is called with a batch's steps."""
    done = 0

    def tick(steps: int) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(min(done, steps * batches), steps * batches, "generating")

    return tick
