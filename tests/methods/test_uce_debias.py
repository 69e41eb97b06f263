"""UCE debiasing moves its targets until the shares are fair."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError
from overpaint.methods.uce_debias import Shares, UCEDebiasConfig, uce_debias
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import last_subject_token
from overpaint.models.weights import with_deltas, written_out

from .conftest import states

COLOURS = ("red", "blue")


def end_of(model: Model, prompt: str) -> torch.Tensor:
    return states(model, prompt)[0, last_subject_token(model, prompt, prompt)]


def leaning(model: Model, start: float) -> Shares:
    """Share of red is ``start`` plus how far a value layer has moved from blue's to red's value."""
    module = module_at(model, model.family.path(model, "sequence").values[7])
    red, blue = (module(end_of(model, c)) for c in COLOURS)
    clean = {c: module(end_of(model, c)) for c in ("a rose", "a car")}
    axis = (red - blue) / (red - blue).norm()

    def measure(prompt: str) -> list[float]:
        moved = float((module(end_of(model, prompt)) - clean[prompt]) @ axis)
        share = min(max(start + moved / float((red - blue).norm()), 0.0), 1.0)
        return [share, 1 - share]

    return measure


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("start", [0.9, 0.15])
def test_the_shares_become_fair(toybox: Model, start: float) -> None:
    measure = leaning(toybox, start)
    patch = uce_debias(toybox, ["a rose", "a car"], COLOURS, measure)
    assert patch.info["within"] is True
    with with_deltas(toybox, patch.deltas):
        shares = [measure("a rose"), measure("a car")]
    assert all(abs(share[0] - 0.5) <= 0.05 for share in shares)
    assert patch.info["shares"] == [pytest.approx(s, abs=1e-6) for s in shares]
    json.dumps({**patch.config, **patch.info}, allow_nan=False)


@pytest.mark.usefixtures("untouched")
def test_the_patch_is_equation_7_for_the_scales_found(toybox: Model) -> None:
    config = UCEDebiasConfig(preserve=("a tulip",), steps=3, tolerance=0.001)
    patch = uce_debias(toybox, ["a rose"], COLOURS, leaning(toybox, 0.9), config)
    scales = patch.info["scales"]
    assert isinstance(scales, list)
    c = end_of(toybox, "a rose").double()
    parts = [s * end_of(toybox, a).double() for s, a in zip(scales[0], COLOURS, strict=True)]
    target, kept = c + parts[0] + parts[1], end_of(toybox, "a tulip").double()
    delta = written_out(toybox, patch.deltas)[9]
    weight = module_at(toybox, delta.site).weight.double()
    above = 0.5 * weight + torch.outer(weight @ target, c) + torch.outer(weight @ kept, kept)
    below = 0.5 * torch.eye(len(c), dtype=torch.float64) + torch.outer(c, c)
    exact = above @ torch.linalg.inv(below + torch.outer(kept, kept)) - weight
    assert (delta.dense() - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.usefixtures("untouched")
def test_what_never_becomes_fair_gives_the_best_seen(toybox: Model) -> None:
    shares = iter([0.9, 0.7, 0.8, 0.95])

    def drifting(prompt: str) -> list[float]:
        share = next(shares)
        return [share, 1 - share]

    patch = uce_debias(toybox, ["a rose"], COLOURS, drifting, UCEDebiasConfig(steps=4))
    assert patch.info["within"] is False
    assert patch.info["shares"] == [[0.7, pytest.approx(0.3)]]
    assert patch.info["gaps"] == [pytest.approx(g) for g in (0.4, 0.2, 0.3, 0.45)]
    assert patch.deltas


@pytest.mark.usefixtures("untouched")
def test_other_shares_can_be_wanted(toybox: Model) -> None:
    config = UCEDebiasConfig(wanted=(0.8, 0.2))
    patch = uce_debias(toybox, ["a rose"], COLOURS, leaning(toybox, 0.3), config)
    assert patch.info["within"] is True
    assert patch.info["shares"][0][0] == pytest.approx(0.8, abs=0.05)  # type: ignore[index]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("concepts", "attributes", "config", "measure", "error", "words"),
    [
        ([], COLOURS, {}, None, EditError, "at least one"),
        ([""], COLOURS, {}, None, PromptError, "empty"),
        (["a rose"], ("red",), {}, None, EditError, "two attributes"),
        (["a rose"], COLOURS, {"wanted": (0.2, 0.3, 0.5)}, None, EditError, "each of 2"),
        (["a rose"], COLOURS, {"preserve": ("A rose",)}, None, EditError, "both edited"),
        (["a rose"], COLOURS, {}, lambda p: [0.5], EditError, "2 shares"),
        (["a rose"], COLOURS, {}, lambda p: [2.0, -1.0], EditError, "classify"),
        (["a rose"], COLOURS, {}, lambda p: [float("nan")] * 2, EditError, "classify"),
    ],
)
def test_what_cannot_work_is_refused(
    toybox: Model,
    concepts: list[str],
    attributes: tuple[str, ...],
    config: dict[str, object],
    measure: Callable[[str], list[float]] | None,
    error: type[OverpaintError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        uce_debias(
            toybox,
            concepts,
            attributes,
            measure or (lambda prompt: [0.5, 0.5]),
            replace(UCEDebiasConfig(), **config),
        )


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"lam": 0.0}, "λ above 0"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"steps": 0}, "steps"),
        ({"step": -1.0}, "step above 0"),
        ({"wanted": (0.5, 0.4)}, "sum to 1"),
    ):
        with pytest.raises(EditError, match=words):
            replace(UCEDebiasConfig(), **bad)
