"""Hooks: see and change what flows, and are gone afterwards, also after an exception."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from overpaint.models.hooks import record, replace, replace_input


class Pair(nn.Module):
    """Returns a tuple, as attention does, and takes a keyword, as cross-attention does."""

    def forward(self, *, text: torch.Tensor) -> tuple[torch.Tensor, str]:
        return text + 1, "weights"


def hooks_of(module: nn.Module) -> int:
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


def test_record_collects_one_tensor_per_call_and_module() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 4)
    network = nn.Sequential(first, second)
    x, y = torch.randn(5, 2), torch.randn(6, 2)
    with record(first, second) as (into_first, into_second):
        network(x)
        network(y)
    assert torch.equal(into_first[0], x)
    assert torch.equal(into_first[1], y)
    assert torch.equal(into_second[1], first(y))
    with record(first, outputs=True) as (out,):
        network(x)
    assert torch.equal(out[0], first(x))


def test_record_sees_keyword_inputs_and_tuples() -> None:
    pair, x = Pair(), torch.randn(2)
    with record(pair) as (inputs,), record(pair, outputs=True) as (outputs,):
        pair(text=x)
    assert torch.equal(inputs[0], x)
    assert torch.equal(outputs[0], x + 1)


def test_recorded_tensors_keep_their_gradient() -> None:
    layer = nn.Linear(2, 2)
    with record(layer, outputs=True) as (out,):
        layer(torch.ones(2))
    out[0].sum().backward()
    assert layer.bias.grad is not None
    assert torch.equal(layer.bias.grad, torch.ones(2))


def test_replace_changes_the_output_and_leaves_the_rest_of_a_tuple() -> None:
    layer, pair, x = nn.Linear(2, 2), Pair(), torch.randn(2)
    plain = layer(x)
    with replace(layer, lambda y: 2 * y), replace(pair, lambda y: -y):
        assert torch.equal(layer(x), 2 * plain)
        changed, rest = pair(text=x)
    assert torch.equal(changed, -(x + 1))
    assert rest == "weights"
    assert torch.equal(layer(x), plain)


def test_replace_input_changes_what_the_module_reads() -> None:
    layer, x = nn.Linear(2, 2), torch.randn(3, 2)
    with replace_input(layer, torch.zeros_like):
        assert torch.equal(layer(x), layer.bias.expand(3, 2))


@pytest.mark.parametrize(
    "hook",
    [record, lambda m: replace(m, torch.neg), lambda m: replace_input(m, torch.neg)],
    ids=["record", "replace", "replace_input"],
)
def test_hooks_are_removed_after_an_exception(hook: Any) -> None:
    layer = nn.Linear(2, 2)
    during = []

    def fail() -> None:
        with hook(layer):
            during.append(hooks_of(layer))
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    assert during == [1]
    assert hooks_of(layer) == 0
