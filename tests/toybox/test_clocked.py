"""Training by the clock on a growing bank of pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from overpaint.toybox.grammar import parse
from overpaint.toybox.world import PROFESSIONS
from tools.train import flux, xl
from tools.train.bank import Bank
from tools.train.clocked import Appointment, Log, NotFiniteError, Pace, fit, rate_at
from tools.train.odds import open_gender_weights, seen_share
from tools.train.shares import STEP, corrected
from tools.train.stream import END, SHARD, Facts, draw, oftener

N = SHARD


def _texts(captions: Any) -> dict[str, torch.Tensor]:
    return {"length": torch.tensor([[float(len(c))] for c in captions]).half()}


def _shard(folder: Path, number: int, facts: Facts | None = None) -> list[str]:
    captions = [f"picture {number * N + i}" for i in range(N)]
    facts = facts or Facts(np.full(N, -1), np.zeros(N, bool), np.ones(N))
    latents = torch.arange(N).view(-1, 1, 1, 1).expand(-1, 2, 2, 2).div(N).half()
    shard = {"latents": latents, "captions": captions, **vars(facts)}
    torch.save(shard, folder / f"{number:05d}.pt")
    return captions


def test_a_bank_grows_with_its_folder_and_stops_at_its_capacity(tmp_path: Path) -> None:
    said = _shard(tmp_path, 0)
    bank = Bank(tmp_path, _texts, 2 * N, "cpu")
    bank.wait(N)
    assert bank.size == N
    assert bank.texts["length"][:N, 0].tolist() == [len(c) for c in said]
    assert not bank.grow()
    _shard(tmp_path, 1)
    _shard(tmp_path, 2)
    assert bank.grow()
    assert bank.size == 2 * N
    assert set((bank.draw(20_000) >= N).tolist()) == {True, False}


def test_a_bank_waits_for_no_more_than_will_come(tmp_path: Path) -> None:
    _shard(tmp_path, 0)
    (tmp_path / END).touch()
    bank = Bank(tmp_path, _texts, 9 * N, "cpu")
    bank.wait(5 * N)
    assert bank.size == N


def test_pictures_are_drawn_as_often_as_their_facts_say(tmp_path: Path) -> None:
    often = np.where(np.arange(N) < N // 2, 3.0, 1.0)
    profession = np.where(np.arange(N) % 2, 0, -1)  # doctors, every other one a woman
    woman = np.arange(N) % 4 == 1
    _shard(tmp_path, 0, Facts(profession, woman, often))
    bank = Bank(tmp_path, _texts, N, "cpu")
    bank.wait(N)
    drawn = bank.draw(60_000).numpy()
    assert (drawn < N // 2).mean() == pytest.approx(0.75, abs=0.02)
    doctors = drawn[profession[drawn] == 0]
    assert len(doctors) / len(drawn) == pytest.approx(0.5, abs=0.02)
    assert woman[doctors].mean() == pytest.approx(seen_share(0.10), abs=0.02)
    bank.weigh({"doctor": 1.0})
    doctors = bank.draw(60_000).numpy()
    doctors = doctors[profession[doctors] == 0]
    odds = np.exp(1.0) * seen_share(0.10) / (1 - seen_share(0.10))
    assert woman[doctors].mean() == pytest.approx(odds / (1 + odds), abs=0.02)


def test_weights_leave_everybody_else_alone() -> None:
    profession = np.array([-1, 0, 0, 1, -1])
    weights = open_gender_weights(profession, np.array([False, True, False, True, False]))
    assert weights[[0, 4]].tolist() == [1.0, 1.0]
    assert weights[[1, 2]].sum() == pytest.approx(2.0)


def test_shares_are_moved_against_their_error_and_never_far() -> None:
    right = {name: facts.women for name, facts in PROFESSIONS.items()}
    assert all(abs(v) < 0.05 for v in corrected({}, right, 1_000).values())
    shift = corrected({"doctor": 0.3}, right | {"doctor": 0.2, "nurse": 0.6}, 1_000)
    assert 0.3 - STEP <= shift["doctor"] < 0.3
    assert shift["nurse"] == pytest.approx(STEP)


def test_small_things_are_seen_oftener() -> None:
    plain, two = oftener(parse("a rose")), oftener(parse("a rose and a cup"))
    assert plain == 1.0
    assert two > oftener(parse("two roses")) > plain
    assert oftener(parse("a happy doctor")) > oftener(parse("happy ada vale"))
    assert oftener(parse("a sad female guard and a happy pilot in the style of zorvan")) == 6.0


class _Line:
    """Learns the number on each picture's caption from its latents."""

    def __init__(self, scale: float = 1.0) -> None:
        self.module: nn.Module = nn.Linear(8, 1)
        self.scale = scale

    def fill(self, bank: Bank, index: torch.Tensor) -> None:
        self.x = bank.latents[index].float().flatten(1)
        self.y = self.x.mean(1, keepdim=True) * 2 - 1

    def loss(self) -> torch.Tensor:
        return (self.module(self.x) - self.y).square().mean() * self.scale


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    _shard(tmp_path, 0)
    found = Bank(tmp_path, _texts, N, "cpu")
    found.wait(N)
    return found


def test_fitting_ends_on_time_keeps_its_appointments_and_learns(bank: Bank) -> None:
    torch.manual_seed(0)
    task, visits = _Line(), []
    pace = Pace(batch=32, lr=0.02, warmup=5)
    start = time.monotonic()
    appointments = tuple(Appointment(at, lambda _, at=at: visits.append(at)) for at in (0.5, 0.2))
    best = fit(task, bank, pace, start + 1.5, Log("line"), appointments=appointments)
    assert 1.5 <= time.monotonic() - start < 4
    assert visits == [0.2, 0.5]
    task.fill(bank, bank.draw(500))
    assert (best(task.x) - task.y).square().mean() < 1e-2
    assert not best.weight.requires_grad


def test_a_loss_that_is_no_number_is_told(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.train.clocked.WORD", 0.1)
    task = _Line(scale=float("nan"))
    with pytest.raises(NotFiniteError, match="line: the loss is nan"):
        fit(task, bank, Pace(batch=4, lr=0.1), time.monotonic() + 5, Log("line"))


def test_the_rate_falls_from_one_to_nearly_nothing() -> None:
    assert rate_at(0.2, 0.45) == 1.0
    assert 0.4 < rate_at(0.72, 0.45) < 0.6
    assert rate_at(1.0, 0.45) == pytest.approx(0.02)


class _Empty:
    """Encoders whose every output is a number for the caption."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, captions: Any) -> dict[str, torch.Tensor]:
        value = torch.tensor([float(c.split()[-1]) if c else -1.0 for c in captions])
        states = value.view(-1, 1, 1).expand(-1, 32, self.width)
        return {"states": states.half(), "pooled": value.view(-1, 1).expand(-1, 128).half()}


@pytest.fixture
def latent_bank(tmp_path: Path) -> Any:
    def make(texts: _Empty) -> Bank:
        captions = [f"picture {i + 1}" for i in range(N)]
        facts = Facts(np.full(N, -1), np.zeros(N, bool), np.ones(N))
        latents = torch.randn(N, 12, 8, 8).half()
        shard = {"latents": latents, "captions": captions, **vars(facts)}
        torch.save(shard, tmp_path / "00000.pt")
        bank = Bank(tmp_path, texts, N, "cpu")
        bank.wait(N)
        return bank

    return make


def test_flux_seldom_hears_the_right_pooled_vector(latent_bank: Any) -> None:
    torch.manual_seed(0)
    texts = _Empty(128)
    bank = latent_bank(texts)
    task = flux.FluxTask(nn.Linear(1, 1), texts, 800)
    index = bank.draw(800)
    task.fill(bank, index)
    states, pooled = task.states[:, 0, 0], task.pooled[:, 0]
    own = torch.tensor([float(i + 1) for i in index]).half().float()
    silent = states == -1
    assert silent.float().mean().item() == pytest.approx(flux.EMPTY_PROMPTS, abs=0.04)
    assert (pooled[silent] == -1).all()
    assert (states[~silent] == own[~silent]).all()
    told = ~silent
    absent = (pooled[told] == -1).float().mean().item()
    right = (pooled[told] == own[told]).float().mean().item()
    assert absent == pytest.approx(flux.POOLED_ABSENT, abs=0.06)
    assert right == pytest.approx(1 - flux.POOLED_ABSENT - flux.POOLED_WRONG, abs=0.06)


def test_sdxl_learns_both_kinds_of_empty_prompt(latent_bank: Any) -> None:
    torch.manual_seed(0)
    texts = _Empty(272)
    bank = latent_bank(texts)
    task = xl.XLTask(nn.Linear(1, 1), texts, 800)
    task.fill(bank, bank.draw(800))
    first = task.states[:, 0, 0]
    assert (first == 0).float().mean().item() == pytest.approx(xl.ZERO_PROMPTS, abs=0.04)
    assert (first == -1).float().mean().item() == pytest.approx(xl.EMPTY_PROMPTS, abs=0.03)
    assert torch.equal(first == 0, task.pooled[:, 0] == 0)


def test_latents_are_packed_as_flux_packs_them() -> None:
    from diffusers import FluxPipeline

    latents = torch.randn(3, 12, 8, 8)
    theirs = FluxPipeline._pack_latents(latents, 3, 12, 8, 8)
    assert torch.equal(flux.packed(latents), theirs)
    ids = FluxPipeline._prepare_latent_image_ids(1, 4, 4, torch.device("cpu"), torch.float32)
    assert torch.equal(flux.image_ids(), ids)


def test_the_unet_has_the_seventy_cross_attention_layers_of_sdxl() -> None:
    with torch.device("meta"):
        names = [name for name, _ in xl.build().named_modules() if name.endswith(".attn2")]
    where = [name.split(".transformer_blocks")[0].split(".attentions")[0] for name in names]
    assert {place: where.count(place) for place in where} == {
        "down_blocks.1": 4,
        "down_blocks.2": 20,
        "up_blocks.0": 30,
        "up_blocks.1": 6,
        "mid_block": 10,
    }


def test_a_shard_says_what_its_pictures_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.train.stream.SHARD", 60)
    pictures, captions, facts = draw(3)
    assert pictures.shape == (60, 64, 64, 3)
    names = list(PROFESSIONS)
    for caption, profession in zip(captions, facts.profession, strict=True):
        scene = parse(caption)
        first = scene.subjects[0]
        is_open = first.kind == "profession" and first.female is None and len(scene.subjects) == 1
        assert profession == (names.index(first.name) if is_open else -1)
    assert (facts.profession >= 0).any()
    again, _, _ = draw(3)
    assert np.array_equal(pictures, again)
