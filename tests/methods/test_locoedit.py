"""LocoEdit: the paper's closed form at the chosen layers, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.methods.locoedit import LocoEditConfig, locoedit
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import last_subject_token
from overpaint.models.weights import written_out
from overpaint.types import Edit, Localization

from .conftest import states

PARK = Edit("a cat in the park", "a green cat in the park", subject="cat")
ROSE = Edit("a rose", "a blue rose")
FOUND = Localization("object", (9, 8), (0.1,) * 15, 2)


@pytest.mark.usefixtures("untouched")
def test_keys_and_values_have_a_lambda_each(toybox: Model) -> None:
    """Section 6.1 in its own words, row vectors and all: (XᵀX + λI)⁻¹(Xᵀ Y + λ Ŵ)."""
    patch = locoedit(toybox, [ROSE, PARK], LocoEditConfig(layers=(8, 9), lam_k=0.02, lam_v=3.0))
    read = states(toybox, PARK.source, PARK.target, ROSE.source, ROSE.target).double()
    words = ("cat", "cat", "rose", "rose")
    prompts = (PARK.source, PARK.target, ROSE.source, ROSE.target)
    places = [last_subject_token(toybox, p, w) for p, w in zip(prompts, words, strict=True)]
    x_orig = torch.stack([read[0, places[0]], read[2, places[2]]])
    x_target = torch.stack([read[1, places[1]], read[3, places[3]]])
    sites = toybox.family.path(toybox, "sequence").sites[16:20]
    assert [d.site for d in patch.deltas] == list(sites)
    deltas = written_out(toybox, patch.deltas)
    for delta, lam in zip(deltas, (0.02, 3.0, 0.02, 3.0), strict=True):
        old = module_at(toybox, delta.site).weight.double().T
        eye = torch.eye(len(old), dtype=torch.float64)
        new = torch.linalg.solve(
            x_orig.T @ x_orig + lam * eye, x_orig.T @ (x_target @ old) + lam * old
        )
        exact = (new - old).T
        assert (delta.dense() - exact).norm() <= 1e-5 * exact.norm()
        assert delta.rank == 2


@pytest.mark.usefixtures("untouched")
def test_a_localization_is_taken_as_it_is(toybox: Model) -> None:
    found = locoedit(toybox, [ROSE], LocoEditConfig(localization=FOUND))
    given = locoedit(toybox, [ROSE], LocoEditConfig(layers=(8, 9)))
    assert [d.site for d in found.deltas] == [d.site for d in given.deltas]
    for a, b in zip(found.deltas, given.deltas, strict=True):
        assert all(map(torch.equal, a.factors, b.factors))
    stored = json.loads(json.dumps(found.config))
    assert stored["localization"] == {"kind": "object", "layers": [9, 8], "window": 2}
    assert found.info["layers"] == [8, 9]


@pytest.mark.usefixtures("untouched")
def test_without_layers_it_edits_them_all(toybox: Model) -> None:
    patch = locoedit(toybox, [ROSE])
    assert [d.site for d in patch.deltas] == list(toybox.family.path(toybox, "sequence").sites)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "config", "error", "words"),
    [
        ([ROSE], LocoEditConfig(layers=(16,)), SiteError, "0 to 15 that read text, got layer 16"),
        ([ROSE], LocoEditConfig(layers=(-1, 3)), SiteError, "got layer -1"),
        ([ROSE], LocoEditConfig(localization=replace(FOUND, layers=(20,))), SiteError, "20"),
        ([], LocoEditConfig(), EditError, "at least one"),
        ([Edit("a rose", "")], LocoEditConfig(), EditError, "a target"),
        ([Edit("a rose in the park", "a rose in the snow", subject="rose")], LocoEditConfig(),
         EditError, "read alike"),
        ([Edit("a rose", "a cat", subject="tulip")], LocoEditConfig(), PromptError, "tulip"),
        ([Edit("a rose", images=(torch.rand(3, 8, 8),))], LocoEditConfig(), EditError, "refact"),
    ],
)  # fmt: skip
def test_bad_edits_are_refused(
    toybox: Model,
    edits: list[Edit],
    config: LocoEditConfig,
    error: type[OverpaintError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        locoedit(toybox, edits, config)


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"lam_k": 0.0}, "keys"),
        ({"lam_v": -1.0}, "values"),
        ({"layers": (8,), "localization": FOUND}, "layers or a localization"),
        ({"templates": ("no place",)}, "templates"),
    ):
        with pytest.raises(EditError, match=words):
            replace(LocoEditConfig(), **bad)
