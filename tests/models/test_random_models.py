"""The random models in benchmarks/ generate images that depend on the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import nn

import random_models
from overpaint.models.load import silence
from random_models import tokenizers
from random_models.captions import captions
from random_models.registry import RECIPES
from random_models.weights import no_weights

PROMPTS = ("a red rose", "the president of the united states")


@pytest.fixture(autouse=True)
def _silence() -> Any:
    with silence():
        yield


@dataclass(frozen=True)
class Built:
    name: str
    pipeline: Any


@pytest.fixture(scope="module", params=random_models.NAMES)
def built(request: pytest.FixtureRequest) -> Built:
    """Each model in turn; the tests share it and must not change it."""
    return Built(request.param, random_models.build(request.param))


def paint(name: str, pipeline: Any, prompt: str = PROMPTS[0]) -> torch.Tensor:
    """Pixels, height x width x 3, in [0, 1]."""
    noise = torch.Generator().manual_seed(5)
    call = random_models.call_arguments(name)
    images = pipeline(prompt=prompt, generator=noise, output_type="np", **call).images
    return torch.as_tensor(images)[0].float()


def networks(pipeline: Any) -> dict[str, nn.Module]:
    return {n: part for n, part in pipeline.components.items() if isinstance(part, nn.Module)}


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": value
        for part, network in networks(pipeline).items()
        for name, value in network.state_dict().items()
    }


def identical(one: Any, other: Any) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


class TestEveryModel:
    def test_its_picture_depends_on_the_prompt(self, built):
        pictures = [paint(built.name, built.pipeline, prompt) for prompt in PROMPTS]
        for picture in pictures:
            assert picture.shape[2] == 3
            assert torch.isfinite(picture).all()
            assert picture.std() > 0.05
        assert (pictures[0] - pictures[1]).abs().mean() > 1 / 255

    def test_all_weights_are_random_and_come_again(self, built):
        for part, network in networks(built.pipeline).items():
            for key, value in network.named_parameters():
                assert value.numel() < 4 or value.std() > 0, f"{part}.{key}"
        assert identical(built.pipeline, random_models.build(built.name))

    def test_saved_and_loaded_it_is_the_same(self, built, tmp_path: Path):
        name, pipeline = built.name, built.pipeline
        pipeline.save_pretrained(tmp_path)
        # diffusers insists on being told of parts that were left out, for example SD3's T5
        absent = {part: None for part, value in pipeline.components.items() if value is None}
        again = random_models.settle(name, DiffusionPipeline.from_pretrained(tmp_path, **absent))
        assert type(again) is type(pipeline)
        assert identical(pipeline, again)
        assert torch.equal(paint(name, pipeline), paint(name, again))
        size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
        assert size < 7e6

    def test_half_precision_paints(self, built):
        pipeline = random_models.build(built.name, dtype=torch.float16)
        for dtype in (torch.float16, torch.bfloat16):
            pipeline.to(dtype)
            for key, value in weights(pipeline).items():
                if value.is_floating_point():
                    assert value.dtype == dtype, key
                    assert torch.isfinite(value).all(), key
            picture = paint(built.name, pipeline)
            assert torch.isfinite(picture).all()
            assert picture.std() > 0.05


def test_another_seed_gives_other_weights():
    one, other = (weights(random_models.build("SD1", seed=seed)) for seed in (0, 1))
    floating = [key for key in one if one[key].is_floating_point()]
    assert floating
    assert not any(torch.equal(one[key], other[key]) for key in floating)


def test_an_unknown_name_is_an_error_that_lists_the_names():
    with pytest.raises(KeyError, match=r"'SD9'.*FLUX-dev.*SD1"):
        random_models.build("SD9")


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("SD1", {"unet": 859.520964, "text_encoder": 123.06048, "vae": 83.653863}),
        (
            "SDXL",
            {
                "unet": 2567.463684,
                "text_encoder": 123.06048,
                "text_encoder_2": 694.65984,
                "vae": 83.653863,
            },
        ),
    ],
)
def test_full_size_has_as_many_parameters_as_the_original(name, millions):
    with no_weights():
        parts = RECIPES[name].parts(size="full")
    found = {
        part: sum(p.numel() for p in network.parameters()) / 1e6
        for part, network in parts.items()
        if isinstance(network, nn.Module)
    }
    assert found == millions


TOKENIZERS = [
    tokenizers.clip_tokenizer,
    tokenizers.t5_tokenizer,
    tokenizers.bert_tokenizer,
    tokenizers.llama_tokenizer,
    tokenizers.gemma_tokenizer,
    tokenizers.qwen_tokenizer,
    tokenizers.llama3_tokenizer,
    tokenizers.mistral_tokenizer,
]


@pytest.mark.parametrize("make", TOKENIZERS)
class TestEveryTokenizer:
    def test_reads_every_word_of_the_captions_as_one_token(self, make):
        tokenizer = make()
        plain = [text for text in captions() if text.islower() and text.replace(" ", "").isalpha()]
        assert len(plain) > 300
        for text in plain:
            assert len(tokenizer.tokenize(text)) == len(text.split()), text

    def test_reads_any_text_and_says_where_each_token_is(self, make):
        text = "a Rose, 7 bicyclists: 🙂 Ünï çödé 漢字 \u200b\ttab"
        encoded = make()(text, return_offsets_mapping=True)
        places = [span for span in encoded["offset_mapping"] if span != (0, 0)]
        assert places == sorted(places)
        assert text[slice(*places[0])] == "a"
        assert places[1][0] in (1, 2)  # with the space before it or without
        assert places[-1][1] == len(text)

    def test_reads_the_empty_text(self, make):
        assert isinstance(make()("").input_ids, list)
