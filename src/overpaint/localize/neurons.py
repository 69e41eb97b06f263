"""Neurons of key and value projections that tell whether a prompt names a style.

Basu et al., "On Mechanistic Knowledge Localization in Text-to-Image Generative Models", section 7.
A neuron is one output of a projection in one of the layers that LocoGen found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from overpaint.errors import EditError, ModelError, PromptError, SiteError
from overpaint.localize.score import check_prompts, clip_scores
from overpaint.models.clip import Clip
from overpaint.models.families import TextPath, no_neurons
from overpaint.models.fingerprint import origin
from overpaint.models.hooks import replace
from overpaint.models.model import Model
from overpaint.models.sampling import generate_prompts
from overpaint.models.sites import module_at
from overpaint.models.text import last_subject_token, read_rows
from overpaint.models.weights import with_deltas
from overpaint.types import Delta, Edit, Patch, Progress, Sampling, Site


@dataclass(frozen=True, eq=False)
class Neurons:
    """How strongly each neuron tells prompts with a style from prompts without.

    ``sites``     the projections, in forward order.
    ``z``         z-score of every neuron, ``[d_out]`` float64 for each site; positive where the
        style makes the neuron larger.
    ``resting``   mean output without the style, ``[d_out]`` float64 for each site.
    ``prompts``   the prompts with the style, ``others`` those without it.
    """

    sites: tuple[Site, ...]
    z: tuple[torch.Tensor, ...]
    resting: tuple[torch.Tensor, ...]
    prompts: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many neurons there are in all sites together."""
        return sum(site.d_out for site in self.sites)

    def top(self, n: int) -> tuple[torch.Tensor, ...]:
        """The ``n`` neurons of largest ``|z|`` in all sites together: their numbers, site by site.

        EditError when there are not that many.
        """
        if not 1 <= n <= self.count:
            raise EditError(f"expected 1 to {self.count} neurons, as many as there are, got {n}")
        ranked = torch.cat(self.z).abs().argsort(descending=True, stable=True)
        chosen = torch.zeros(self.count, dtype=torch.bool)
        chosen[ranked[:n]] = True
        parts = chosen.split([site.d_out for site in self.sites])
        return tuple(part.nonzero().flatten() for part in parts)


@torch.no_grad()
def find_neurons(
    model: Model,
    prompts: Sequence[str],
    others: Sequence[str],
    layers: Sequence[int],
    *,
    subjects: Sequence[str] | None = None,
    other_subjects: Sequence[str] | None = None,
    projections: Sequence[str] = ("to_k", "to_v"),
) -> Neurons:
    """z-score of every neuron between ``prompts`` with a style and ``others`` without.

    Section 7: activations at the last token of the subject (default: of the whole prompt), for the
    projections of cross-attention ``layers``. z is the difference of the two means over its
    standard error, each group with its own variance. Each group needs at least two prompts.
    SiteError for layers outside the model, PromptError for prompts that do not fit.
    """
    sites = sites_of(model, layers, projections)
    read = [
        _at_subjects(model, prompts, subjects, "with the style"),
        _at_subjects(model, others, other_subjects, "without the style"),
    ]
    z, resting = [], []
    for site in sites:
        module = module_at(model, site)
        styled, plain = (module(x[site]).double().cpu() for x in read)
        error = styled.var(0) / len(styled) + plain.var(0) / len(plain)
        # A neuron that never varies but differs is certain; one that is always the same is not.
        z.append((styled.mean(0) - plain.mean(0)) / error.clamp_min(1e-24).sqrt())
        resting.append(plain.mean(0))
    return Neurons(sites, tuple(z), tuple(resting), tuple(prompts), tuple(others))


def dropout(model: Model, neurons: Neurons, n: int) -> Patch:
    """The ``n`` strongest neurons switched off: their rows of W become zero, a patch of rank n.

    ``ΔW = -Σ e_i w_i`` over the chosen rows, so ``A`` holds the rows and ``B`` their places.
    """
    deltas = []
    for site, chosen in zip(neurons.sites, neurons.top(n), strict=True):
        if not len(chosen):
            continue
        rows = module_at(model, site).weight.detach()[chosen.to(model.device)].float().cpu()
        places = torch.zeros(site.d_out, len(chosen))
        places[chosen, torch.arange(len(chosen))] = -1
        deltas.append(Delta(site, rows.clone(), places))
    target = neurons.others[0]
    edits = tuple(Edit(prompt, target) for prompt in neurons.prompts)
    asked = {"neurons": n}
    return Patch(tuple(deltas), "dropout", edits, config=asked, **origin(model, deltas))


@contextmanager
def held(model: Model, neurons: Neurons, n: int) -> Iterator[None]:
    """Inside, the ``n`` strongest neurons stay at their mean without the style, for every token.

    An intervention, not a patch: what does not depend on the input is no change of weights.
    """
    with ExitStack() as stack:
        chosen = zip(neurons.sites, neurons.resting, neurons.top(n), strict=True)
        for site, resting, places in chosen:
            if len(places):
                change = _Hold(places.to(model.device), resting[places])
                stack.enter_context(replace(module_at(model, site), change))
        yield


@dataclass(frozen=True, eq=False)
class _Hold:
    """Puts ``values [k]`` into columns ``places [k]`` of what a module gives, ``[..., d_out]``."""

    places: torch.Tensor
    values: torch.Tensor

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        values = self.values.to(output).expand(*output.shape[:-1], -1)
        return output.index_copy(-1, self.places, values)


def sites_of(model: Model, layers: Sequence[int], projections: Sequence[str]) -> tuple[Site, ...]:
    """Sites of the projections of ``layers``; SiteError for a layer that is not there."""
    path = _cross_attention(model)
    depth = len(path.layers)
    for layer in layers:
        if not 0 <= layer < depth:
            raise SiteError(
                f"{model.name} has cross-attention layers 0 to {depth - 1}, got layer {layer}"
            )
    if not layers:
        raise SiteError("expected at least one cross-attention layer, got none; localize first")
    known = ("to_k", "to_v")
    for name in projections:
        if name not in known:
            raise SiteError(f"unknown projection {name!r}; expected some of {', '.join(known)}")
    return tuple(
        path.layers[layer][known.index(name)]
        for layer in sorted(set(layers))
        for name in projections
    )


def _cross_attention(model: Model) -> TextPath:
    """The path by which cross-attention reads tokens; ModelError without cross-attention."""
    if model.family.joint_attention:
        raise ModelError(no_neurons(model.family))
    return model.family.path(model, "sequence")


def _at_subjects(
    model: Model, prompts: Sequence[str], subjects: Sequence[str] | None, what: str
) -> dict[Site, torch.Tensor]:
    """What each site reads at the last subject token of each prompt: ``[n, d]``.

    Where several text encoders' tokens stand one after another, those of the first count.
    """
    if isinstance(prompts, str) or len(prompts) < 2:
        raise PromptError(f"expected at least two prompts {what} to compare, got {prompts!r}")
    subjects = prompts if subjects is None else subjects
    if len(subjects) != len(prompts):
        raise PromptError(
            f"expected one subject for each of {len(prompts)} prompts {what}, got {len(subjects)}"
        )
    path = _cross_attention(model)
    first = path.segments[0]
    wanted = [
        (prompt, [first.offset + last_subject_token(model, prompt, subject, first.component)])
        for prompt, subject in zip(prompts, subjects, strict=True)
    ]
    read = read_rows(model, path, wanted)
    return {
        site: rows.to(model.dtype)
        for rows, group in zip(read, path.groups, strict=True)
        for site in group
    }


@dataclass(frozen=True)
class Point:
    """Pictures of the prompts with the style while ``n`` neurons are changed.

    ``style``    mean CLIP-Score with the prompts themselves: falls as the style goes.
    ``content``  mean CLIP-Score with the prompts without the style: falls as pictures break.
    """

    n: int
    style: float
    content: float


def dropout_curve(
    model: Model,
    clip: Clip,
    neurons: Neurons,
    counts: Sequence[int] = (10, 30, 50, 100),
    *,
    hold: bool = False,
    seeds: Sequence[int] = (0, 1, 2, 3),
    how: Sampling | None = None,
    progress: Progress | None = None,
) -> tuple[Point, ...]:
    """Style and content for no neuron, then for each of ``counts`` (section 7, figure 10).

    Needs ``neurons.others[i]`` to be ``neurons.prompts[i]`` without the style. With ``hold`` the
    neurons are kept at their mean without the style instead of at zero. Every ``n`` is painted from
    the same noise. PromptError when the prompts are no pairs, EditError for an ``n`` that is not
    there.
    """
    check_prompts(neurons.prompts, neurons.others)
    if not counts or max(counts) > neurons.count or min(counts) < 1:
        raise EditError(f"expected numbers of neurons from 1 to {neurons.count}, got {counts}")
    points = []
    for done, n in enumerate([0, *counts]):
        with _changed(model, neurons, n, hold):
            pictures = generate_prompts(model, neurons.prompts, seeds, how)
        texts = (neurons.prompts, neurons.others)
        style, content = (float(clip_scores(clip, pictures, t).mean()) for t in texts)
        points.append(Point(n, style, content))
        if progress:
            progress(done + 1, 1 + len(counts), "neurons")
    return tuple(points)


def _changed(model: Model, neurons: Neurons, n: int, hold: bool) -> AbstractContextManager[Any]:
    if n == 0:
        return nullcontext()
    return (
        held(model, neurons, n) if hold else with_deltas(model, dropout(model, neurons, n).deltas)
    )
