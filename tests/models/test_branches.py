"""Conditional rows are found by their texts, in whatever order a pipeline calls the denoiser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from overpaint.errors import ModelError, PromptError
from overpaint.models.branches import conditional_branch
from overpaint.models.conditioning import Conditioning, padded
from overpaint.models.model import Model

OURS, NEGATIVE = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).split(1)


class _Denoiser(nn.Module):
    """Takes anything."""

    def forward(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def model_with(denoiser: nn.Module) -> Model:
    family: Any = SimpleNamespace(denoiser="transformer")
    return Model(SimpleNamespace(transformer=denoiser), family, "a model")


def groups_of(given: Conditioning, *calls: Any) -> list[list[int]]:
    """Conditional rows of calls of the denoiser, each a pair of arguments."""
    denoiser = _Denoiser()
    found = []
    with conditional_branch(model_with(denoiser), given) as branch:
        for args, kwargs in calls:
            denoiser(*args, **kwargs)
            found.append(branch.rows())
    assert branch.calls == sum(bool(rows) for rows in found)
    return found


def given(rows: int = 1, **more: Tensor) -> Conditioning:
    texts = {"prompt_embeds": OURS, "negative_prompt_embeds": NEGATIVE, **more}
    return Conditioning({name: text.repeat(rows, 1, 1) for name, text in texts.items()})


@pytest.mark.parametrize("rows", [1, 3])
def test_one_call_for_both_branches_in_either_order(rows: int) -> None:
    ours, other = OURS.repeat(rows, 1, 1), NEGATIVE.repeat(rows, 1, 1)
    picture, time = torch.randn(2 * rows, 4, 8, 8), torch.tensor(3)
    first, last, alone = groups_of(
        given(rows),
        ((picture, time, torch.cat([other, ours])), {}),
        ((picture, time), {"encoder_hidden_states": torch.cat([ours, other]), "more": {"x": None}}),
        ((picture[:rows], time, ours), {}),
    )
    assert first == list(range(rows, 2 * rows))
    assert last == alone == list(range(rows))


def test_two_calls_and_the_same_tensor_at_every_step() -> None:
    other, ours = NEGATIVE.clone(), OURS.clone()
    calls = [((), {"text": text}) for text in (other, ours, other, ours)]
    assert groups_of(given(), *calls) == [[], [0], [], [0]]


def test_conditional_rows_may_come_twice() -> None:
    """As under perturbed-attention guidance."""
    text = torch.cat([NEGATIVE, OURS, OURS])
    assert groups_of(given(), ((text,), {})) == [[1, 2]]


def test_lists_without_padding() -> None:
    """As Z-Image is given them."""
    short = torch.randn(1, 3, 3)
    both = padded([Conditioning({"prompt_embeds": text}) for text in (OURS, short)], "mask")
    texts = Conditioning({n: torch.cat([part[n] for part in both]) for n in both[0].tensors})
    assert texts["mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    lists = [OURS[0], short[0], *NEGATIVE, *NEGATIVE]
    assert groups_of(texts, (([torch.zeros(4, 1, 8, 8)] * 4, lists), {})) == [[0, 1]]


def test_padding_that_the_pipeline_adds() -> None:
    longer = torch.cat([OURS, torch.zeros(1, 2, 3)], 1)
    assert groups_of(given(), ((longer,), {})) == [[0]]


def test_a_text_that_begins_alike_is_another_text() -> None:
    """What stands before every prompt, such as a system prompt, tells nothing."""
    with pytest.raises(ModelError, match="changes the prompts' embeddings"):
        groups_of(given(), ((OURS[:, :3],), {}))


def test_texts_that_are_alike_cannot_be_told_apart() -> None:
    with pytest.raises(PromptError, match="the negative prompt are the same"):
        groups_of(given(negative_prompt_embeds=OURS), ((OURS,), {}))


def test_hooks_are_gone_afterwards_also_after_an_exception() -> None:
    denoiser = _Denoiser()
    with pytest.raises(KeyboardInterrupt), conditional_branch(model_with(denoiser), given()):
        raise KeyboardInterrupt
    assert not denoiser._forward_pre_hooks
