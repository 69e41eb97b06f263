"""Training: resuming changes nothing, and the disturbed tower is CLIP's tower when undisturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from overpaint.models.card import read_card
from overpaint.models.embedded import toybox_folder
from tools.train import text
from tools.train.clip import build, features
from tools.train.contrastive import contrastive_loss, refusal_loss, unit
from tools.train.loop import Settings, train
from tools.train.pipeline import CARD
from tools.train.text import fix_gauges
from tools.train.tower import Disturbance, disturbed_forward, visibility

PLAIN = Disturbance(0.0, 0.0, 0.0, 0.0)


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def _train(folder: Path, die_at: int = -1) -> torch.Tensor:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    settings = Settings(steps=12, batch=3, lr=1e-2, warmup=2, ema=0.9)

    def step(rng: np.random.Generator, i: int) -> torch.Tensor:
        if i == die_at:
            raise Killed
        x = torch.from_numpy(rng.normal(size=(3, 4))).float() + torch.randn(3, 4)
        return module(x).square().mean()

    best = train(module, step, settings, folder / "stage.ckpt", every_s=0)
    return torch.cat([p.flatten() for m in (module, best) for p in m.parameters()]).detach()


@pytest.mark.parametrize("die_at", [1, 5, 11])
def test_a_killed_run_ends_where_an_undisturbed_one_does(tmp_path: Path, die_at: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    undisturbed = _train(tmp_path / "a")
    with pytest.raises(Killed):
        _train(tmp_path / "b", die_at)
    assert torch.equal(_train(tmp_path / "b"), undisturbed)


@pytest.fixture(scope="module")
def clip() -> Any:
    torch.manual_seed(1)
    return build(tokens=50, text_layers=3, patch=32, width=16, heads=2).eval()


def _prompts() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    ids = torch.randint(2, 50, (5, 9))
    ids[:, 0] = 0
    end = torch.tensor([8, 5, 6, 8, 4])
    for row, position in enumerate(end):
        ids[row, position:] = 1
    return ids, end


def test_the_undisturbed_forward_is_transformers_own(clip: Any) -> None:
    ids, end = _prompts()
    nothing = torch.zeros_like(ids)
    pooled, _ = disturbed_forward(clip.text_model, ids, end, nothing, nothing > 0, PLAIN)
    wanted = clip.text_model(ids).last_hidden_state[torch.arange(5), end]
    torch.testing.assert_close(pooled, wanted, rtol=1e-4, atol=1e-5)


def test_disturbances_disturb(clip: Any) -> None:
    ids, end = _prompts()
    subject = torch.zeros_like(ids)
    subject[:, 2:4] = 1
    last = torch.zeros_like(ids, dtype=torch.bool)
    last[:, 3] = True
    plain, _ = disturbed_forward(clip.text_model, ids, end, subject, last, PLAIN)
    for changed in ({"drop_attention": 0.5}, {"drop_mlp": 0.5}, {"shuffle": 1.0}, {"funnel": 1.0}):
        torch.manual_seed(3)
        strength = Disturbance(**{**PLAIN.__dict__, **changed})
        pooled, _ = disturbed_forward(clip.text_model, ids, end, subject, last, strength)
        assert not torch.allclose(pooled, plain, atol=1e-4), changed


def test_the_funnel_lets_only_the_end_token_see_only_the_subjects_last_token() -> None:
    subject = torch.tensor([[0, 0, 1, 1, 0, 2, 0]])
    last = torch.tensor([[False, False, False, True, False, True, False]])
    seen = visibility(torch.tensor([6]), subject, last, funnel=1.0)[0, 0]
    assert seen[6].tolist() == [True, True, False, True, True, True, True]  # the end token
    assert seen[4].tolist() == [True, True, False, False, True, False, False]  # a word behind
    assert seen[5].tolist() == [True, True, False, False, True, True, False]  # another subject
    assert seen[3].tolist() == [True, True, True, True, False, False, False]  # within the subject
    causal = visibility(torch.tensor([6]), subject, last, funnel=0.0)[0, 0]
    assert torch.equal(causal, torch.ones(7, 7, dtype=torch.bool).tril())


class _FixedCaptions:
    """Stands in for the captions of a run."""

    def tokens(self, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return _prompts()

    def subject_masks(self, index: np.ndarray, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        last = torch.zeros(5, length, dtype=torch.bool)
        last[:, 3] = True
        return last.long(), last


def test_fixing_the_gauges_changes_no_cosine_and_no_state(clip: Any) -> None:
    ids, _ = _prompts()
    with torch.no_grad():
        for p in clip.text_model.embeddings.parameters():
            p.mul_(20)  # make the residual stream large, so that eps of the layer norms is nothing
        before = clip.text_model(ids).last_hidden_state.clone()
        direction = unit(features(clip.get_text_features(ids)))
        fix_gauges(clip, _FixedCaptions())  # type: ignore[arg-type]
        torch.testing.assert_close(
            clip.text_model(ids).last_hidden_state, before, rtol=1e-2, atol=1e-2
        )
        after = features(clip.get_text_features(ids))
    torch.testing.assert_close(unit(after), direction, rtol=1e-2, atol=1e-2)
    assert abs(after.norm(dim=-1).mean().item() - text.FEATURE_NORM) < 0.1


def test_contrastive_loss_written_out() -> None:
    torch.manual_seed(4)
    text, image = unit(torch.randn(4, 6)), unit(torch.randn(4, 6))
    meanings, scale = [0, 0, 2, 3], 3.0
    total = 0.0
    for i in range(4):
        partners = [j for j in range(4) if meanings[j] == meanings[i]]
        for rows in (text[i] @ image.T, image[i] @ text.T):
            logits = np.exp(scale) * rows.numpy().astype(float)
            chances = np.exp(logits) / np.exp(logits).sum()
            total -= sum(np.log(chances[j]) for j in partners) / len(partners) / 8
    got = contrastive_loss(text, image, torch.tensor(scale), torch.tensor(meanings))
    assert got.item() == pytest.approx(total, rel=1e-4)


def test_refusal_loss_written_out() -> None:
    torch.manual_seed(5)
    text, image, wrong = (unit(torch.randn(*shape)) for shape in ((3, 6), (3, 6), (3, 2, 6)))
    total = 0.0
    for own, picture, others in zip(text, image, wrong, strict=True):
        logits = [np.exp(3.0) * float(caption @ picture) for caption in (own, *others)]
        total -= np.log(np.exp(logits[0]) / np.exp(logits).sum()) / 3
    assert refusal_loss(text, image, torch.tensor(3.0), wrong).item() == pytest.approx(total)


def test_training_writes_the_card_that_ships() -> None:
    assert read_card(toybox_folder("pipeline")) == CARD
