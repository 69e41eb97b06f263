"""The settings each method starts from: on Toybox, on other models, for a kind of edits."""

from __future__ import annotations

from typing import Any

import pytest

import overpaint
from overpaint.errors import EditError
from overpaint.methods.chosen import KINDS, TOYBOX, chosen, chosen_settings, over
from overpaint.methods.registry import METHODS
from overpaint.methods.uce import UCEConfig
from overpaint.models.model import Model


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_config_for_every_kind(method: str) -> None:
    for kind in ("", *KINDS):
        for model in ("toybox", "some/model"):
            assert isinstance(chosen(model, method, kind), METHODS[method].config)
    changed = chosen("toybox", method) != METHODS[method].config()
    assert changed == (method in TOYBOX)
    assert chosen("some/model", method) == METHODS[method].config()


def test_a_loaded_model_is_known_by_its_name(toybox: Model, sd1: Model) -> None:
    assert overpaint.chosen(toybox, "time") == overpaint.TIMEConfig(lam=50)
    assert overpaint.chosen(sd1, "time") == overpaint.TIMEConfig()


def test_what_was_chosen_for_a_kind_goes_over_the_rest() -> None:
    assert chosen("toybox", "uce") == UCEConfig(lam=300, onward=True)
    assert chosen("toybox", "uce", "styles") == UCEConfig(lam=100, onward=False)
    assert chosen("toybox", "time", "roles").end_only
    # ReFACT, section 5: layer 9 for TIMED, 7 for RoAD
    layers = [chosen("some/model", "refact", kind).layer for kind in ("", "attributes", "roles")]
    assert layers == [9, 9, 7]


@pytest.mark.parametrize(
    ("method", "kind", "said"),
    [
        ("refct", "", "expected a method among refact, time.*, got 'refct'"),
        ("refact", "role", "a kind of edits out of attributes, roles.*, got 'role'; leave it out"),
    ],
)
def test_unknown_names_are_refused(method: str, kind: str, said: str) -> None:
    with pytest.raises(EditError, match=said):
        chosen("toybox", method, kind)


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ({}, {"lam": 300, "onward": True, "styles.lam": 100, "styles.onward": False}),
        ({"lam": 1}, {"onward": True, "styles.onward": False, "lam": 1}),
        ({"strength": "auto"}, {"onward": True, "styles.onward": False, "strength": "auto"}),
        (
            {"styles.lam": 7},
            {"lam": 300, "onward": True, "styles.lam": 7, "styles.onward": False},
        ),
    ],
)
def test_what_is_given_wins(given: dict[str, Any], result: dict[str, Any]) -> None:
    assert over("uce", chosen_settings("toybox", "uce"), given) == result


def test_the_table_cannot_be_changed_through_what_is_returned() -> None:
    chosen_settings("toybox", "time")["lam"] = 1
    assert chosen("toybox", "time").lam == 50
