"""What random queries read: the attention module's own answer, without painting."""

from __future__ import annotations

import pytest
import torch

from overpaint.errors import ModelError
from overpaint.models.attended import attended, squared
from overpaint.models.families.unets import cross_attention
from overpaint.models.model import Model

PROMPTS = ["a rose", "", "the king of arda in the park"]


def test_it_is_what_the_attention_module_gives(sd1: Model) -> None:
    names = cross_attention(sd1, "attn2$")
    found = attended(sd1, PROMPTS, queries=5, batch=2)
    assert len(found) == len(names)
    with torch.no_grad():
        states, _ = sd1.pipeline.encode_prompt(PROMPTS, "cpu", 1, False)
        for name, reading in zip(names, found, strict=True):
            module = sd1.denoiser.get_submodule(name)
            width = module.to_q.weight.shape[1]  # type: ignore[union-attr,operator,index]
            noise = torch.randn(5, width, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
            own = module(noise.expand(3, -1, -1), encoder_hidden_states=states)
            torch.testing.assert_close(reading, own)


def test_some_layers_only(sd1: Model) -> None:
    every, some = attended(sd1, PROMPTS), attended(sd1, PROMPTS, (0, 3))
    assert len(some) == 2
    assert torch.equal(some[0], every[0])
    assert torch.equal(some[1], every[3])


def test_squared_distances_of_each_layer(sd1: Model) -> None:
    one, other = attended(sd1, PROMPTS), attended(sd1, PROMPTS[:1])
    found = squared(one, other)
    assert found.shape == (len(one), 3)
    assert torch.equal(found[:, 0], torch.zeros(len(one)))
    assert float(found[2, 1]) == pytest.approx(float(((one[2][1] - other[2][0]) ** 2).sum()))


def test_other_attention_is_a_named_error(sd1: Model) -> None:
    name = cross_attention(sd1, "attn2$")[0]
    del sd1.denoiser.get_submodule(name).to_q
    with pytest.raises(ModelError, match="cross-attention of a UNet"):
        attended(sd1, PROMPTS)
