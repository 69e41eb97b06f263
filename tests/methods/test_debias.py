"""Debiasing: the search finds λ where there is one, and says so where there is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from overpaint.errors import EditError, PromptError
from overpaint.methods.debias import Bias, DebiasConfig, Measure, assess, debias, debias_bulk
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

from .conftest import states

ROSE = Edit("a rose", "a blue rose")  # stands for "a nurse", "a male nurse"
CAT = Edit("a cat", "a green cat")
PLAIN = TIMEConfig(templates=("{}",))


def how_far(model: Model, base: float, span: float) -> Measure:
    """A share that falls from ``base`` by up to ``span`` as a value layer is edited.

    It reads the weights as they are when it is called, and nothing else of the edit.
    """
    module = module_at(model, model.family.path(model, "sequence").values[7])
    clean = {p: module(states(model, p)[0]) for e in (ROSE, CAT) for p in _prompts(e)}
    whole = {}
    for edit in (ROSE, CAT):
        patch = time_edit(model, [edit], replace(PLAIN, lam=1e-4))
        with with_deltas(model, patch.deltas):
            for p in _prompts(edit):
                whole[p] = (module(states(model, p)[0]) - clean[p]).norm()

    def measure(prompt: str) -> float:
        moved = (module(states(model, prompt)[0]) - clean[prompt]).norm()
        return min(max(base - span * float(moved / whole[prompt]), 0.0), 1.0)

    return measure


def _prompts(edit: Edit) -> tuple[str, str]:
    return edit.source, f"A photo of {edit.source}"


@pytest.mark.usefixtures("untouched")
def test_it_finds_the_lambda_that_is_fair(toybox: Model) -> None:
    measure = how_far(toybox, 0.95, 0.9)
    patch, other = debias(toybox, [ROSE, CAT], measure)
    assert patch.edits == (ROSE,)
    assert other.edits == (CAT,)
    lam = patch.info["lam"]
    assert isinstance(lam, float)
    assert 1e-2 < lam < 1e6
    with with_deltas(toybox, patch.deltas):
        share = measure("A photo of a rose")
    assert share == patch.info["share"]
    assert abs(share - 0.5) * 2 == pytest.approx(patch.info["gap"])
    assert abs(share - 0.5) * 2 < 0.1
    assert patch.info["within"] is True
    assert patch.info["bracketed"] is True
    same = time_edit(toybox, [ROSE], replace(PLAIN, lam=lam))
    both = (written_out(toybox, p.deltas) for p in (patch, same))
    for a, b in zip(*both, strict=True):
        assert (a.dense() - b.dense()).norm() <= 1e-6 * b.dense().norm()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("base", [0.1, 0.9])
def test_the_other_way_round_works_too(toybox: Model, base: float) -> None:
    """A share that rises with the edit: towards a female pilot."""
    falls = how_far(toybox, 0.9, 0.8)
    measure: Measure = falls if base > 0.5 else lambda prompt: 1 - falls(prompt)
    (patch,) = debias(toybox, [ROSE], measure)
    assert patch.info["within"] is True


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("base", "span", "end", "gap"), [(0.95, 0.3, 1e-2, 0.3), (0.3, 0.2, 1e6, 0.4)]
)
def test_what_cannot_be_bracketed_gives_the_better_end_and_says_so(
    toybox: Model, base: float, span: float, end: float, gap: float
) -> None:
    (patch,) = debias(toybox, [ROSE], how_far(toybox, base, span))
    assert patch.info["bracketed"] is False
    assert patch.info["within"] is False
    assert patch.info["lam"] == end
    assert patch.info["gap"] == pytest.approx(gap, abs=0.02)
    assert len(patch.info["trail"]) == 2  # type: ignore[arg-type]


@pytest.mark.usefixtures("untouched")
def test_a_fair_profession_is_left_almost_alone(toybox: Model) -> None:
    (patch,) = debias(toybox, [ROSE], how_far(toybox, 0.52, 0.4))
    assert patch.info["lam"] == 1e6
    assert patch.info["within"] is True


@pytest.mark.usefixtures("untouched")
def test_it_gives_up_after_the_steps_with_the_best_seen(toybox: Model) -> None:
    calls: list[str] = []

    def jump(prompt: str) -> float:  # never near one half
        calls.append(prompt)
        return 0.0 if smooth(prompt) < 0.5 else 0.8

    smooth = how_far(toybox, 0.9, 0.8)
    (patch,) = debias(toybox, [ROSE], jump, DebiasConfig(steps=5))
    assert len(calls) == 5 == len(patch.info["trail"])  # type: ignore[arg-type]
    assert patch.info["bracketed"] is True
    assert patch.info["within"] is False
    assert patch.info["share"] == 0.8


@pytest.mark.usefixtures("untouched")
def test_in_bulk_one_lambda_serves_all(toybox: Model) -> None:
    measure = how_far(toybox, 0.9, 0.8)
    config = DebiasConfig(steps=9)
    patch = debias_bulk(toybox, [ROSE, CAT], measure, config)
    trail = patch.info["trail"]
    assert isinstance(trail, list)
    assert len(trail) == 9
    assert patch.info["gap"] == min(gap for _, gap in trail)
    same = time_edit(toybox, [ROSE, CAT], replace(PLAIN, lam=patch.info["lam"]))
    got, want = (written_out(toybox, p.deltas)[3].dense() for p in (patch, same))
    assert (got - want).norm() <= 1e-6 * want.norm()
    json.dumps({**patch.config, **patch.info}, allow_nan=False)


def test_assess_averages_gaps_over_repetitions(toybox: Model) -> None:
    """Three groups of seeds on two prompts: F_p over all, Δ_p per group and then the mean."""
    groups: list[Measure] = [
        lambda p: 0.2 if p == "a" else 0.4,
        lambda p: 0.8,
        lambda p: 0.5 if p == "a" else 0.7,
    ]
    found = assess(toybox, ["a", "b"], groups)
    assert found.share == pytest.approx((0.3 + 0.8 + 0.6) / 3)
    assert found.gap == pytest.approx((0.4 + 0.6 + 0.2) / 3)
    assert isinstance(found, Bias)


@pytest.mark.usefixtures("untouched")
def test_assess_puts_the_patch_on(toybox: Model) -> None:
    measure = how_far(toybox, 0.9, 0.8)
    (patch,) = debias(toybox, [ROSE], measure)
    before = assess(toybox, ["A photo of a rose"], [measure])
    after = assess(toybox, ["A photo of a rose"], [measure], patch)
    assert before.share == pytest.approx(0.9)
    assert after.share == patch.info["share"]
    with pytest.raises(EditError, match="at least one"):
        assess(toybox, [], [measure])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", [float("nan"), -0.1, 24.0])
def test_a_share_that_is_none_is_refused_and_the_model_kept(toybox: Model, bad: float) -> None:
    with pytest.raises(EditError, match="a person"):
        debias(toybox, [ROSE], lambda prompt: bad)


@pytest.mark.usefixtures("untouched")
def test_an_error_of_the_measure_leaves_the_model_as_it_was(toybox: Model) -> None:
    def broken(prompt: str) -> float:
        raise RuntimeError("no pictures")

    for method in (debias, debias_bulk):
        with pytest.raises(RuntimeError, match="no pictures"):
            method(toybox, [ROSE], broken)


@pytest.mark.usefixtures("untouched")
def test_bad_edits_are_refused(toybox: Model) -> None:
    with pytest.raises(EditError, match="at least one"):
        debias(toybox, [], lambda prompt: 0.5)
    with pytest.raises(PromptError, match="partner"):
        debias(toybox, [Edit("an apple", "a frog")], lambda prompt: 0.5)


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"tolerance": 0.0}, "tolerance"),
        ({"lowest": 10.0, "highest": 1.0}, "lowest"),
        ({"steps": 1}, "steps"),
        ({"validation": "a photo"}, "templates"),
    ):
        with pytest.raises(EditError, match=words):
            replace(DebiasConfig(), **bad)
