"""Every registered method keeps the one contract: ``method(model, edits, config) -> Patch``."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from overpaint.errors import PromptError
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


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", METHODS)
def test_a_prompt_may_be_too_long_if_its_subject_is_not_cut_off(
    toybox: Model, corpus: Corpus, name: str
) -> None:
    """Toybox reads 30 tokens: all of the subject, not all of the prompt."""
    method = METHODS[name]
    known = {field.name for field in fields(method.config)}
    quick: dict[str, Any] = {"corpus": corpus, "steps": 3, "end_only": True, "layer": 5}
    config = method.config(**{k: v for k, v in quick.items() if k in known})
    rest = " and a dog" * 12
    edit = Edit(f"a rose{rest}", f"a blue rose{rest}", subject="rose")
    patch = method.function(toybox, [edit], config)
    assert any(d.dense().norm() > 0 for d in written_out(toybox, patch.deltas))
    far = Edit(f"a cat{rest} and a rose", "a blue rose", subject="rose")
    with pytest.raises(PromptError, match=r"has 43 tokens and text_encoder reads 32.*'rose'"):
        method.check(toybox, [far], config)


@pytest.mark.parametrize("name", METHODS)
def test_its_settings_are_frozen_and_have_defaults(name: str) -> None:
    config = METHODS[name].config()
    assert is_dataclass(config)
    with pytest.raises(AttributeError):
        setattr(config, fields(config)[0].name, 1)
    assert METHODS[name].summary
    assert "arXiv" in METHODS[name].paper
