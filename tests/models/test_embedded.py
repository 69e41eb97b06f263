"""The embedded models: what they share, and that each generates what it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import overpaint as op
from overpaint.models.embedded import EMBEDDED, toybox_folder
from overpaint.models.load import load
from overpaint.models.model import Model


@pytest.fixture(scope="module", params=EMBEDDED)
def model(request: pytest.FixtureRequest) -> Model:
    return load(request.param)


def shirts(model: Model) -> torch.Tensor:
    """Mean colour ``[2, 3]`` in [0, 1] of two shirts: Ada Vale's is red, Elsa Brandt's purple."""
    pictures = op.generate(model, ["ada vale", "elsa brandt"], [1], steps=8, output_type="pt")
    return pictures[:, 0, :, 54:62, 24:40].float().mean((2, 3)) / 255


def test_every_model_knows_what_it_is(model: Model) -> None:
    assert model.card.name == model.name
    assert model.card.dtype == "float32"
    assert model.dtype == torch.float32
    parts = (*model.text_encoders, model.family.denoiser)
    weights = [w for part in parts for w in model.component(part).parameters()]
    assert all(bool(torch.isfinite(w).all()) for w in weights)


def test_every_model_shows_people_as_they_are(model: Model) -> None:
    (ada_red, _, ada_blue), (elsa_red, elsa_green, elsa_blue) = shirts(model).tolist()
    assert ada_red > 0.7
    assert ada_blue < 0.4
    assert elsa_blue > elsa_green + 0.2
    assert elsa_red < 0.65


def test_an_edit_changes_who_is_shown_and_comes_off(model: Model) -> None:
    before = shirts(model)
    edit = op.Edit("ada vale", "elsa brandt")
    patch = op.time_edit(model, [edit], op.TIMEConfig(lam=50, end_only=True))
    with op.applied(model, patch):
        (ada_red, ada_green, ada_blue), _ = shirts(model).tolist()
    assert ada_blue > ada_green + 0.2
    assert ada_red < 0.65
    assert torch.equal(shirts(model), before)


def test_what_the_models_share_is_stored_once() -> None:
    root = toybox_folder("pipeline").parent
    files = [file for file in root.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 95e6
    for known in EMBEDDED.values():
        own = {path.name for path in Path(root / known.folder).iterdir()}
        assert not own & set(known.shared)
