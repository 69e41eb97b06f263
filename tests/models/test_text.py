"""Prompts as tokens and tensors, compared with what the pipeline itself computes."""

from __future__ import annotations

import pytest
import torch

from overpaint.errors import ConfigError, PromptError
from overpaint.models.conditioning import join
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.text import (
    encode,
    hidden_states,
    max_length,
    pooled,
    prompt_tokens,
    read_rows,
    text_projection,
    text_transformer,
    token_count,
    tokenize,
)
from overpaint.types import Sampling

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


def test_too_long_prompts_are_cut_as_the_pipeline_cuts_them(toybox: Model) -> None:
    assert max_length(toybox) == 32
    fits, long = " ".join(["rose"] * 30), " ".join(["rose"] * 31)
    assert [token_count(toybox, prompt) for prompt in (fits, long)] == [32, 33]
    expected = toybox.pipeline.tokenizer(long, truncation=True, max_length=32).input_ids
    tokens = tokenize(toybox, [long])
    assert tokens.ids.tolist() == [expected]
    assert tokens.end.tolist() == [31]
    assert torch.equal(tokens.ids, tokenize(toybox, [fits]).ids)


def test_length_is_also_limited_by_the_network(sd1: Model) -> None:
    sd1.pipeline.tokenizer.model_max_length = int(1e30)
    assert max_length(sd1) == 32


def test_encode_is_what_the_pipeline_feeds_its_unet(toybox: Model) -> None:
    for prompt, found in zip(PROMPTS, encode(toybox, PROMPTS, Sampling(guidance=4.0)), strict=True):
        expected, empty = toybox.pipeline.encode_prompt([prompt], "cpu", 1, True)
        assert torch.equal(found["prompt_embeds"], expected)
        assert torch.equal(found["negative_prompt_embeds"], empty)


@pytest.mark.parametrize("guidance", [None, 0.0, 1.0])
def test_without_guidance_nothing_leads_away(toybox: Model, guidance: float | None) -> None:
    (found,) = encode(toybox, ["a rose"], Sampling(guidance=guidance))
    assert found.tensors.keys() == {"prompt_embeds"}
    assert not found.guided
    with pytest.raises(ConfigError, match="negative prompt has no effect without guidance above 1"):
        encode(toybox, ["a rose"], Sampling(guidance=guidance, negative_prompt="a cat"))


def test_negative_prompts_are_the_pipelines(toybox: Model) -> None:
    how = Sampling(guidance=1.01, negative_prompt="two cats")
    _, expected = toybox.pipeline.encode_prompt("a rose", "cpu", 1, True, "two cats")
    for found in encode(toybox, PROMPTS, how):
        assert found.guided
        assert torch.equal(found["negative_prompt_embeds"], expected)


def test_every_prompt_is_encoded_alone_and_once(toybox: Model) -> None:
    tower = text_transformer(toybox.component("text_encoder"))
    asked = [*PROMPTS, PROMPTS[0]]
    with record(tower.embeddings) as (ids,):  # type: ignore[arg-type]
        found = encode(toybox, asked)
    assert [len(row) for row in ids] == [1] * len(PROMPTS)
    assert torch.equal(found[0]["prompt_embeds"], found[-1]["prompt_embeds"])
    alone = encode(toybox, asked[1:2])[0]
    assert torch.equal(found[1]["prompt_embeds"], alone["prompt_embeds"])


@pytest.mark.parametrize("prompts", [["a rose", ""], [" "], [None], [3]])
def test_prompts_that_say_nothing_are_named_errors(toybox: Model, prompts: list) -> None:
    with pytest.raises(PromptError, match=r"empty|Expected prompts as text"):
        encode(toybox, prompts)


def test_encode_and_pooled_of_sdxl_are_those_of_the_pipeline(sdxl: Model) -> None:
    states, _, features, _ = sdxl.pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    found = join(encode(sdxl, PROMPTS))
    torch.testing.assert_close(found["prompt_embeds"], states)
    torch.testing.assert_close(found["pooled_prompt_embeds"], features)
    torch.testing.assert_close(pooled(sdxl, PROMPTS), features)
    for number, prompt in enumerate(PROMPTS):
        alone = sdxl.pipeline.encode_prompt([prompt], do_classifier_free_guidance=False)
        assert torch.equal(found["prompt_embeds"][number], alone[0][0])
        assert torch.equal(found["pooled_prompt_embeds"][number], alone[2][0])


def test_rows_are_those_of_the_encoded_prompts(toybox: Model) -> None:
    """In the order in which they are asked for, the same prompt twice, rows in any order."""
    path = toybox.family.path(toybox, "sequence")
    wanted = [(PROMPTS[1], [3, 0]), (PROMPTS[0], [31]), (PROMPTS[1], [0, 5, 5]), (PROMPTS[2], [])]
    (found,) = read_rows(toybox, path, wanted)
    states = toybox.pipeline.encode_prompt(PROMPTS, "cpu", 1, False)[0]
    places = (1, 3), (1, 0), (0, 31), (1, 0), (1, 5), (1, 5)
    expected = torch.stack([states[place] for place in places])
    torch.testing.assert_close(found, expected)


def test_more_prompts_than_are_encoded_together(toybox: Model) -> None:
    prompts = [f"{thing} {place}" for thing in ("a rose", "a cat", "a dog") for place in "abcdefg"]
    path = toybox.family.path(toybox, "sequence")
    (found,) = read_rows(toybox, path, [(prompt, [2]) for prompt in prompts])
    expected = toybox.pipeline.encode_prompt(prompts, "cpu", 1, False)[0][:, 2]
    torch.testing.assert_close(found, expected)


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
    hidden_states(sd1, tokenize(sd1, ["a rose"])).square().sum().backward()
    assert layer.bias.grad.abs().sum() > 0


def test_encode_builds_no_graph(sd1: Model) -> None:
    layer = text_transformer(sd1.component("text_encoder")).encoder.layers[1].mlp.fc2  # type: ignore
    layer.bias.requires_grad_(True)
    assert not encode(sd1, ["a rose"])[0]["prompt_embeds"].requires_grad


def test_prompt_tokens_say_where_words_stand(toybox: Model) -> None:
    read = prompt_tokens(toybox, "A  blue rose ")
    assert read.tokens == ("<|startoftext|>", "a</w>", "blue</w>", "rose</w>", "<|endoftext|>")
    assert [read.prompt[a:b] for a, b in read.offsets] == ["", "A", "blue", "rose", ""]
    assert read.words == (None, 0, 1, 2, None)
    assert (read.first, read.end, read.end_row, read.length) == (0, 4, 4, 32)


def test_prompt_tokens_of_a_prompt_that_is_cut(toybox: Model) -> None:
    read = prompt_tokens(toybox, " ".join(["rose"] * 40))
    assert len(read.tokens) == read.length == 32
    assert (read.end, read.end_row) == (31, 31)
    assert read.words == (None, *range(30), None)
