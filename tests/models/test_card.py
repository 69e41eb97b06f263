"""Cards: what a folder says about its model, kept by copies of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import overpaint as op
from overpaint.errors import ModelError
from overpaint.methods.chosen import chosen
from overpaint.models.card import CARD_FILE, Card, read_card, write_card
from overpaint.models.corpora import default_corpus, default_templates
from overpaint.models.embedded import toybox_folder
from overpaint.models.load import card_of, load
from overpaint.models.save import save_model


def test_what_is_written_is_read(tmp_path: Path) -> None:
    card = Card("mine", steps=4, guidance=0.0, batch_size=2, height=64, dtype="bfloat16")
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert card.precision == torch.bfloat16


def test_a_folder_without_a_card_says_nothing(tmp_path: Path) -> None:
    assert read_card(tmp_path) == Card()
    assert Card().precision is None
    write_card(Card(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"steps": 0}, "steps of at least 1, got 0"),
        ({"steps": True}, "steps of at least 1, got True"),
        ({"batch_size": 1.5}, "batch_size of at least 1, got 1.5"),
        ({"guidance": -1}, "guidance of at least 0, got -1"),
        ({"guidance": float("nan")}, "guidance of at least 0"),
        ({"guidance": "4"}, "guidance of at least 0, got '4'"),
        ({"dtype": "int8"}, "dtype out of float32, float16, bfloat16, got 'int8'"),
        ({"dtype": ["float32"]}, "dtype out of"),
        ({"name": 3}, "text as name, got 3"),
        ([], "expected a JSON object"),
    ],
)
def test_a_card_that_makes_no_sense_is_named(tmp_path: Path, said: Any, words: str) -> None:
    (tmp_path / CARD_FILE).write_text(json.dumps(said))
    with pytest.raises(ModelError, match=words) as caught:
        read_card(tmp_path)
    assert str(tmp_path / CARD_FILE) in str(caught.value)


def test_a_torn_card_is_named(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text('{"name": ')
    with pytest.raises(ModelError, match=f"Cannot use .*{CARD_FILE}"):
        read_card(tmp_path)


def test_keys_of_a_later_version_are_left_out(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text('{"name": "mine", "colour": "blue"}')
    assert read_card(tmp_path) == Card("mine")


def test_cards_are_found_without_loading() -> None:
    assert card_of("toybox").name == "toybox"
    assert card_of(str(toybox_folder("pipeline"))) == card_of("toybox")
    assert card_of("nobody/nothing") == card_of("") == card_of("no.safetensors") == Card()


def test_a_copy_of_toybox_is_still_toybox(toybox: op.Model, tmp_path: Path) -> None:
    """Painted, edited and read with what was chosen for it (after an edit too)."""
    patch = op.time_edit(toybox, [op.Edit("a rose", "a blue rose")], chosen(toybox, "time"))
    with op.applied(toybox, patch):
        save_model(toybox, tmp_path / "edited")
        expected = op.generate(toybox, "a rose", 1, steps=2, output_type="pt")
    edited = load(tmp_path / "edited")
    assert edited.card == toybox.card
    assert edited.dtype == torch.float32
    assert torch.equal(op.generate(edited, "a rose", 1, steps=2, output_type="pt"), expected)
    assert default_corpus(edited).captions == default_corpus(toybox).captions
    assert default_templates(edited) == default_templates(toybox)
    for method in op.METHODS:
        assert chosen(edited, method) == chosen("toybox", method)
        assert chosen(str(tmp_path / "edited"), method) == chosen("toybox", method)


def test_a_pipeline_object_from_such_a_folder_too(toybox: op.Model) -> None:
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(str(toybox_folder("pipeline")))
    assert load(pipeline).card == toybox.card
    assert load(pipeline).dtype == pipeline.unet.dtype == torch.float32


def test_toybox_is_painted_with_the_scheduler_that_it_was_made_for(toybox: op.Model) -> None:
    """The folder's own scheduler is DPM-Solver++ of order 2 on the noise it learnt with."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    trained = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    ).config | {"timestep_spacing": "leading", "_use_default_values": []}
    wanted: Any = DPMSolverMultistepScheduler.from_config(trained)
    ours: Any = type(toybox.pipeline.scheduler).from_config(toybox.pipeline.scheduler.config)
    assert isinstance(ours, DPMSolverMultistepScheduler)
    for steps in (1, 2, 5, 10, 20, 50):
        wanted.set_timesteps(steps)
        ours.set_timesteps(steps)
        assert torch.equal(wanted.timesteps, ours.timesteps)
        assert torch.equal(wanted.sigmas, ours.sigmas)
    known = ("solver_order", "algorithm_type", "solver_type", "lower_order_final", "euler_at_final")
    for name in (*known, "final_sigmas_type", "thresholding", "variance_type"):
        assert wanted.config[name] == ours.config[name]
    noise, latents = (torch.randn(2, 1, 4, 8, 8) for _ in range(2)), None
    output, latents = noise
    wanted.set_timesteps(5)
    ours.set_timesteps(5)
    a = b = latents
    for time in wanted.timesteps:
        a = wanted.step(output[0], time, a, return_dict=False)[0]
        b = ours.step(output[0], time, b, return_dict=False)[0]
        assert torch.equal(a, b)
