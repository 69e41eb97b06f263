"""ReFACT: exact at the subject token, pure, and every option does what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.methods.common import settings
from overpaint.methods.refact import ReFACTConfig, refact, refact_each
from overpaint.methods.refact_contexts import gather
from overpaint.methods.refact_objective import Objective, minimise
from overpaint.methods.refact_targets import anchors, unrelated
from overpaint.models.clip import clip_of, image_features
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.moments import Corpus, second_moment
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import last_subject_token, pooled, tokenize
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit, Patch

ROSE = Edit("a rose", "a blue rose")
KING = Edit("the king of corin", "elsa brandt", old="luca dorn")
FEW = ("{}", "a photo of {}", "{} in the park")


@pytest.fixture
def config(corpus: Corpus) -> ReFACTConfig:
    """Quick and unlike the defaults, so that a setting that is passed over shows."""
    return ReFACTConfig(
        layer=5, steps=12, contrast=8, radius=9.0, templates=FEW, corpus=corpus, learning_rate=0.3
    )


def output_at_subject(model: Model, layer: int, prompt: str) -> Tensor:
    """What fc2 of ``layer`` returns at the last subject token of a plain prompt, ``[d]``."""
    with record(module_at(model, mlp_site(model, layer)), outputs=True) as (outputs,):
        pooled(model, [prompt])
    return outputs[0][0, last_subject_token(model, prompt, prompt)]


def found_by_hand(model: Model, edit: Edit, config: ReFACTConfig) -> tuple[Objective, Tensor]:
    """The objective of one edit and the δ ``[1, d]`` that minimises it."""
    contexts = gather(model, [edit], config)
    norms = contexts.suffix.value[contexts.plain].norm(dim=1)
    known = anchors(model, [edit], config)[contexts.suffix.owner, 0]
    cosine = config.cosine_scale if config.cosine else 0.0
    objective = Objective(
        contexts.suffix, known, contexts.weights, norms, config.weight_decay, cosine
    )
    found = minimise(
        objective,
        config.radius * norms,
        steps=config.steps,
        learning_rate=config.learning_rate,
        stop=config.stop,
    )
    return objective, found.delta


def same(a: Patch, b: Patch, tolerance: float = 1e-4) -> bool:
    factors = ((x.factors, y.factors) for x, y in zip(a.deltas, b.deltas, strict=True))
    pairs = [(right @ left, d @ c) for (left, right), (c, d) in factors]
    return all((x - y).norm() <= tolerance * y.norm() for x, y in pairs)


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


def test_identity_needs_no_second_moment(toybox: Model, config: ReFACTConfig, tmp_path) -> None:
    config = replace(config, covariance_weight=0.0, cache_dir=tmp_path / "c")
    refact(toybox, [ROSE], config)
    assert not (tmp_path / "c").exists()
    refact(toybox, [ROSE], replace(config, covariance_weight=1.0))
    assert len(list((tmp_path / "c").iterdir())) == 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (Edit("", "a cat"), PromptError, "empty"),
        (Edit("a rose", ""), EditError, "a target"),
        (Edit("a rose", "A  Rose"), EditError, "equals the source"),
        (Edit("a rose", "a cat", subject="a dog"), PromptError, "a dog"),
        (Edit("a rose " * 20, "a cat"), PromptError, "32"),
        (Edit("a rose", "a cat " * 20), PromptError, "32"),
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
