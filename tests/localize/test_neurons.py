"""Neurons that tell a style: their z-scores, switching them off, holding them still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import random_models
from overpaint.errors import EditError, ModelError, OverpaintError, PromptError, SiteError
from overpaint.generate import generate
from overpaint.localize.neurons import dropout, dropout_curve, find_neurons, held
from overpaint.localize.score import clip_scores
from overpaint.methods.support import why_not
from overpaint.models.clip import Clip
from overpaint.models.families import no_neurons
from overpaint.models.fingerprint import fingerprint
from overpaint.models.hooks import record
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.sampling import Sampling
from overpaint.models.sites import module_at
from overpaint.models.text import encode, last_subject_token
from overpaint.models.weights import with_deltas
from overpaint.patching.files import load_patch, save_patch

from .conftest import text_sites

STYLED = ["a cat in the style of zorvan", "a rose in the style of zorvan", "zorvan"]
PLAIN = ["a cat", "a rose"]
LAYERS = (1, 2)
Eye = Callable[[torch.Tensor], Clip]


def test_z_scores_are_those_of_a_plain_computation(sd1: Model) -> None:
    found = find_neurons(sd1, STYLED, PLAIN, LAYERS, subjects=["zorvan"] * 3)
    assert found.sites == text_sites(sd1)[2:6]
    groups = []
    for prompts, subjects in ((STYLED, ["zorvan"] * 3), (PLAIN, PLAIN)):
        rows = [
            encode(sd1, [p])[0]["prompt_embeds"][0, last_subject_token(sd1, p, s)]
            for p, s in zip(prompts, subjects, strict=True)
        ]
        groups.append(torch.stack(rows).numpy().astype(float))
    for site, z, resting in zip(found.sites, found.z, found.resting, strict=True):
        weight = module_at(sd1, site).weight.numpy().astype(float)
        a, b = (rows @ weight.T for rows in groups)
        error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
        expected = (a.mean(0) - b.mean(0)) / error
        np.testing.assert_allclose(z.numpy(), expected, rtol=1e-3)
        np.testing.assert_allclose(resting.numpy(), b.mean(0), atol=1e-5)


def test_top_takes_the_largest_of_all_sites(sd1: Model) -> None:
    found = find_neurons(sd1, STYLED, PLAIN, LAYERS)
    every = sorted(torch.cat(found.z).abs().tolist(), reverse=True)
    chosen = [z[places].abs() for z, places in zip(found.z, found.top(10), strict=True)]
    assert sorted(torch.cat(chosen).tolist(), reverse=True) == every[:10]
    assert found.count == len(every)


def test_dropout_zeroes_the_rows_and_nothing_else(sd1: Model, tmp_path: Path) -> None:
    found, before = find_neurons(sd1, STYLED, PLAIN, LAYERS), fingerprint(sd1)
    patch = dropout(sd1, found, 12)
    assert fingerprint(sd1) == before
    assert sum(delta.rank for delta in patch.deltas) == 12
    whole = {site: module_at(sd1, site).weight.clone() for site in found.sites}
    save_patch(patch, tmp_path / "patch")
    with with_deltas(sd1, load_patch(tmp_path / "patch").deltas):
        for site, places in zip(found.sites, found.top(12), strict=True):
            expected = whole[site].clone()
            expected[places] = 0
            assert torch.equal(module_at(sd1, site).weight, expected)
    assert fingerprint(sd1) == before


def test_held_neurons_stay_at_their_mean(sd1: Model) -> None:
    found = find_neurons(sd1, STYLED, PLAIN, LAYERS)
    places = found.top(8)
    index = next(i for i, chosen in enumerate(places) if len(chosen))
    module, chosen = module_at(sd1, found.sites[index]), places[index]
    others = [i for i in range(found.sites[index].d_out) if i not in chosen.tolist()]
    plain = generate(sd1, ["a cat"], [0], steps=1, batch_size=1, output_type="pt")
    with record(module, outputs=True) as (free,):
        generate(sd1, ["a cat"], [0], steps=1, batch_size=1, output_type="pt")
    with held(sd1, found, 8), record(module, outputs=True) as (bound,):
        painted = generate(sd1, ["a cat"], [0], steps=1, batch_size=1, output_type="pt")
    resting = found.resting[index][chosen].float()
    assert torch.equal(bound[0][..., chosen], resting.expand_as(bound[0][..., chosen]))
    assert torch.equal(bound[0][..., others], free[0][..., others])
    assert not torch.equal(painted, plain)
    assert torch.equal(
        generate(sd1, ["a cat"], [0], steps=1, batch_size=1, output_type="pt"), plain
    )


def test_curve_starts_unchanged_and_follows_the_patch(sd1: Model, eye: Eye) -> None:
    pairs = STYLED[:2]
    found = find_neurons(sd1, pairs, PLAIN, LAYERS)
    settings = {"seeds": (0,), "how": Sampling(steps=1, batch_size=2)}
    plain = generate(sd1, pairs, [0], steps=1, batch_size=2, output_type="pt")
    clip = eye(plain[0, 0])
    curve = dropout_curve(sd1, clip, found, (5, found.count), **settings)
    assert [point.n for point in curve] == [0, 5, found.count]
    assert curve[0].style == pytest.approx(float(clip_scores(clip, plain, pairs).mean()))
    with with_deltas(sd1, dropout(sd1, found, found.count).deltas):
        silent = generate(sd1, pairs, [0], steps=1, batch_size=2, output_type="pt")
    assert curve[2].style == pytest.approx(float(clip_scores(clip, silent, pairs).mean()))
    assert curve[2].style != curve[0].style
    kept = dropout_curve(sd1, clip, found, (found.count,), hold=True, **settings)
    assert kept[0] == curve[0]
    assert kept[1] != curve[2]
    with pytest.raises(EditError, match="numbers of neurons"):
        dropout_curve(sd1, clip, found, (0,))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((STYLED, PLAIN, (4,)), SiteError, "layers 0 to 3, got layer 4"),
        ((STYLED, PLAIN, (-1,)), SiteError, "got layer -1"),
        ((STYLED, PLAIN, ()), SiteError, "at least one"),
        ((STYLED, PLAIN[:1], LAYERS), PromptError, "at least two prompts without the style"),
        (("zorvan", PLAIN, LAYERS), PromptError, "at least two prompts with the style"),
    ],
)
def test_bad_calls_are_named_errors(
    sd1: Model, arguments: Any, error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        find_neurons(sd1, *arguments)


def test_wrong_number_of_subjects_or_neurons(sd1: Model) -> None:
    with pytest.raises(PromptError, match="one subject for each of 3"):
        find_neurons(sd1, STYLED, PLAIN, LAYERS, subjects=["zorvan"])
    found = find_neurons(sd1, STYLED, PLAIN, LAYERS)
    for n in (0, found.count + 1):
        with pytest.raises(EditError, match=f"expected 1 to {found.count}"):
            dropout(sd1, found, n)


@pytest.mark.parametrize("name", ["IF-I", "PixArt-Sigma", "HunyuanDiT"])
def test_other_families_with_cross_attention(name: str) -> None:
    """z-scores of what the projections really give for the subject, watched in a run."""
    model = load(random_models.build(name))
    styled, plain = ["a red rose", "a red car", "a red house"], ["a rose", "a car"]
    found = find_neurons(model, styled, plain, [1], subjects=["red"] * 3)
    segment = model.family.path(model, "sequence").segments[0]
    groups = []
    for prompts, subjects in ((styled, ["red"] * 3), (plain, plain)):
        rows = []
        for prompt, subject in zip(prompts, subjects, strict=True):
            place = last_subject_token(model, prompt, subject, segment.component)
            with record(*(module_at(model, site) for site in found.sites), outputs=True) as seen:
                model.family.evaluate(model, encode(model, [prompt])[0])
            rows.append([calls[0][0, place].double() for calls in seen])
        groups.append([torch.stack(site) for site in zip(*rows, strict=True)])
    for z, resting, a, b in zip(found.z, found.resting, *groups, strict=True):
        error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
        torch.testing.assert_close(z, (a.mean(0) - b.mean(0)) / error, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(resting, b.mean(0), rtol=1e-4, atol=1e-5)
    assert sum(delta.rank for delta in dropout(model, found, 5).deltas) == 5


@pytest.mark.parametrize("name", ["SD3", "FLUX-dev", "Z-Image"])
def test_joint_attention_has_no_such_neurons(name: str) -> None:
    model = load(random_models.build(name))
    with pytest.raises(ModelError, match="joint attention; find its layers with LocoGen"):
        find_neurons(model, STYLED, PLAIN, [0])
    assert why_not(model.family, "neurons") == no_neurons(model.family) != ""
