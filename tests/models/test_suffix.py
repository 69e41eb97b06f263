"""The shortened forward pass must be the full one: same features, same gradient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from overpaint.errors import SiteError
from overpaint.models.families import family_called
from overpaint.models.hooks import record, replace
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer
from overpaint.models.suffix import Suffix, suffix
from overpaint.models.text import last_subject_token, pooled, tokenize

# Requests 0 and 1; subjects at different places, tails of different lengths.
CONTEXTS = (
    ("a rose", "a rose", 0),
    ("a painting of a rose in the park", "a rose", 0),
    ("a rose on the beach at night", "a rose", 0),
    ("the king of corin", "the king of corin", 1),
    ("a photo of the king of corin in the snow", "the king of corin", 1),
)
PROMPTS = [prompt for prompt, _, _ in CONTEXTS]
OWNER = [owner for _, _, owner in CONTEXTS]


def random_model(cls: Any, act: str, layers: int, toybox: Model) -> Model:
    """A small random CLIP with Toybox's tokenizer."""
    torch.manual_seed(0)
    tokenizer = toybox.pipeline.tokenizer
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=layers,
        num_attention_heads=3,
        projection_dim=16,
        max_position_embeddings=32,
        hidden_act=act,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=8.0,
    )
    encoder = cls(config).eval()
    pipeline = SimpleNamespace(text_encoder=encoder, tokenizer=tokenizer)
    return Model(pipeline, family_called("SD1"), "random")


def positions(model: Model) -> list[int]:
    return [last_subject_token(model, prompt, subject) for prompt, subject, _ in CONTEXTS]


def layer_of(model: Model, layer: int) -> Any:
    return text_transformer(model.component("text_encoder")).encoder.layers[layer]  # type: ignore[union-attr,index]


def short(model: Model, layer: int) -> Suffix:
    return suffix(model, tokenize(model, PROMPTS), positions(model), layer, owner=OWNER)


def full(model: Model, layer: int, delta: Tensor) -> Tensor:
    """Features by a full forward pass over padded prompts, δ put in by a hook."""
    where = (torch.arange(len(PROMPTS)), torch.tensor(positions(model)))

    def add(output: Tensor) -> Tensor:
        return output + torch.zeros_like(output).index_put(where, delta[torch.tensor(OWNER)])

    tokens = tokenize(model, PROMPTS)
    encoder = model.component("text_encoder")
    with replace(layer_of(model, layer).mlp.fc2, add):
        if hasattr(encoder, "text_projection"):
            return encoder(tokens.ids).text_embeds
        states = encoder(tokens.ids).last_hidden_state[torch.arange(len(PROMPTS)), tokens.end]
    return states if model.clip is None else model.clip.text_projection(states)


def compare(model: Model, layer: int) -> None:
    width = layer_of(model, layer).mlp.fc2.out_features
    delta = 5 * torch.randn(2, width, generator=torch.Generator().manual_seed(1))
    delta = delta.to(layer_of(model, layer).mlp.fc2.weight).requires_grad_()
    anchors = torch.linspace(-1, 1, 7, dtype=delta.dtype)[:, None]
    results = []
    for features in (short(model, layer).features(delta), full(model, layer, delta)):
        loss = -(-torch.cdist(features, anchors * features.detach()[0])).log_softmax(1)[:, 2].sum()
        (gradient,) = torch.autograd.grad(loss, delta)
        results.append((features.detach(), loss.detach(), gradient))
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()
    assert results[1][2].norm(dim=1).min() > 0


@pytest.mark.parametrize("layer", [0, 4, 7, 10])
def test_features_and_gradient_equal_the_full_pass(toybox: Model, layer: int) -> None:
    compare(toybox, layer)


@pytest.mark.parametrize("cls", [CLIPTextModel, CLIPTextModelWithProjection])
@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
def test_so_they_do_for_any_clip(toybox: Model, cls: Any, act: str) -> None:
    model = random_model(cls, act, 4, toybox)
    for layer in (0, 1, 2):
        compare(model, layer)


def test_without_a_change_it_is_the_pooled_feature(toybox: Model) -> None:
    state = short(toybox, 5)
    want = pooled(toybox, PROMPTS)
    got = state.features(torch.zeros(2, state.base.shape[1]))
    assert torch.allclose(got, want, atol=1e-4)


def test_key_value_and_stream_are_those_of_the_layer(toybox: Model) -> None:
    layer, place = layer_of(toybox, 6), positions(toybox)
    state, rows = short(toybox, 6), torch.arange(len(PROMPTS))
    ids = tokenize(toybox, PROMPTS).ids
    with (
        record(layer.mlp.fc2) as (keys,),
        record(layer.mlp.fc2, layer, outputs=True) as (values, streams),
    ):
        toybox.component("text_encoder")(ids)
    for ours, theirs in ((state.key, keys), (state.value, values), (state.stream, streams)):
        assert torch.allclose(ours, theirs[0][rows, place], atol=1e-4)


def test_one_context_alone_is_the_same_as_among_others(toybox: Model) -> None:
    delta = torch.randn(2, 128, generator=torch.Generator().manual_seed(2))
    together = short(toybox, 7).features(delta)
    for row, (prompt, subject, owner) in enumerate(CONTEXTS):
        place = last_subject_token(toybox, prompt, subject)
        alone = suffix(toybox, tokenize(toybox, [prompt]), [place], 7)
        assert torch.allclose(alone.features(delta[owner : owner + 1])[0], together[row], atol=1e-4)


def test_half_precision_is_computed_in_float32_on_a_copy(toybox: Model) -> None:
    model = random_model(CLIPTextModel, "quick_gelu", 3, toybox)
    want = short(model, 0).features(torch.ones(2, 24))
    model.component("text_encoder").to(torch.bfloat16)
    got = short(model, 0).features(torch.ones(2, 24))
    assert got.dtype == torch.float32
    assert (got - want).norm() < 0.05 * want.norm()
    assert {p.dtype for p in model.component("text_encoder").parameters()} == {torch.bfloat16}


def test_the_last_layer_and_layers_out_of_range_are_refused(toybox: Model) -> None:
    with pytest.raises(SiteError, match=r"nothing reads the subject token after it.*use 0 to 10"):
        short(toybox, 11)
    for layer in (-1, 12):
        with pytest.raises(SiteError, match="layers 0 to 11"):
            short(toybox, layer)
