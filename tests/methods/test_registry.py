"""Every registered method keeps the one contract: ``method(model, edits, config) -> Patch``."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from overpaint.methods.registry import METHODS
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.weights import written_out
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose")
STYLE = Edit("a hat in the style of monteux", "a hat", subject="in the style of monteux")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("edit", [ROSE, STYLE], ids=["attribute", "style"])
@pytest.mark.parametrize("name", METHODS)
def test_it_turns_edits_into_a_patch(toybox: Model, corpus: Corpus, name: str, edit: Edit) -> None:
    method = METHODS[name]
    known = {field.name for field in fields(method.config)}
    quick: dict[str, Any] = {"corpus": corpus, "steps": 3, "end_only": edit is STYLE}
    config = method.config(**{k: v for k, v in quick.items() if k in known})
    patch = method.function(toybox, [edit], config)
    assert patch.method == name == method.name
    assert patch.edits == (edit,)
    assert patch.config.keys() == known
    assert any(d.dense().norm() > 0 for d in written_out(toybox, patch.deltas))


@pytest.mark.parametrize("name", METHODS)
def test_its_settings_are_frozen_and_have_defaults(name: str) -> None:
    config = METHODS[name].config()
    assert is_dataclass(config)
    with pytest.raises(AttributeError):
        setattr(config, fields(config)[0].name, 1)
    assert METHODS[name].summary
    assert "arXiv" in METHODS[name].paper
