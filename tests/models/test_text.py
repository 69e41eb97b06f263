"""Prompts as tokens and tensors, compared with what the pipeline itself computes."""

from __future__ import annotations

import pytest
import torch

from overpaint.errors import ModelError, PromptError
from overpaint.models.families import SD3
from overpaint.models.model import Model
from overpaint.models.text import (
    encode,
    hidden_states,
    max_length,
    pooled,
    text_projection,
    text_transformer,
    tokenize,
)

PROMPTS = ["a rose", "a blue rose in the park", "the president of arda"]


def test_tokens_are_those_of_the_tokenizer(toybox: Model) -> None:
    tokens = tokenize(toybox, PROMPTS)
    expected = toybox.pipeline.tokenizer(
        PROMPTS, padding="max_length", max_length=32, return_tensors="pt"
    )
    assert torch.equal(tokens.ids, expected.input_ids)
    assert torch.equal(tokens.mask, expected.attention_mask.bool())
    assert torch.equal(tokens.end, expected.attention_mask.sum(1) - 1)
    end = toybox.pipeline.tokenizer.eos_token_id
    assert (tokens.ids[torch.arange(3), tokens.end] == end).all()


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_empty_prompt_is_an_error_unless_asked_for(toybox: Model, prompt: str) -> None:
    with pytest.raises(PromptError, match="empty"):
        tokenize(toybox, ["a rose", prompt])
    assert tokenize(toybox, [prompt], allow_empty=True).end.tolist() == [1]


def test_too_long_prompt_names_length_and_limit(toybox: Model) -> None:
    assert max_length(toybox) == 32
    tokenize(toybox, [" ".join(["rose"] * 30)])
    with pytest.raises(PromptError, match="has 33 tokens, 32 are the limit"):
        tokenize(toybox, [" ".join(["rose"] * 31)])


def test_length_is_also_limited_by_the_network(sd1: Model) -> None:
    sd1.pipeline.tokenizer.model_max_length = int(1e30)
    assert max_length(sd1) == 32


def test_encode_is_what_the_pipeline_feeds_its_unet(toybox: Model) -> None:
    expected, empty = toybox.pipeline.encode_prompt(PROMPTS, "cpu", 1, True)
    assert torch.equal(encode(toybox, PROMPTS), expected)
    assert torch.equal(encode(toybox, [""] * 3), empty)


def test_encode_and_pooled_of_sdxl_are_those_of_the_pipeline(sdxl: Model) -> None:
    states, _, features, _ = sdxl.pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    assert torch.equal(encode(sdxl, PROMPTS), states)
    torch.testing.assert_close(pooled(sdxl, PROMPTS), features)


def test_pooled_is_clips_own_text_feature(toybox: Model) -> None:
    tokens = tokenize(toybox, PROMPTS)
    expected = toybox.clip.get_text_features(tokens.ids)
    expected = getattr(expected, "pooler_output", expected)
    torch.testing.assert_close(pooled(toybox, PROMPTS), expected)


def test_pooled_without_a_projection_is_the_end_token(sd1: Model) -> None:
    tokens = tokenize(sd1, PROMPTS)
    states = hidden_states(sd1, tokens)
    assert text_projection(sd1) is None
    torch.testing.assert_close(pooled(sd1, PROMPTS)[1], states[1, tokens.end[1]])


def test_hidden_states_pass_gradients_that_somebody_asks_for(sd1: Model) -> None:
    layer = text_transformer(sd1.component("text_encoder")).encoder.layers[1].mlp.fc2  # type: ignore
    layer.bias.requires_grad_(True)
    encode(sd1, ["a rose"]).square().sum().backward()
    assert layer.bias.grad.abs().sum() > 0


def test_encoding_another_family_is_an_error(sd1: Model) -> None:
    with pytest.raises(ModelError, match="SD3 is not written yet"):
        encode(Model(sd1.pipeline, SD3, "sd3"), ["a rose"])
