"""ReFACT: exact at the subject token, pure, and every option does what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from overpaint.methods.common import settings
from overpaint.methods.refact import ReFACTConfig, refact, refact_each
from overpaint.methods.refact_contexts import gather
from overpaint.methods.refact_targets import anchors
from overpaint.models.clip import clip_of, image_features
from overpaint.models.model import Model
from overpaint.models.moments import Corpus, second_moment
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import last_subject_token, pooled, tokenize
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

from .conftest import FEW, KING, ROSE, found_by_hand, output_at_subject, same


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_the_edited_layer_returns_v_star(
    toybox: Model, config: ReFACTConfig, weight: float
) -> None:
    config = replace(config, covariance_weight=weight)
    patch = refact(toybox, [ROSE], config)
    _, delta = found_by_hand(toybox, ROSE, config)
    before = output_at_subject(toybox, 5, "a rose")
    with with_deltas(toybox, patch.deltas):
        after = output_at_subject(toybox, 5, "a rose")
    v_star = before + delta[0]
    assert (after - v_star).norm() <= 1e-5 * v_star.norm()
    assert delta.norm() > 1


@pytest.mark.usefixtures("untouched")
def test_the_formula_is_the_papers(toybox: Model, config: ReFACTConfig) -> None:
    """ΔW = Λ (C⁻¹k*)ᵀ, Λ = (v* - b - W k) / ((C⁻¹k*)ᵀ k), written out once more."""
    patch = refact(toybox, [ROSE], config)
    objective, delta = found_by_hand(toybox, ROSE, config)
    assert config.corpus is not None
    site = mlp_site(toybox, 5)
    c = second_moment(toybox, site, config.corpus)
    keys = objective.suffix.key.double()
    fc2 = module_at(toybox, site)
    k, direction = keys[0], torch.linalg.inv(c) @ keys.mean(0)
    v_star = objective.suffix.value[0].double() + delta[0].double()
    residual = v_star - fc2.bias.double() - fc2.weight.double() @ k
    wanted = torch.outer(residual, direction) / (direction @ k)
    assert (written_out(toybox, patch.deltas)[0].dense() - wanted).norm() <= 1e-4 * wanted.norm()
    assert patch.deltas[0].rank == 1
    assert patch.nbytes < 4096


@pytest.mark.usefixtures("untouched")
def test_the_edit_moves_the_prompt_towards_its_target(toybox: Model, corpus: Corpus) -> None:
    config = ReFACTConfig(
        layer=3, radius=float("inf"), templates=FEW[:2], corpus=corpus, covariance_weight=0.0
    )
    patch = refact(toybox, [ROSE], config)
    target, other = pooled(toybox, ["a blue rose", "a photo of a dog"])
    before = pooled(toybox, ["a rose"])[0]
    with with_deltas(toybox, patch.deltas):
        after = pooled(toybox, ["a rose"])[0]
    assert (after - target).norm() < 0.5 * (before - target).norm()
    assert (after - target).norm() < (after - other).norm()
    assert patch.info["probability"][0] > 0.8  # type: ignore[index]


@pytest.mark.usefixtures("untouched")
def test_the_covariance_protects_what_the_corpus_says(
    toybox: Model, config: ReFACTConfig, corpus: Corpus
) -> None:
    """The same v* at the subject; C = I moves the corpus's own keys more than C does."""
    moved = []
    c = second_moment(toybox, mlp_site(toybox, 5), corpus)
    for weight in (0.0, 0.5, 1.0):
        patch = refact(toybox, [ROSE], replace(config, covariance_weight=weight))
        dense = written_out(toybox, patch.deltas)[0].dense().double()
        moved.append(float(torch.trace(dense @ c @ dense.T)))
    assert moved[0] > moved[1] > moved[2] > 0


@pytest.mark.usefixtures("untouched")
def test_side_by_side_is_one_by_one(toybox: Model, config: ReFACTConfig) -> None:
    config = replace(config, stop=0.95, steps=40, layer=9, learning_rate=0.05)  # rest apart
    together = refact_each(toybox, [ROSE, KING], config)
    steps = [patch.info["steps"][0] for patch in together]  # type: ignore[index]
    assert steps[0] != steps[1]
    for patch, edit in zip(together, (ROSE, KING), strict=True):
        assert patch.edits == (edit,)
        assert same(patch, refact(toybox, [edit], config), 1e-3)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("follow", [False, True])
def test_later_edits_start_from_the_edited_model(
    toybox: Model, config: ReFACTConfig, follow: bool
) -> None:
    config = replace(config, follow_edits=follow)
    both = refact(toybox, [ROSE, KING], config)
    first = refact(toybox, [ROSE], config)
    assert both.deltas[0].rank == 2
    assert torch.equal(both.deltas[0].a[:1], first.deltas[0].a)
    a, b = both.deltas[0].factors
    assert torch.equal(b[:, :1], first.deltas[0].factors[1])
    (clean,) = written_out(toybox, refact(toybox, [KING], config).deltas)
    second = replace(clean, a=a[1:], b=b[:, 1:])
    assert not torch.allclose(second.dense(), clean.dense(), rtol=1e-3, atol=1e-5)
    if follow:  # then it is exactly an edit of the edited model
        with with_deltas(toybox, first.deltas):
            (again,) = written_out(toybox, refact(toybox, [KING], config).deltas)
        assert (second.dense() - again.dense()).norm() <= 1e-5 * again.dense().norm()


@pytest.mark.usefixtures("untouched")
def test_pictures_as_targets(toybox: Model, config: ReFACTConfig) -> None:
    clip = clip_of(toybox)
    size = clip.size
    pictures = tuple(
        torch.rand(3, size, size, generator=torch.Generator().manual_seed(i)) for i in (0, 1)
    )
    wanted = image_features(clip, torch.stack(pictures)).mean(0)
    wanted = wanted / wanted.norm()
    edit = Edit("a rose", images=pictures)
    patch = refact(toybox, [edit], replace(config, covariance_weight=0.0))
    before = pooled(toybox, ["a rose"])[0]
    with with_deltas(toybox, patch.deltas):
        after = pooled(toybox, ["a rose"])[0]
    assert torch.cosine_similarity(after, wanted, 0) > torch.cosine_similarity(before, wanted, 0)
    known = anchors(toybox, [edit], config)[0, 0]
    assert torch.cosine_similarity(known[0], wanted, 0) > 1 - 1e-5
    assert 0.3 < known[0].norm() / known[1:].norm(dim=1).mean() < 3


def test_identity_needs_no_second_moment(toybox: Model, config: ReFACTConfig, tmp_path) -> None:
    config = replace(config, covariance_weight=0.0, cache_dir=tmp_path / "c")
    refact(toybox, [ROSE], config)
    assert not (tmp_path / "c").exists()
    refact(toybox, [ROSE], replace(config, covariance_weight=1.0))
    assert len(list((tmp_path / "c").iterdir())) == 1


@pytest.mark.usefixtures("untouched")
def test_an_exception_in_the_middle_leaves_the_model_clean(
    toybox: Model, config: ReFACTConfig
) -> None:
    """It comes while the second edit is computed, with the first one's delta on the model."""
    calls = []

    def interrupt(done: int, total: int, what: str) -> None:
        calls.append(done)
        if calls.count(3) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refact(toybox, [ROSE, KING], replace(config, stop=1.0), progress=interrupt)
    assert calls[-1] == 3


@pytest.mark.usefixtures("untouched")
def test_it_works_whatever_the_callers_gradient_mode(toybox: Model, config: ReFACTConfig) -> None:
    want = refact(toybox, [ROSE], config)
    with torch.no_grad():
        assert same(refact(toybox, [ROSE], config), want, 1e-6)
    with torch.inference_mode():
        assert same(refact(toybox, [ROSE], config), want, 1e-6)


def test_weights_that_ask_for_gradients_get_none(toybox: Model, config: ReFACTConfig) -> None:
    text = toybox.component("text_encoder")
    text.requires_grad_(True)
    try:
        patch = refact(toybox, [ROSE], config)
        assert all(p.requires_grad and p.grad is None for p in text.parameters())
        assert not any(factor.requires_grad for factor in patch.deltas[0].factors)
    finally:
        text.requires_grad_(False)


def test_the_patch_says_how_it_was_made(toybox: Model, config: ReFACTConfig) -> None:
    patch = refact(toybox, [ROSE], replace(config, radius=float("inf")))
    written = json.loads(json.dumps({"config": patch.config, "info": patch.info}, allow_nan=False))
    assert patch.method == "refact"
    assert written["config"]["corpus"] == {"name": "test-captions", "captions": 330}
    assert written["config"]["radius"] is None
    assert written["config"] == settings(replace(config, radius=float("inf")))
    assert len(written["info"]["probability"]) == 1


def test_tokens_of_an_edit_are_not_padded(toybox: Model, config: ReFACTConfig) -> None:
    """The suffix holds the subject token to the end token of each context, nothing else."""
    state = gather(toybox, [ROSE], config).suffix
    ends = tokenize(toybox, ["a rose", "a photo of a rose", "a rose in the park"]).end
    places = [last_subject_token(toybox, p, "a rose") for p in ("a rose", "a photo of a rose")]
    assert len(state.base) == int(ends.sum()) - 2 * places[0] - places[1] + 3
