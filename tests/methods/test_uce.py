"""UCE: equation 7 at every site, with preserved concepts and erased ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from overpaint.errors import EditError, OverpaintError, PromptError
from overpaint.methods.uce import ARTIST_TEMPLATES, TEMPLATES, UCEConfig, uce
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import last_subject_token
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

from .conftest import states

ROSE = Edit("a rose", "a blue rose")
CAT = Edit("a cat", "a dog")


def by_hand(
    weight: Tensor,
    rows: list[tuple[Tensor, Tensor, float]],
    lam: float,
) -> Tensor:
    """Equation 7 as printed: both sums, one inverse; returns W' - W in float64."""
    weight = weight.double()
    above, below = lam * weight, lam * torch.eye(weight.shape[1], dtype=torch.float64)
    for c, guide, scale in rows:
        above = above + scale * torch.outer(weight @ guide.double(), c.double())
        below = below + scale * torch.outer(c.double(), c.double())
    return above @ torch.linalg.inv(below) - weight


def at_end(model: Model, prompt: str) -> Tensor:
    """The embedding of a prompt's last word, or of the start token of an empty one."""
    rows = states(model, prompt)[0]
    return rows[last_subject_token(model, prompt, prompt) if prompt else 0]


@pytest.mark.usefixtures("untouched")
def test_every_site_gets_the_papers_solution(toybox: Model) -> None:
    config = UCEConfig(preserve=("a tulip", "a dog"), edit_weight=2.0, preserve_weight=0.5)
    patch = uce(toybox, [ROSE, CAT], config)
    rows = [
        (at_end(toybox, t.replace("{}", e.source)), at_end(toybox, e.target), 2.0)
        for e in (ROSE, CAT)
        for t in TEMPLATES
    ]
    for prompt in config.preserve:
        kept = [at_end(toybox, t.replace("{}", prompt)) for t in TEMPLATES]
        rows += [(c, c, 0.5) for c in kept]
    assert patch.info["rows"] == len(rows)
    assert patch.info["preserved_rows"] == 12
    assert [d.site for d in patch.deltas] == list(toybox.family.path(toybox, "sequence").sites)
    for number in (0, 13, -1):
        delta = written_out(toybox, patch.deltas)[number]
        exact = by_hand(module_at(toybox, delta.site).weight, rows, 0.5)
        assert (delta.dense() - exact).norm() <= 1e-5 * exact.norm()
        assert delta.rank <= 12


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("guide", ["", "a dog"])
def test_a_concept_without_target_reads_like_the_guide(toybox: Model, guide: str) -> None:
    patch = uce(toybox, [Edit("a rose")], UCEConfig(guide=guide, templates=("{}",), lam=1e-3))
    c, wanted = at_end(toybox, "a rose"), at_end(toybox, guide)
    module = module_at(toybox, patch.deltas[5].site)
    target, before = module(wanted), module(c)
    with with_deltas(toybox, patch.deltas):
        after = module(c)
    assert (after - target).norm() < 1e-2 * (before - target).norm()


@pytest.mark.usefixtures("untouched")
def test_preserved_concepts_move_less(toybox: Model) -> None:
    c = at_end(toybox, "a tulip")
    moved = []
    for preserve in ((), ("a tulip",)):
        patch = uce(toybox, [ROSE], UCEConfig(preserve=preserve))
        moved.append(sum(float((d.dense() @ c).norm()) for d in written_out(toybox, patch.deltas)))
    assert moved[1] < 0.2 * moved[0]


@pytest.mark.usefixtures("untouched")
def test_onward_pairs_the_padding_too(toybox: Model) -> None:
    few = uce(toybox, [ROSE], UCEConfig(templates=("{}",)))
    many = uce(toybox, [ROSE], UCEConfig(templates=("{}",), onward=True))
    here = last_subject_token(toybox, "a rose", "a rose")
    assert few.info["rows"] == 1
    assert many.info["rows"] == 32 - here
    c, c_star = states(toybox, "a rose", "a blue rose")[:, 10]
    weight = module_at(toybox, few.deltas[1].site).weight
    changes = [written_out(toybox, patch.deltas)[1].dense() for patch in (few, many)]
    missed = [(change @ c - weight @ (c_star - c)).norm() for change in changes]
    assert missed[1] < 0.2 * missed[0]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "config", "error", "words"),
    [
        ([], UCEConfig(), EditError, "at least one"),
        ([Edit("", "a cat")], UCEConfig(), PromptError, "empty"),
        ([Edit("a rose", "A  rose")], UCEConfig(), EditError, "equals the source"),
        ([Edit("a rose")], UCEConfig(guide="a rose"), EditError, "change the guide"),
        ([ROSE], UCEConfig(preserve=("A rose",)), EditError, "both edited and preserved"),
        ([ROSE], UCEConfig(preserve=("",)), PromptError, "empty"),
        ([Edit("a rose", images=(torch.rand(3, 8, 8),))], UCEConfig(), EditError, "refact"),
        ([Edit("a rose", "a cat", subject="a dog")], UCEConfig(), PromptError, "a dog"),
        ([Edit("a rose " * 20, "a cat")], UCEConfig(), PromptError, "reads 32"),
        ([Edit("a rose", "a blue rose " * 20)], UCEConfig(), PromptError, "reads 32"),
    ],
)
def test_bad_edits_are_refused(
    toybox: Model, edits: list[Edit], config: UCEConfig, error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        uce(toybox, edits, config)


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"lam": 0.0}, "λ above 0"),
        ({"edit_weight": 0.0}, "edit_weight"),
        ({"preserve_weight": -1.0}, "preserve_weight"),
        ({"templates": ()}, "templates"),
    ):
        with pytest.raises(EditError, match=words):
            replace(UCEConfig(), **bad)


def test_both_sets_of_templates_fill() -> None:
    for templates in (TEMPLATES, ARTIST_TEMPLATES):
        assert UCEConfig(templates=templates).templates[0] == "{}"
        assert len(templates) == 6
