"""The strength of an edit: chosen where reach and hold are best together, by text alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from overpaint.errors import EditError
from overpaint.methods import strength
from overpaint.methods.configure import configure
from overpaint.methods.mass_config import MassConfig
from overpaint.methods.registry import METHODS
from overpaint.methods.strength import Gauge, Sway, choose, nearest, ridge_range
from overpaint.methods.surroundings import Surroundings
from overpaint.methods.time_edit import TIMEConfig, deltas, rows, time_edit
from overpaint.models.model import Model
from overpaint.models.weights import with_deltas
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two positives and two neighbours: enough to choose by, quick to read."""
    small = Surroundings(
        ("a rose", "a rose in the park"),
        ("a blue rose", "a blue rose in the park"),
        ("a tulip", "a cup at night"),
        "a blue rose",
    )
    monkeypatch.setattr(strength, "surroundings", lambda *_, **__: small)


def test_nearest_is_the_softmax_of_three() -> None:
    right, wrong = [0.1, 0.9, 4.0], [0.8, 0.0, 5.0]
    blur = 0.4
    shares = []
    for r, w in zip(right, wrong, strict=True):
        a, b, c = (math.exp(-d / (2 * blur * blur)) for d in (r, w, 1.0))
        shares.append(a / (a + b + c))
    found = nearest(torch.tensor(right), torch.tensor(wrong), blur)
    assert found == pytest.approx(sum(shares) / 3, rel=1e-6)
    assert nearest(torch.zeros(1), torch.ones(1)) > 0.7
    assert nearest(torch.full((1,), 9.0), torch.full((1,), 16.0)) < 0.01  # nearer, but torn away


@settings(max_examples=50, deadline=None)
@given(st.floats(-2.5, 2.5), st.floats(0.2, 3.0))
def test_choice_is_the_maximum_of_a_fine_grid(peak: float, width: float) -> None:
    def gauge(changes: Sequence[Any]) -> Sway:
        height = math.exp(-(((math.log10(changes[0]) - peak) / width) ** 2))
        return Sway(height, height)

    found = choose(gauge, lambda value: [value], 1e-3, 1e3)  # type: ignore[list-item,return-value]
    grid = [10 ** (-3 + 6 * i / 2000) for i in range(2001)]
    assert found.sway.both >= max(gauge([value]).both for value in grid) - 2e-3 / width**2
    assert found.bracketed
    assert math.log10(found.value) == pytest.approx(peak, abs=0.05)


@pytest.mark.parametrize(("slope", "end"), [(1, 100.0), (-1, 0.01)])
def test_an_end_of_the_range_is_returned_and_said(slope: int, end: float) -> None:
    def gauge(changes: Sequence[Any]) -> Sway:
        return Sway(0.5 + 0.1 * slope * math.log10(changes[0]), 0.5)

    found = choose(gauge, lambda value: [value], 0.01, 100.0)  # type: ignore[list-item,return-value]
    assert found.value == end
    assert not found.bracketed
    assert found.info["strength_bracketed"] is False


@pytest.mark.usefixtures("few", "untouched")
def test_chosen_lambda_is_the_best_of_a_fine_grid(toybox: Model) -> None:
    config = TIMEConfig(lam=None, templates=("{}",))
    patch = time_edit(toybox, [ROSE], config)
    read = rows(toybox, [ROSE], config)
    low, high = ridge_range(read[0].keys)
    gauge = Gauge(toybox, [ROSE])

    def sway(lam: float) -> Sway:
        return gauge(deltas(toybox, read, TIMEConfig(lam, ("{}",))))

    best = max(sway(low * (high / low) ** (i / 40)).both for i in range(41))
    chosen: Any = patch.info["strength"]
    assert low < chosen < high
    assert sway(chosen).both >= best - 1e-3
    assert patch.info["reach"] == pytest.approx(sway(chosen).reach, abs=1e-5)
    assert patch.info["hold"] == pytest.approx(sway(chosen).hold, abs=1e-5)


@pytest.mark.usefixtures("few")
def test_gauge_reads_old_and_new(toybox: Model) -> None:
    gauge = Gauge(toybox, [ROSE])
    none = gauge([])
    weak, strong = (
        gauge(time_edit(toybox, [ROSE], TIMEConfig(lam=lam)).deltas) for lam in (1e5, 10.0)
    )
    assert none.reach < weak.reach < strong.reach
    assert none.hold > weak.hold > strong.hold
    assert none.hold == pytest.approx(nearest(torch.zeros(1), torch.ones(1)), abs=1e-4)
    assert none.reach == pytest.approx(nearest(torch.ones(1), torch.zeros(1)), abs=1e-4)


@pytest.mark.usefixtures("few", "untouched")
@pytest.mark.parametrize(
    ("name", "values", "fields"),
    [
        ("time", {}, ("lam",)),
        ("uce", {"onward": "yes"}, ("lam",)),
        ("locoedit", {"layers": "8,9"}, ("lam_k", "lam_v")),
        ("diffquickfix", {}, ("lam",)),
        ("refact", {"covariance_weight": 0, "steps": 5}, ("scale",)),
    ],
)
def test_auto_is_the_method_at_the_strength_it_names(
    toybox: Model, name: str, values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    method = METHODS[name]
    auto = configure(name, method.config, {**values, "strength": "auto"})
    assert [getattr(auto, field) for field in fields] == [None] * len(fields)
    patch = method.function(toybox, [ROSE], auto)
    chosen: Any = patch.info["strength"]
    chosen = chosen[0] if isinstance(chosen, list) else chosen
    again = method.function(
        toybox, [ROSE], configure(name, method.config, {**values, "strength": chosen})
    )
    for one, other in zip(patch.deltas, again.deltas, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.factors, other.factors, strict=True))
    if name != "refact":
        assert [patch.config[field] for field in fields] == [chosen] * len(fields)


@pytest.mark.usefixtures("few")
def test_scale_makes_the_change_so_many_times_as_long(toybox: Model) -> None:
    quick = {"covariance_weight": 0, "steps": 5}
    config = METHODS["refact"].config
    one, three = (
        METHODS["refact"].function(toybox, [ROSE], config(**quick, scale=s)).deltas[0].factors
        for s in (1.0, 3.0)
    )
    torch.testing.assert_close(three[1] @ three[0], 3 * one[1] @ one[0])


def test_edits_solved_together_share_one_and_spare_each_other(toybox: Model) -> None:
    tulip = Edit("a tulip", "a green tulip")
    gauge = Gauge(toybox, [ROSE, tulip])
    assert not any("rose" in p or "tulip" in p for p in gauge.neighbours)
    assert any("rose" in p for p in gauge.positives)
    assert any("tulip" in p for p in gauge.positives)
    with with_deltas(toybox, ()):
        assert gauge([]).hold > 0.7


@pytest.mark.parametrize(
    ("method", "values", "said"),
    [
        ("finetune", {"strength": "auto"}, "has no strength to choose"),
        ("mass", {"strength": "auto"}, "has no strength to choose"),
        ("time", {"strength": "auto", "lam": "1"}, "got both"),
        ("time", {"strength": "much"}, "setting 'lam': expected float or NoneType, got 'much'"),
        ("time", {"strength": "0"}, "λ above 0"),
        ("refact", {"strength": "-1"}, "a scale above 0"),
    ],
)
def test_bad_strengths_are_named_errors(method: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(EditError, match=said):
        configure(method, METHODS[method].config, values)


def test_mass_wants_a_number() -> None:
    with pytest.raises(EditError, match="a scale as a number"):
        MassConfig(scale=None)


def test_locoedit_leaves_both_open_or_none() -> None:
    with pytest.raises(EditError, match="both λ or neither"):
        METHODS["locoedit"].config(lam_k=None)
