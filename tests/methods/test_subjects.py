"""The ridge family by subjects: which positions correspond, and the solution itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from overpaint.errors import EditError, PromptError
from overpaint.methods.closed_form import solve
from overpaint.methods.common import counterpart, filled
from overpaint.methods.subjects import held, rows, subject_pairs
from overpaint.models.families import TextPath
from overpaint.models.model import Model
from overpaint.models.text import last_subject_token, max_length
from overpaint.types import Edit

from .conftest import states


def sequence(model: Model) -> TextPath:
    return model.family.path(model, "sequence")


def normal_equations(keys: Tensor, wanted: Tensor, lam: float, weights: Tensor) -> Tensor:
    """M of ``W' = W (I + M)``, one token at a time, by a d x d inverse in float64."""
    d = keys.shape[1]
    above = lam * torch.eye(d, dtype=torch.float64)
    below = lam * torch.eye(d, dtype=torch.float64)
    for k, w, weight in zip(keys.double(), wanted.double(), weights.double(), strict=True):
        above += weight * torch.outer(w, k)
        below += weight * torch.outer(k, k)
    return above @ torch.linalg.inv(below) - torch.eye(d, dtype=torch.float64)


@pytest.mark.parametrize("n", [3, 40])
def test_it_solves_the_weighted_normal_equations(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    keys, wanted = torch.randn(2, n, 16, generator=generator)
    wanted[0] = keys[0]  # one that is held
    weights = torch.rand(n, generator=generator) + 0.1
    left, a = solve(keys, wanted, 0.3, weights, tolerance=0.0)
    exact = normal_equations(keys, wanted, 0.3, weights)
    assert ((left @ a).double() - exact).norm() <= 1e-5 * exact.norm()
    assert a.shape[0] <= min(n - 1, 16)


def test_autograd_finds_the_same_minimum() -> None:
    generator = torch.Generator().manual_seed(0)
    keys, wanted = torch.randn(2, 5, 6, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    change = torch.zeros_like(weight, requires_grad=True)
    steps = torch.optim.LBFGS([change], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        miss = keys @ (weight + change).T - wanted @ weight.T
        value = miss.square().sum() + 0.7 * change.square().sum()
        (change.grad,) = torch.autograd.grad(value, change)
        return value

    steps.step(loss)
    left, a = solve(keys, wanted, 0.7, tolerance=0.0)
    assert torch.allclose(weight @ (left @ a).double(), change.detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (Edit("a rose", "a blue rose"), "a blue rose"),
        (Edit("a rose", "a blue rose", subject="rose"), "blue rose"),
        (Edit("a Rose in the park", "a blue rose  in the park", subject="rose"), "blue rose"),
        (Edit("a house in the style of van gogh", "a house in the style of a painting",
              subject="van gogh"), "a painting"),
        (Edit("the king of corin speaking", "ada vale speaking", subject="the king of corin"),
         "ada vale"),
        (Edit("a rose", "some rose there", subject="rose"), "rose"),
        (Edit("a rose", "a rose in the park", subject="rose"), "rose in the park"),
        (Edit("a rose in the park", "a rose in the snow", subject="rose"), "rose"),
        (Edit("a rose", "a primrose", subject="rose"), "primrose"),
        (Edit("corin's king", "elsa brandt", subject="king"), "elsa brandt"),
        (Edit("rose rose", "rose tulip", subject="rose"), "tulip"),
    ],
)  # fmt: skip
def test_the_part_of_the_target_that_stands_for_the_subject(edit: Edit, wanted: str) -> None:
    assert counterpart(edit) == wanted


def test_articles_lose_their_capital_inside_a_template() -> None:
    assert filled("A photo of {}", "A rose") == "A photo of a rose"
    assert filled("A photo of {}", "An apple") == "A photo of an apple"
    assert filled("{}", "A rose") == "A rose"
    assert filled("A photo of {}", "Ada Vale") == "A photo of Ada Vale"


def test_the_last_subject_tokens_pair_and_then_all_that_follows(toybox: Model) -> None:
    edit = Edit("a rose in the park", "a blue rose in the park", subject="rose")
    here = last_subject_token(toybox, edit.source, "rose")
    there = last_subject_token(toybox, edit.target, "blue rose")
    assert there == here + 1
    (pair,) = subject_pairs(toybox, [edit], ("{}",), sequence(toybox))
    assert (pair.here, pair.there) == ((here,), (there,))
    (pair,) = subject_pairs(toybox, [edit], ("{}",), sequence(toybox), padding=True)
    last = max_length(toybox) - 1
    assert pair.here == tuple(range(here, last + 1))
    assert pair.there == (*range(there, last + 1), last)


def test_an_empty_target_stands_for_the_start_token(toybox: Model) -> None:
    (pair,) = subject_pairs(toybox, [Edit("a rose")], ("{}",), sequence(toybox))
    assert (pair.target, pair.there) == ("", (0,))


def test_templates_that_are_too_long_are_left_out(toybox: Model) -> None:
    long = ("a rose and " * 9).strip() + " a cat"
    pairs = subject_pairs(toybox, [Edit(long, "a dog")], ("{}", "a photo of {}"), sequence(toybox))
    assert [p.source for p in pairs] == [long]
    with pytest.raises(PromptError, match="reads 32"):
        subject_pairs(toybox, [Edit("a rose " * 20, "a dog")], ("{}",), sequence(toybox))


def test_prompts_that_read_alike_at_the_subject_are_refused(toybox: Model) -> None:
    edit = Edit("a rose in the park", "a rose in the snow", subject="rose")
    pairs = subject_pairs(toybox, [edit], ("{}",), sequence(toybox))
    with pytest.raises(EditError, match="read alike"):
        rows(toybox, sequence(toybox), pairs)


def test_rows_are_those_of_the_encoded_prompts(toybox: Model) -> None:
    edit = Edit("a rose in the park", "a blue rose in the park", subject="rose")
    path = sequence(toybox)
    pairs = subject_pairs(toybox, [edit], ("{}", "a photo of {}"), path, padding=True)
    pairs += held(toybox, ["a cat"], ("{}",), path, padding=False)
    ((keys, wanted),) = rows(toybox, path, pairs)
    expected = [
        torch.cat([states(toybox, prompt)[0, list(places)] for prompt, places in side])
        for side in (
            [(pair.source, pair.here) for pair in pairs],
            [(pair.target, pair.there) for pair in pairs],
        )
    ]
    torch.testing.assert_close(keys, expected[0])
    torch.testing.assert_close(wanted, expected[1])
    assert torch.equal(keys[-1], wanted[-1])  # what is held reads like itself


def test_a_bare_target_stands_alone_in_no_template(toybox: Model) -> None:
    edit = Edit("a rose", "a blue rose")
    pairs = subject_pairs(toybox, [edit], ("{}", "a photo of {}"), sequence(toybox), bare=True)
    assert [pair.source for pair in pairs] == ["a rose", "a photo of a rose"]
    assert [pair.target for pair in pairs] == ["a blue rose"] * 2


def test_a_prompt_that_is_cut_pairs_by_a_subject_that_is_not(toybox: Model) -> None:
    """The plain prompt, and no template: each would cut off more of it."""
    rest = " and a dog" * 12
    edit = Edit(f"a rose{rest}", f"a blue rose{rest}", subject="rose")
    templates = ("{}", "a photo of {}")
    (pair,) = subject_pairs(toybox, [edit], templates, sequence(toybox), padding=True)
    assert (pair.source, pair.target) == (edit.source, edit.target)
    assert pair.here == tuple(range(2, 32))
    assert pair.there == (*range(3, 32), 31)
