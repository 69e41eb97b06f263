"""A corpus in Toybox's words, and the guard that a method leaves the model as it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor

from overpaint.methods.refact import ReFACTConfig
from overpaint.methods.refact_contexts import gather
from overpaint.methods.refact_objective import Objective, minimise
from overpaint.methods.refact_targets import anchors
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import last_subject_token, pooled
from overpaint.types import Edit, Patch


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    colours = ("red", "blue", "green", "yellow", "purple", "orange")
    things = ("car", "cat", "dog", "house", "boat", "frog", "bird", "tulip", "pear", "cup", "hat")
    places = ("", " in the park", " on the beach", " at night", " in the snow")
    captions = tuple(f"a {c} {t}{p}" for c, t, p in product(colours, things, places))
    return Corpus("test-captions", captions)


def states(model: Model, *prompts: str) -> Tensor:
    """What the pipeline's own ``encode_prompt`` gives for each prompt alone, ``[n, L, d]``."""
    how = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    return torch.cat([model.pipeline.encode_prompt([p], **how)[0] for p in prompts]).detach()


def weights_of(model: Model) -> dict[str, Tensor]:
    """A copy of every weight that an edit could touch, and whether it asks for gradients."""
    parts = [("denoiser", model.denoiser), ("text", model.component("text_encoder"))]
    return {f"{p}.{k}": v.detach().clone() for p, m in parts for k, v in m.named_parameters()}


@pytest.fixture
def untouched(toybox: Model) -> Iterator[None]:
    """Fails unless every weight has the same bits after the test as before."""
    before = weights_of(toybox)
    yield
    after = weights_of(toybox)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    text = toybox.component("text_encoder")
    assert not any(p.requires_grad or p.grad is not None for p in text.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in text.modules())


ROSE = Edit("a rose", "a blue rose")


KING = Edit("the king of corin", "elsa brandt", old="luca dorn")


FEW = ("{}", "a photo of {}", "{} in the park")


@pytest.fixture
def config(corpus: Corpus) -> ReFACTConfig:
    """Quick and unlike the defaults, so that a setting that is passed over shows."""
    return ReFACTConfig(
        layer=5,
        steps=12,
        contrast=8,
        radius=9.0,
        templates=FEW,
        corpus=corpus,
        learning_rate=0.3,
        component="text_encoder",
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
