"""The search for v*: its loss, its ball, its contexts and where it rests."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.refact_contexts import gather
from overpaint.methods.refact_targets import anchors, unrelated
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.text import pooled
from overpaint.types import Edit

from .conftest import FEW, KING, ROSE, found_by_hand, output_at_subject, same


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("contrastive", [False, True])
def test_every_loss_falls(
    toybox: Model, config: ReFACTConfig, cosine: bool, contrastive: bool
) -> None:
    config = replace(config, cosine=cosine, contrastive=contrastive, weight_decay=0.0)
    objective, delta = found_by_hand(toybox, KING, config)
    assert objective.anchors.shape[1] == (8 if contrastive else 1)
    start, end = objective(torch.zeros_like(delta))[0], objective(delta)[0]
    assert end < 0.9 * start
    features, target = objective.suffix.features(delta), pooled(toybox, ["elsa brandt"])
    distance = (
        config.cosine_scale * (1 - torch.cosine_similarity(features, target))
        if cosine
        else (features - target).norm(dim=1)
    )
    if not contrastive:
        assert torch.allclose(end, distance.mean(), rtol=1e-4)
    else:
        assert torch.allclose(objective.distances(features)[:, 0], distance, rtol=1e-4)


def test_the_loss_is_the_papers(toybox: Model, config: ReFACTConfig) -> None:
    """Equation 1 with a minus before the distance, plus wd ‖δ‖ / ‖m₀‖², averaged over contexts."""
    config = replace(config, weight_decay=0.7)
    objective, _ = found_by_hand(toybox, ROSE, config)
    delta = torch.randn(1, 128, generator=torch.Generator().manual_seed(3))
    features, known = objective.suffix.features(delta), objective.anchors[0]
    terms = []
    for feature in features:
        d = torch.stack([(feature - x).norm() for x in known])
        terms.append(-torch.log(torch.exp(-d[0]) / torch.exp(-d).sum()))
    value = output_at_subject(toybox, 5, "a rose").norm()
    wanted = torch.stack(terms).mean() + 0.7 * delta.norm() / value**2
    assert torch.allclose(objective(delta)[0][0], wanted, rtol=1e-4)


@pytest.mark.usefixtures("untouched")
def test_delta_stays_in_the_ball(toybox: Model, config: ReFACTConfig) -> None:
    value = output_at_subject(toybox, 5, "a rose").norm()
    stream = gather(toybox, [ROSE], config).suffix.stream[0].norm()
    for share, reference in ((0.0, value), (1.0, stream), (0.5, (value + stream) / 2)):
        small = replace(config, radius=0.2, stream_share=share)
        info = refact(toybox, [ROSE], small).info
        assert info["delta_norm"][0] == pytest.approx(0.2 * float(reference), rel=1e-3)  # type: ignore[index]
    assert stream > 1.5 * value


@pytest.mark.usefixtures("untouched")
def test_it_rests_once_the_target_is_likely_enough(toybox: Model, config: ReFACTConfig) -> None:
    info = refact(toybox, [ROSE], replace(config, stop=0.2, layer=2, steps=60)).info
    assert 0 < info["steps"][0] < 60  # type: ignore[index]
    assert info["probability"][0] > 0.2  # type: ignore[index]


@pytest.mark.usefixtures("untouched")
def test_contexts_can_have_targets_of_their_own(toybox: Model, config: ReFACTConfig) -> None:
    config = replace(config, match_contexts=True)
    known = anchors(toybox, [ROSE], config)[0]
    assert known.shape[0] == len(FEW)
    want = pooled(toybox, ["a blue rose in the park", "a rose in the park"])
    assert torch.allclose(known[2, :2], want, atol=1e-4)
    assert torch.equal(known[0, 2:], known[2, 2:])
    assert not same(
        refact(toybox, [ROSE], config),
        refact(toybox, [ROSE], replace(config, match_contexts=False)),
    )


def test_the_plain_prompt_counts_only_when_a_template(toybox: Model, config: ReFACTConfig) -> None:
    contexts = gather(toybox, [ROSE, KING], config)
    assert contexts.weights.tolist() == pytest.approx([1 / 3] * 6)
    contexts = gather(toybox, [ROSE, KING], replace(config, templates=FEW[1:]))
    assert contexts.weights.tolist() == pytest.approx([0, 0.5, 0.5] * 2)
    assert contexts.plain.tolist() == [0, 3]


def test_templates_that_are_too_long_are_left_out(toybox: Model, config: ReFACTConfig) -> None:
    long = "a rose " + "and a rose " * 8
    templates = ("{}", "a rose and a rose and a rose and a rose and {}", "a photo of {}")
    contexts = gather(toybox, [Edit(long.strip(), "a cat")], replace(config, templates=templates))
    assert contexts.form.tolist() == [0, 2]


def test_unrelated_captions_share_no_word(toybox: Model, config: ReFACTConfig) -> None:
    edit = Edit("a dog in the park", "a red cat")
    captions = unrelated(toybox, edit, config)
    assert len(captions) == len(set(captions)) == 6
    assert not any(w in c.split() for c in captions for w in ("dog", "park", "red", "cat"))
    assert captions == unrelated(toybox, edit, config)
    with pytest.raises(EditError, match="found 0; give a larger corpus"):
        unrelated(toybox, edit, replace(config, corpus=Corpus("one", ("a cat",))))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (Edit("", "a cat"), PromptError, "empty"),
        (Edit("a rose", ""), EditError, "a target"),
        (Edit("a rose", "A  Rose"), EditError, "equals the source"),
        (Edit("a rose", "a cat", subject="a dog"), PromptError, "a dog"),
        (Edit("a rose " * 20, "a cat"), PromptError, "reads 32"),
        (Edit("a rose", "a cat", images=(torch.rand(3, 8, 8),)), EditError, "both"),
        (Edit("a rose", images=(torch.rand(8, 8),)), EditError, "RGB"),
    ],
)
def test_bad_edits_are_refused(
    toybox: Model, config: ReFACTConfig, edit: Edit, error: type[OverpaintError], words: str
) -> None:
    with pytest.raises(error, match=words):
        refact(toybox, [edit], config)


@pytest.mark.usefixtures("untouched")
def test_bad_layers_and_no_edits_are_refused(toybox: Model, config: ReFACTConfig) -> None:
    with pytest.raises(SiteError, match="nothing reads the subject token after it"):
        refact(toybox, [ROSE], replace(config, layer=11))
    with pytest.raises(SiteError, match="layers 0 to 11"):
        refact(toybox, [ROSE], replace(config, layer=12))
    with pytest.raises(EditError, match="at least one edit"):
        refact(toybox, [], config)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"stop": 1.5},
        {"contrast": 1},
        {"radius": -1.0},
        {"stream_share": 2.0},
        {"covariance_weight": 1.1},
        {"weight_decay": -0.1},
        {"cosine_scale": 0.0},
        {"templates": ()},
        {"templates": ("no place",)},
    ],
)
def test_bad_settings_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(EditError, match=next(iter(bad))):
        ReFACTConfig(**bad)  # type: ignore[arg-type]
