"""The fine-tuning baselines equal plain training loops on a copy of the encoder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.errors import EditError, ModelError, OverpaintError, PromptError, SiteError
from overpaint.methods.dense import dense_delta
from overpaint.methods.finetune import FinetuneConfig, finetune
from overpaint.methods.finetune_text import FinetuneTextConfig, finetune_text
from overpaint.methods.refact_targets import anchors
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.sites import (
    mlp_site,
    module_at,
    stored_name,
    text_transformer,
)
from overpaint.models.text import align, pooled, text_projection, tokenize
from overpaint.models.tower import linear_sites
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit, Site

from .conftest import states

ROSE = Edit("a rose", "a blue rose")
CAT = Edit("a cat", "a green cat")
FEW = ("{}", "a photo of {}")


@pytest.fixture
def config(corpus: Corpus) -> FinetuneConfig:
    return FinetuneConfig(
        layer=5,
        epochs=2,
        learning_rate=1e-3,
        contrast=6,
        templates=FEW,
        corpus=corpus,
        penalty=0.1,
        component="text_encoder",
    )


@pytest.mark.usefixtures("untouched")
def test_one_layer_is_a_plain_training_loop(toybox: Model, config: FinetuneConfig) -> None:
    """Adam on the change of a copied tower's weight, full forward pass, loss written out."""
    patch = finetune(toybox, [ROSE, CAT], config)
    tower = copy.deepcopy(text_transformer(toybox.component("text_encoder")))
    fc2: Any = tower.encoder.layers[5].mlp.fc2  # type: ignore[union-attr,index]
    start = fc2.weight.detach().clone()
    change = torch.zeros_like(start).requires_grad_()
    adam = torch.optim.Adam([change], lr=1e-3)
    del fc2.weight
    known = anchors(toybox, [ROSE, CAT], config.like_refact())[:, 0]
    projection = text_projection(toybox)
    assert projection is not None
    for _ in range(2):
        for number, edit in enumerate((ROSE, CAT)):
            for template in FEW:
                fc2.weight = start + change
                tokens = tokenize(toybox, [template.replace("{}", edit.source)])
                states = tower(tokens.ids).last_hidden_state
                feature = projection(states[0, tokens.end[0]])
                gaps = [
                    ((feature - x).square().sum() + (1e-3 * x.norm()) ** 2).sqrt()
                    for x in known[number]
                ]
                loss = gaps[0] + torch.stack([-g for g in gaps]).logsumexp(0)
                loss = loss + 0.1 * change.abs().max()
                adam.zero_grad()
                loss.backward()
                adam.step()
    exact = change.detach()
    assert [d.site for d in patch.deltas] == [mlp_site(toybox, 5)]
    assert (written_out(toybox, patch.deltas)[0].dense() - exact).norm() <= 1e-2 * exact.norm()
    losses = patch.info["losses"]
    assert isinstance(losses, list)
    assert losses[1] < losses[0]


@pytest.mark.usefixtures("untouched")
def test_it_moves_the_prompt_towards_its_target(toybox: Model, config: FinetuneConfig) -> None:
    patch = finetune(toybox, [ROSE], replace(config, epochs=8, penalty=0.0))
    before, target = pooled(toybox, ["a rose", "a blue rose"])
    with with_deltas(toybox, patch.deltas):
        after = pooled(toybox, ["a rose"])[0]
    assert (after - target).norm() < 0.8 * (before - target).norm()


def test_a_dense_delta_keeps_every_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((8, 32), (32, 8), (8, 8)):
        change = torch.randn(shape, generator=generator)
        delta, lost = dense_delta(Site("text_encoder", "x", *shape), change)
        assert torch.equal(delta.dense(), change)
        assert lost == 0.0
        assert delta.a.numel() + delta.b.numel() == change.numel() + min(shape) ** 2


def test_a_cut_delta_tells_what_is_lost() -> None:
    change = torch.randn(8, 20, generator=torch.Generator().manual_seed(1))
    site = Site("text_encoder", "x", 8, 20)
    cut, lost = dense_delta(site, change, 3)
    assert cut.rank == 3
    assert float((cut.dense() - change).norm() / change.norm()) == pytest.approx(lost, rel=1e-4)
    s = torch.linalg.svdvals(change)
    assert lost == pytest.approx(float(s[3:].norm() / s.norm()), rel=1e-4)
    assert dense_delta(site, change, 99)[1] == pytest.approx(0.0, abs=1e-6)
    assert dense_delta(site, torch.zeros(8, 20), 2)[1] == 0.0


@pytest.mark.usefixtures("untouched")
def test_rank_is_cut_only_on_request(toybox: Model, config: FinetuneConfig) -> None:
    whole = finetune(toybox, [ROSE], config)
    cut = finetune(toybox, [ROSE], replace(config, rank=2))
    assert whole.info["rank_error"] == 0.0
    assert whole.deltas[0].rank == 128
    assert cut.deltas[0].rank == 2
    gap = written_out(toybox, cut.deltas)[0].dense() - written_out(toybox, whole.deltas)[0].dense()
    told = cut.info["rank_error"]
    assert float(gap.norm() / written_out(toybox, whole.deltas)[0].dense().norm()) == pytest.approx(
        told, rel=1e-3
    )
    assert cut.nbytes < 0.05 * whole.nbytes


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_the_whole_encoder_is_a_plain_training_loop(toybox: Model, decay: float) -> None:
    config = FinetuneTextConfig(steps=3, learning_rate=1e-3, weight_decay=decay, templates=FEW)
    patch = finetune_text(toybox, [ROSE], config)
    tower = copy.deepcopy(text_transformer(toybox.component("text_encoder")))
    layers = {n: m for n, m in tower.named_modules() if isinstance(m, nn.Linear)}
    start = {n: m.weight.detach().clone() for n, m in layers.items()}
    for module in layers.values():
        module.weight.requires_grad_(True)
    adam = torch.optim.Adam([m.weight for m in layers.values()], lr=1e-3, weight_decay=decay)
    prompts = [t.replace("{}", "a rose") for t in FEW]
    targets = [t.replace("{}", "a blue rose") for t in FEW]
    wanted = [
        states(toybox, t)[0][align(toybox, p, t)[1]] for p, t in zip(prompts, targets, strict=True)
    ]
    weights = [module_at(toybox, s).weight for s in toybox.family.path(toybox, "sequence").sites]
    for _ in range(3):
        loss = torch.zeros(())
        for prompt, target in zip(prompts, wanted, strict=True):
            c = tower(tokenize(toybox, [prompt]).ids).last_hidden_state[0]
            for weight in weights:
                loss = loss + (c @ weight.T - target @ weight.T).square().sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert {stored_name(d.site) for d in patch.deltas} == set(layers)
    missed = []
    for delta in written_out(toybox, patch.deltas):
        name = stored_name(delta.site)
        exact = layers[name].weight.detach() - start[name]
        missed.append(float((delta.dense() - exact).norm() / exact.norm()))
    # Adam divides by its gradient's size, so rounding shows where there is hardly any: in queries
    # and keys of the last layers.
    missed.sort()
    assert missed[len(missed) * 9 // 10] < 1e-3
    assert missed[-1] < 0.1


@pytest.mark.usefixtures("untouched")
def test_training_the_encoder_brings_the_loss_down(toybox: Model) -> None:
    config = FinetuneTextConfig(steps=25, learning_rate=1e-3, templates=("{}",))
    patch = finetune_text(toybox, [ROSE], config)
    losses = patch.info["losses"]
    assert isinstance(losses, list)
    assert losses[-1] < 0.5 * losses[0]
    c, c_star = states(toybox, "a rose", "a blue rose")
    _, partners = align(toybox, "a rose", "a blue rose")
    with with_deltas(toybox, patch.deltas):
        after = states(toybox, "a rose")[0]
    assert (after - c_star[partners]).norm() < 0.8 * (c - c_star[partners]).norm()
    assert patch.info["steps"] == config.steps
    sooner = finetune_text(toybox, [ROSE], replace(config, stop=0.7)).info
    assert isinstance(sooner["steps"], int)
    assert 0 < sooner["steps"] < config.steps
    assert isinstance(sooner["losses"], list)
    assert sooner["losses"][1] <= 0.7 * sooner["losses"][0] == pytest.approx(0.7 * losses[0])


def test_all_linear_layers_of_the_tower_are_sites(sd1: Model) -> None:
    sites = linear_sites(sd1)
    assert len(sites) == len(set(sites)) == 2 * 6
    assert mlp_site(sd1, 1) in sites
    assert all(module_at(sd1, s).weight.shape == (s.d_out, s.d_in) for s in sites)


def test_an_exception_leaves_the_model_as_it_was(
    toybox: Model, config: FinetuneConfig, untouched: None
) -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(toybox, [ROSE], config, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        finetune_text(toybox, [ROSE], FinetuneTextConfig(steps=2), progress=stop)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "change", "error", "words"),
    [
        ([], {}, EditError, "at least one"),
        ([Edit("a rose", "")], {}, EditError, "a target"),
        ([Edit("a rose " * 20, "a cat")], {}, PromptError, "reads 32"),
        ([ROSE], {"layer": 12}, SiteError, "0 to 11"),
        ([ROSE], {"learning_rate": 1e30, "epochs": 3}, EditError, "diverged"),
    ],
)
def test_what_cannot_work_is_refused(
    toybox: Model,
    config: FinetuneConfig,
    edits: list[Edit],
    change: dict[str, Any],
    error: type[OverpaintError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        finetune(toybox, edits, replace(config, **change))


@pytest.mark.usefixtures("untouched")
def test_the_whole_encoder_refuses_what_cannot_work(
    toybox: Model, make_sdxl: Callable[..., Model]
) -> None:
    few = FinetuneTextConfig(steps=2)
    with pytest.raises(PromptError, match="partner"):
        finetune_text(toybox, [Edit("an apple", "a frog")], few)
    with pytest.raises(EditError, match="diverged"):
        finetune_text(toybox, [ROSE], replace(few, learning_rate=1e30, steps=4))
    with pytest.raises(ModelError, match="with one"):
        finetune_text(make_sdxl(), [ROSE], few)


def test_bad_settings_are_named() -> None:
    plain: list[tuple[Any, dict[str, Any], str]] = [
        (FinetuneConfig, {"epochs": 0}, "epochs"),
        (FinetuneConfig, {"penalty": -1.0}, "penalty"),
        (FinetuneConfig, {"batch": 0}, "batch"),
        (FinetuneConfig, {"rank": -1}, "rank"),
        (FinetuneConfig, {"contrast": 1}, "contrast"),
        (FinetuneTextConfig, {"steps": 0}, "steps"),
        (FinetuneTextConfig, {"weight_decay": -1.0}, "weight_decay"),
        (FinetuneTextConfig, {"stop": 1.0}, "stop"),
        (FinetuneTextConfig, {"templates": ("x",)}, "templates"),
    ]
    for config, bad, words in plain:
        with pytest.raises(EditError, match=words):
            config(**bad)


def test_the_patch_says_how_it_was_made(toybox: Model, config: FinetuneConfig) -> None:
    patch = finetune(toybox, [ROSE], config)
    assert patch.method == "finetune"
    json.dumps({**patch.config, **patch.info}, allow_nan=False)
