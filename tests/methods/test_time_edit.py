"""TIME: the shared-factor form is the minimum, whatever λ, sites and prompts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from overpaint.errors import EditError, OverpaintError, PromptError
from overpaint.methods.time_edit import TEMPLATES, TIMEConfig, pairing, rows, solve, time_edit
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.models.text import align, max_length, tokenize
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

from .conftest import states

ROSE = Edit("a rose", "a blue rose")
CAT = Edit("a cat", "a green cat")
SWAP = Edit("an apple", "a frog")
LAMBDAS = (1e-8, 1e-4, 0.1, 1000.0)


def by_hand(model: Model, edits: list[Edit], templates: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Embeddings of source tokens and partners, one prompt after another, in plain loops."""
    ours, theirs = [], []
    for edit in edits:
        for template in templates:
            source = template.replace("{}", edit.source).lower()
            target = template.replace("{}", edit.destination or edit.target).lower()
            c, d = states(model, source, target)
            for here, there in zip(*align(model, source, target), strict=True):
                ours.append(c[here])
                theirs.append(d[there])
    return torch.stack(ours).double(), torch.stack(theirs).double()


def printed(weight: Tensor, keys: Tensor, wanted: Tensor, lam: float) -> Tensor:
    """TIME eq. 5 as printed, a sum over tokens and a d x d inverse; returns W' - W."""
    above, below = lam * weight, lam * torch.eye(keys.shape[1], dtype=torch.float64)
    for c, c_star in zip(keys, wanted, strict=True):
        above = above + torch.outer(weight @ c_star, c)
        below = below + torch.outer(c, c)
    return above @ torch.linalg.inv(below) - weight


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("edits", [[ROSE], [ROSE, CAT]])
def test_every_site_gets_the_papers_solution(toybox: Model, edits: list[Edit]) -> None:
    """One edit has as many rows as the embedding has numbers, two have more."""
    patch = time_edit(toybox, edits)
    keys, wanted = by_hand(toybox, edits, TEMPLATES)
    assert patch.info["rows"] == len(keys) == 4 * 32 * len(edits)
    assert len(patch.deltas) == 32
    for number in (0, 13, -1):
        delta = written_out(toybox, patch.deltas)[number]
        weight = module_at(toybox, delta.site).weight.double()
        exact = printed(weight, keys, wanted, 0.1)
        assert (delta.dense() - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.parametrize("lam", LAMBDAS)
def test_it_is_the_minimum_for_every_lambda(toybox: Model, lam: float) -> None:
    """Equation 4 by normal equations: its gradient at the solution is zero."""
    config = TIMEConfig(lam=lam, tolerance=0.0)
    (read,) = rows(toybox, [ROSE], config)
    keys, wanted = read.keys.double(), read.wanted.double()
    left, a = solve(keys, wanted, config)
    change = left.double() @ a.double()  # ΔW = W change
    moves = wanted - keys
    gradient = (keys @ change.T - moves).T @ keys + lam * change
    start = moves.T @ keys
    assert gradient.norm() <= 1e-4 * start.norm()
    u, s, vt = torch.linalg.svd(keys, full_matrices=False)
    exact = moves.T @ (u * (s / (s**2 + lam))) @ vt
    assert (change - exact).norm() <= 1e-4 * exact.norm()


def test_it_beats_every_neighbour(toybox: Model) -> None:
    """Equation 4 itself, evaluated beside the solution."""
    patch = time_edit(toybox, [ROSE])
    keys, wanted = by_hand(toybox, [ROSE], TEMPLATES)
    delta = written_out(toybox, patch.deltas)[3]
    weight = module_at(toybox, delta.site).weight.double()

    def loss(change: Tensor) -> Tensor:
        miss = keys @ (weight + change).T - wanted @ weight.T
        return miss.square().sum() + 0.1 * change.square().sum()

    best = delta.dense().double()
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2, 1e-1):
        other = torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert loss(best + scale * other) > loss(best)
    assert loss(best) < 0.5 * loss(torch.zeros_like(best))


def test_a_larger_lambda_moves_less(toybox: Model) -> None:
    sizes = [
        float(written_out(toybox, patch.deltas)[0].dense().norm())
        for patch in (time_edit(toybox, [ROSE], TIMEConfig(lam=lam)) for lam in LAMBDAS)
    ]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.usefixtures("untouched")
def test_the_source_reads_like_its_destination(toybox: Model) -> None:
    patch = time_edit(toybox, [ROSE], TIMEConfig(lam=0.05))
    _, partners = align(toybox, "a rose", "a blue rose")
    c, c_star = states(toybox, "a rose", "a blue rose")
    module = module_at(toybox, patch.deltas[5].site)
    wanted, before = module(c_star)[partners], module(c)
    with with_deltas(toybox, patch.deltas):
        after = module(c)
    assert (after - wanted).norm() < 0.15 * (before - wanted).norm()
    assert (after[0] - before[0]).norm() < 1e-2 * before[0].norm()  # the start token is held


@pytest.mark.usefixtures("untouched")
def test_values_only(toybox: Model) -> None:
    both = time_edit(toybox, [ROSE])
    values = time_edit(toybox, [ROSE], TIMEConfig(values_only=True))
    assert [d.site for d in values.deltas] == list(toybox.family.path(toybox, "sequence").values)
    kept = {d.site: d.dense() for d in written_out(toybox, both.deltas)}
    found = written_out(toybox, values.deltas)
    assert all(torch.equal(d.dense(), kept[d.site]) for d in found)


@pytest.mark.usefixtures("untouched")
def test_end_only_pairs_end_with_end_and_padding_with_padding(toybox: Model) -> None:
    source, target = "a rose", "a robot in the park"
    config = TIMEConfig(templates=("{}",), end_only=True)
    (read,) = rows(toybox, [Edit(source, target)], config)
    keys, wanted = read.keys, read.wanted
    c, d = states(toybox, source, target)
    first, start = tokenize(toybox, [source, target]).end.tolist()
    length = max_length(toybox)
    assert first != start
    assert torch.allclose(keys, c[first:])
    partners = [min(start + i, length - 1) for i in range(length - first)]
    assert torch.allclose(wanted, d[partners])
    assert partners[-1] == partners[-2] == length - 1


@pytest.mark.usefixtures("untouched")
def test_prompts_without_shared_words(toybox: Model) -> None:
    with pytest.raises(PromptError, match=r"apple.*end_only"):
        time_edit(toybox, [SWAP])
    patch = time_edit(toybox, [SWAP], TIMEConfig(end_only=True))
    assert any(d.dense().norm() > 0 for d in written_out(toybox, patch.deltas))


def test_debias_is_one_prompt_with_a_lambda_of_its_own(toybox: Model) -> None:
    """Appendix H.2: no augmentation, λ found per profession."""
    config = TIMEConfig(lam=17.0, templates=("{}",))
    edit = Edit("A pilot", "A female pilot")
    (read,) = rows(toybox, [edit], config)
    assert len(read.keys) == len(read.wanted) == 32
    patch = time_edit(toybox, [edit], config)
    exact_keys, wanted = by_hand(toybox, [edit], ("{}",))
    weight = module_at(toybox, patch.deltas[0].site).weight.double()
    exact = printed(weight, exact_keys, wanted, 17.0)
    assert (written_out(toybox, patch.deltas)[0].dense() - exact).norm() <= 1e-5 * exact.norm()


def test_the_destination_comes_before_the_target(toybox: Model) -> None:
    both = Edit("a rose", "a frog", destination="a blue rose")
    (got,), (want,) = rows(toybox, [both], TIMEConfig()), rows(toybox, [ROSE], TIMEConfig())
    assert torch.equal(got.wanted, want.wanted)


def test_augmented_prompts_lose_the_capital_of_their_article(toybox: Model) -> None:
    (pairs,) = pairing(toybox, [Edit("A rose", "A blue rose")], TIMEConfig()).values()
    assert [pair.source for pair in pairs] == [
        "A rose",
        "A photo of a rose",
        "An image of a rose",
        "A picture of a rose",
    ]
    assert [pair.target for pair in pairs][:2] == ["A blue rose", "A photo of a blue rose"]


def test_templates_that_are_too_long_are_left_out(toybox: Model) -> None:
    source = ("a rose and " * 9).strip() + " a cat"  # 29 words and two ends: 31 of 32 tokens
    edit = Edit(source, source.replace("cat", "green cat"))
    (read,) = rows(toybox, [edit], TIMEConfig())
    assert len(read.keys) == 32


def test_words_that_are_cut_off_have_no_partner(toybox: Model) -> None:
    """Toybox reads 30 tokens; the ends of prompts pair whatever has been cut off."""
    rest = " and a dog" * 12
    edit = Edit(f"a rose{rest}", f"a blue rose{rest}", subject="rose")
    with pytest.raises(PromptError, match=r"no partner.*reads the first 32 tokens.*end_only"):
        time_edit(toybox, [edit])
    config = TIMEConfig(end_only=True)
    (read,) = rows(toybox, [edit], config)
    c, d = states(toybox, edit.source, edit.target)
    torch.testing.assert_close(read.keys, c[31:])
    torch.testing.assert_close(read.wanted, d[31:])
    alike = replace(edit, target=f"a rose{rest} and a blue rose")
    with pytest.raises(EditError, match="read alike"):
        time_edit(toybox, [alike])


def test_a_tolerance_makes_the_patch_smaller(toybox: Model) -> None:
    exact = time_edit(toybox, [ROSE], TIMEConfig(tolerance=0.0))
    fine = time_edit(toybox, [ROSE])
    coarse = time_edit(toybox, [ROSE], TIMEConfig(tolerance=1e-2))
    assert coarse.deltas[0].rank < fine.deltas[0].rank <= exact.deltas[0].rank <= 128
    patches = (written_out(toybox, patch.deltas) for patch in (exact, fine, coarse))
    for a, b, c in zip(*patches, strict=True):
        assert (b.dense() - a.dense()).norm() <= 2e-5 * a.dense().norm()
        assert (c.dense() - a.dense()).norm() <= 0.1 * a.dense().norm()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "error", "words"),
    [
        ([], EditError, "at least one"),
        ([Edit("", "a cat")], PromptError, "empty"),
        ([Edit("a rose", "")], EditError, "a target"),
        ([Edit("a rose", "a rose ")], EditError, "equals the source"),
        ([Edit("a rose", "a cat", destination="A rose")], EditError, "equals the source"),
        ([Edit("a rose", "a blue rose", subject="a dog")], PromptError, "a dog"),
        ([Edit("a rose", images=(torch.rand(3, 8, 8),))], EditError, "refact"),
        ([Edit("a rose " * 20, "a blue rose")], PromptError, "reads 32"),
        ([Edit("a rose", f"{'blue ' * 30}a rose")], PromptError, "'a' has no partner"),
        ([ROSE, Edit("a rose in the park", "a blue rose")], PromptError, "partner"),
    ],
)
def test_bad_edits_are_refused(
    toybox: Model, edits: list[Edit], error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        time_edit(toybox, edits)


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"lam": 0.0}, "λ above 0"),
        ({"templates": ("no place",)}, "templates"),
        ({"tolerance": 1.0}, "tolerance"),
    ):
        with pytest.raises(EditError, match=words):
            replace(TIMEConfig(), **bad)


def test_the_patch_says_how_it_was_made(toybox: Model) -> None:
    done: list[tuple[int, int]] = []
    patch = time_edit(toybox, [ROSE], progress=lambda n, total, what: done.append((n, total)))
    assert done == [(i + 1, 32) for i in range(32)]
    assert patch.method == "time"
    assert json.loads(json.dumps(patch.config, allow_nan=False))["lam"] == 0.1
    assert all(t.dtype == torch.float32 for d in patch.deltas for t in d.factors)


def test_the_two_encoders_of_sdxl_are_edited_as_one_embedding(make_sdxl) -> None:
    model = make_sdxl()
    words = tokenize(model, ["a"]).ids.shape[1]
    config = TIMEConfig(templates=("{}",), end_only=True)
    patch = time_edit(model, [Edit("a b", "b a")], config)
    assert patch.deltas[0].site.d_in == states(model, "a").shape[2] == 64
    assert isinstance(patch.info["rows"], int)
    assert patch.info["rows"] <= words
