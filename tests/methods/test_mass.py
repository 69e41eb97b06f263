"""Mass edits: the solve is its minimum, layer by layer, and keeps what it shall keep."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from overpaint import linalg
from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.methods.mass import MassConfig, mass
from overpaint.methods.refact import refact, refact_each
from overpaint.methods.refact_contexts import gather
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.moments import Corpus, second_moment
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import last_subject_token, pooled, tokenize
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose")
KING = Edit("the king of corin", "elsa brandt", old="luca dorn")
CAT = Edit("a cat", "a green cat")
THREE = [ROSE, KING, CAT]


@pytest.fixture
def config(corpus: Corpus) -> MassConfig:
    return MassConfig(
        layer=5,
        steps=8,
        contrast=8,
        radius=9.0,
        templates=("{}", "a photo of {}"),
        corpus=corpus,
        learning_rate=0.3,
        covariance_weight=0.5,
        lam=0.05,
        mentions=0,
        padding=False,
        each_context=False,
        component="text_encoder",
    )


def keys_at(model: Model, layer: int, config: MassConfig) -> Tensor:
    """Key of every context of the three edits at ``layer``, ``[6, d_in]`` float64."""
    return gather(model, THREE, config.at(layer)).suffix.key.double()


def wanted_changes(model: Model, config: MassConfig) -> Tensor:
    """δ of the three edits, ``[3, d]`` float64, from single ReFACT patches: what ΔW adds at k."""
    plain = keys_at(model, config.layer, config)[::2]
    singles = refact_each(model, THREE, config.at(config.layer))
    pairs = zip(singles, plain, strict=True)
    return torch.stack([written_out(model, p.deltas)[0].dense().double() @ k for p, k in pairs])


def least_squares(keys: Tensor, residuals: Tensor, lam: float, covariance: Tensor) -> Tensor:
    """The minimum by normal equations in d_in x d_in."""
    return residuals.T @ keys @ torch.linalg.inv(keys.T @ keys + lam * covariance)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("each", [False, True])
def test_one_layer_is_the_least_squares_solution(
    toybox: Model, config: MassConfig, each: bool
) -> None:
    patch = mass(toybox, THREE, replace(config, each_context=each))
    keys, delta = keys_at(toybox, 5, config), wanted_changes(toybox, config)
    if each:
        keys, delta = keys * 0.5**0.5, delta.repeat_interleave(2, 0) * 0.5**0.5
    else:
        keys = keys.view(3, 2, -1).mean(1)
    assert config.corpus is not None
    moment = second_moment(toybox, mlp_site(toybox, 5), config.corpus)
    exact = least_squares(keys, delta, 0.05, linalg.blend(moment, 0.5))
    assert [d.site for d in patch.deltas] == [mlp_site(toybox, 5)]
    assert (written_out(toybox, patch.deltas)[0].dense() - exact).norm() <= 1e-3 * exact.norm()
    assert patch.deltas[0].rank == len(THREE)


@pytest.mark.usefixtures("untouched")
def test_mentions_are_contexts_and_padding_counts(toybox: Model, config: MassConfig) -> None:
    """Two templates and three captions of one edit, all in equal parts."""
    assert config.corpus is not None
    captions = ("a cat", "a photo of a cat", *(f"a cat and a {x}" for x in ("dog", "hat", "cup")))
    corpus = Corpus("cats", (*config.corpus.captions, *captions[2:]))
    config = replace(config, corpus=corpus, each_context=True, mentions=3, padding=True)
    patch = mass(toybox, [CAT], config)
    site = mlp_site(toybox, 5)
    with record(module_at(toybox, site)) as (seen,):
        pooled(toybox, captions)
    keys = seen[0][torch.arange(5), [last_subject_token(toybox, c, "cat") for c in captions]]
    (single,) = refact_each(toybox, [CAT], config.at(5))
    delta = written_out(toybox, single.deltas)[0].dense().double() @ keys[0].double()
    moment = second_moment(toybox, site, corpus)
    some = Corpus("some", corpus.captions[::8])
    padding = 1 - tokenize(toybox, some.captions).mask.double().mean()
    moment += padding * (second_moment(toybox, site, some, padding=True) - moment)
    root = 0.2**0.5
    exact = least_squares(
        keys.double() * root,
        delta.expand(5, -1) * root,
        0.05,
        linalg.blend(moment, 0.5),
    )
    assert (written_out(toybox, patch.deltas)[0].dense() - exact).norm() <= 1e-3 * exact.norm()
    assert patch.deltas[0].rank == 1


@pytest.mark.usefixtures("untouched")
def test_with_little_lambda_every_subject_returns_its_value(
    toybox: Model, config: MassConfig
) -> None:
    config = replace(config, lam=1e-6, each_context=True)
    patch = mass(toybox, THREE, config)
    keys = keys_at(toybox, 5, config)
    wanted = wanted_changes(toybox, config).repeat_interleave(2, 0)
    got = keys @ written_out(toybox, patch.deltas)[0].dense().double().T
    assert (got - wanted).norm() <= 1e-2 * wanted.norm()
    missed = patch.info["missed"]
    assert isinstance(missed, list)
    assert len(missed) == 3
    assert max(missed) < 1e-2


@pytest.mark.usefixtures("untouched")
def test_a_larger_lambda_leaves_more_missing(toybox: Model, config: MassConfig) -> None:
    missed = [
        max(mass(toybox, THREE, replace(config, lam=lam)).info["missed"])  # type: ignore[type-var]
        for lam in (0.01, 10.0, 1e4)
    ]
    assert missed[0] < missed[1] < missed[2]


@pytest.mark.usefixtures("untouched")
def test_alone_it_points_where_refact_does(toybox: Model, config: MassConfig) -> None:
    patches = mass(toybox, [ROSE], replace(config, lam=1e-8)), refact(toybox, [ROSE], config.at(5))
    one, other = (written_out(toybox, patch.deltas)[0].dense() for patch in patches)
    alike = (one * other).sum() / (one.norm() * other.norm())
    assert alike > 0.9999


@pytest.mark.usefixtures("untouched")
def test_spread_solves_layer_after_layer(toybox: Model, config: MassConfig) -> None:
    """The last of three layers: its keys are those of the model with the first two edited."""
    config = replace(config, spread=3, lam=0.01)
    patch = mass(toybox, THREE, config)
    assert [d.site for d in patch.deltas] == [mlp_site(toybox, i) for i in (3, 4, 5)]
    assert patch.info["layers"] == [3, 4, 5]
    clean = gather(toybox, THREE, config.at(5)).suffix.stream.double()
    goal = clean + wanted_changes(toybox, config).repeat_interleave(2, 0)
    assert config.corpus is not None
    for number, layer in enumerate((3, 4, 5)):
        with with_deltas(toybox, patch.deltas[:number]):
            keys = keys_at(toybox, layer, config).view(3, 2, -1).mean(1)
            now = gather(toybox, THREE, config.at(5)).suffix.stream.double()
        missing = ((goal - now) / (3 - number)).view(3, 2, -1).mean(1)
        moment = second_moment(toybox, mlp_site(toybox, layer), config.corpus)
        exact = least_squares(keys, missing, 0.01, linalg.blend(moment, 0.5))
        assert (
            written_out(toybox, patch.deltas)[number].dense() - exact
        ).norm() <= 2e-3 * exact.norm()


@pytest.mark.usefixtures("untouched")
def test_preserved_prompts_keep_every_output(toybox: Model, config: MassConfig) -> None:
    kept = ("a tulip", "a dog in the park", "bruno kest")
    config = replace(config, preserve=kept, preserve_share=1.0)
    free, bound = mass(toybox, THREE, replace(config, preserve=())), mass(toybox, THREE, config)
    with record(module_at(toybox, mlp_site(toybox, 5))) as (seen,):
        pooled(toybox, kept)
    keys = seen[0][tokenize(toybox, kept).trimmed().mask]
    moved = [
        float((keys @ written_out(toybox, p.deltas)[0].dense().T).norm()) for p in (free, bound)
    ]
    assert moved[1] < 1e-4 * moved[0]
    assert written_out(toybox, bound.deltas)[0].dense().norm() > 0


@pytest.mark.usefixtures("untouched")
def test_the_null_space_solution_is_the_constrained_minimum(
    toybox: Model, config: MassConfig
) -> None:
    """ΔW P = ΔW, and the gradient vanishes along every direction that is left free."""
    config = replace(config, preserve=("a tulip", "a dog"), preserve_share=0.99)
    patch = mass(toybox, THREE, config)
    site = mlp_site(toybox, 5)
    free = linalg.null_space(second_moment(toybox, site, Corpus("p", config.preserve)), 0.99)
    change = written_out(toybox, patch.deltas)[0].dense().double()
    assert (change - change @ free @ free.T).norm() <= 1e-5 * change.norm()
    keys = keys_at(toybox, 5, config).view(3, 2, -1).mean(1)
    delta = wanted_changes(toybox, config)
    assert config.corpus is not None
    c = linalg.blend(second_moment(toybox, site, config.corpus), 0.5)
    gradient = ((keys @ change.T - delta).T @ keys + 0.05 * change @ c) @ free
    start = (delta.T @ keys) @ free
    assert gradient.norm() <= 1e-3 * start.norm()


@pytest.mark.usefixtures("untouched")
def test_batches_make_no_difference(toybox: Model, config: MassConfig) -> None:
    whole, parts = mass(toybox, THREE, config), mass(toybox, THREE, replace(config, batch=2))
    gap = (
        written_out(toybox, whole.deltas)[0].dense() - written_out(toybox, parts.deltas)[0].dense()
    )
    assert gap.norm() <= 1e-3 * written_out(toybox, whole.deltas)[0].dense().norm()
    assert len(parts.info["probability"]) == 3  # type: ignore[arg-type]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "change", "error", "words"),
    [
        ([], {}, EditError, "at least one"),
        ([ROSE, CAT, Edit("A rose", "a frog")], {}, EditError, "two edits"),
        ([Edit("a rose", "")], {}, EditError, "a target"),
        ([Edit("a rose", "a cat", subject="dog")], {}, PromptError, "dog"),
        ([ROSE], {"layer": 12}, SiteError, "0 to 11"),
        ([ROSE], {"layer": 11}, SiteError, "last one"),
        ([ROSE], {"spread": 7}, SiteError, "at most 6"),
        ([ROSE, CAT], {"preserve": ("a rose",), "preserve_share": 1.0, "templates": ("{}",)},
         EditError, "no room"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(
    toybox: Model,
    config: MassConfig,
    edits: list[Edit],
    change: dict[str, object],
    error: type[OverpaintError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        mass(toybox, edits, replace(config, **change))


def test_bad_settings_are_named() -> None:
    for bad, words in (
        ({"lam": 0.0}, "λ above 0"),
        ({"spread": 0}, "spread"),
        ({"preserve_share": 0.0}, "preserve_share"),
        ({"batch": 0}, "batch"),
        ({"mentions": -1}, "mentions"),
        ({"follow_edits": True}, "follow_edits"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(EditError, match=words):
            replace(MassConfig(), **bad)


def test_the_patch_says_how_it_was_made(toybox: Model, config: MassConfig) -> None:
    done: list[str] = []
    patch = mass(toybox, [ROSE], config, progress=lambda n, total, what: done.append(what))
    assert done[-1] == "layers"
    stored = json.loads(json.dumps(patch.config, allow_nan=False))
    assert (stored["lam"], stored["layer"]) == (0.05, 5)
    json.dumps(patch.info, allow_nan=False)
