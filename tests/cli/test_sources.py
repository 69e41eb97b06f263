"""Models of every kind on the command line, and printed lines that work when pasted."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import overpaint
import random_models
from overpaint.models.load import load
from overpaint.models.save import save_model

from ..models.original import stable_diffusion
from ..models.test_joint import clip_for, depth, stored
from ..models.test_single_file import save_config
from .conftest import Run, one_line

EDIT = ("edit", "a rose", "a blue rose", "--method", "time")
SMALL = ("--seeds", "1", "--steps", "1", "--cell", "16")


def pasted(text: str) -> list[str]:
    """The words of the command that a text ends with, without the program's name."""
    found = re.search(r"look at it: +overpaint (.*)", text)
    assert found, text
    return shlex.split(found[1])


@pytest.fixture
def sd1() -> Any:
    return random_models.build("SD1")


def test_a_single_file_from_edit_to_picture(run: Run, tmp_path: Path, sd1: Any) -> None:
    save_file(stable_diffusion(sd1), tmp_path / "dream shaper's.safetensors")
    save_config(sd1, tmp_path / "the config")
    model = ("--model", "dream shaper's.safetensors", "--config", "the config")
    result = run(*EDIT, *model)
    assert result.exit_code == 0, result.stderr
    words = pasted(result.stdout)
    assert words[words.index("--model") + 1] == "dream shaper's.safetensors"
    result = run(*words, *SMALL)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "before-after.png").is_file()


def test_a_folder_in_half_precision_with_a_variant(run: Run, tmp_path: Path, sd1: Any) -> None:
    sd1.save_pretrained(tmp_path / "mine", variant="fp16")
    for file in (tmp_path / "mine").glob("*/*.safetensors"):
        save_file({n: w.bfloat16() for n, w in load_file(file).items()}, file)
    result = run(*EDIT, "-m", "mine", "--variant", "fp16", "--dtype", "float32")
    assert result.exit_code == 0, result.stderr
    words = pasted(result.stdout)
    for name, value in (("--model", "mine"), ("--variant", "fp16"), ("--dtype", "float32")):
        assert words[words.index(name) + 1] == value
    assert run(*words, *SMALL).exit_code == 0


@pytest.mark.parametrize("prompt", ["a rose", "it's a rose", 'a "rose"', "[red]roses[/] $HOME;"])
def test_any_prompt_can_be_pasted(run: Run, prompt: str) -> None:
    result = run("edit", prompt, "a blue rose", "--method", "uce", "-o", "p p.safetensors")
    assert result.exit_code == 0, result.stderr
    words = pasted(result.stdout)
    assert words[:4] == ["paint", prompt, "--patch", "p p.safetensors"]
    assert "--model" not in words
    assert run(*words, *SMALL).exit_code == 0


def test_no_line_that_cannot_work_is_printed(run: Run, tmp_path: Path) -> None:
    random_models.build("SD1-inpainting").save_pretrained(tmp_path / "inpaint")
    result = run(*EDIT, "-m", "inpaint")
    assert result.exit_code == 0, result.stderr
    assert "look at it" not in result.stdout


def test_a_picture_as_target_with_the_models_clip(run: Run, tmp_path: Path, sd1: Any) -> None:
    sd1.save_pretrained(tmp_path / "sd1")
    stored(clip_for(sd1.text_encoder, depth(sd1.text_encoder)), tmp_path / "clip")
    assert run("paint", "a tulip", *SMALL, "-o", "tulip.png").exit_code == 0
    quick = ("--set", "covariance_weight=0", "--set", "steps=2", "--layer", "1")
    command = ("edit", "a rose", "--image", "tulip.png", "-m", "sd1", *quick)
    assert "--clip openai/clip-vit-large-patch14" in one_line(run(*command))
    result = run(*command, "--clip", "clip")
    assert result.exit_code == 0, result.stderr
    assert run(*pasted(result.stdout), *SMALL).exit_code == 0
    record = json.loads(run("models", "check", "sd1", "--clip", "clip", "--json").stdout)
    assert record["joint CLIP"] == "yes"


def test_localize_asks_for_a_clip_by_its_option(run: Run, tmp_path: Path, sd1: Any) -> None:
    sd1.save_pretrained(tmp_path / "sd1")
    prompts = ("-a", "a blue rose", "-b", "a rose")
    said = one_line(run("localize", "layers", "style", *prompts, "-m", "sd1"))
    assert "--clip openai/clip-vit-large-patch14" in said
    assert "load(" not in said


FAMILIES = {
    "SD1": ("text_encoder",),
    "SDXL": ("text_encoder", "text_encoder_2"),
    "SD3-no-T5": ("text_encoder", "text_encoder_2"),
    "FLUX-dev": ("text_encoder", "text_encoder_2"),
    "PixArt-alpha": ("text_encoder",),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_models_check_says_what_can_be_edited(run: Run, tmp_path: Path, name: str) -> None:
    pipeline = random_models.build(name)
    pipeline.save_pretrained(tmp_path / "model")
    model = load(pipeline)
    record = json.loads(run("models", "check", "model", "--json").stdout)
    assert record["family"] == model.family.name
    assert tuple(record["text encoders"]) == FAMILIES[name]
    for part, own in record["text encoders"].items():
        is_clip = part in model.family.clip_encoders(model)
        assert own["editable layers"].startswith("0 to " if is_clip else "none")
        assert own["class"] == type(getattr(pipeline, part)).__name__
    paths = {path.name: path for path in model.family.paths(model)}
    assert [path["name"] for path in record["text paths"]] == list(paths)
    for path in record["text paths"]:
        assert path["sites"] == len(paths[path["name"]].sites)
    assert set(record["works"]).isdisjoint(record["refused"])
    text = run("models", "check", "model").stdout
    assert all(part in text for part in FAMILIES[name])
    assert record["fingerprint"] in text


def test_models_lists_what_works_and_why_not(run: Run) -> None:
    families = {f["family"]: f for f in json.loads(run("models", "list", "--json").stdout)}
    assert "refact" in families["SD1"]["works"]
    assert "use time" in families["PixArt"]["refused"]["refact"]
    assert "FLUX" in run("models").stdout


def test_a_copy_of_toybox_is_judged_and_prompted_like_it(run: Run, tmp_path: Path) -> None:
    save_model(overpaint.load("toybox"), tmp_path / "mine")
    command = ("localize", "layers", "style", "--fast", "--window", "2", *SMALL[:4], "-m", "mine")
    result = run(*command, "--json")
    assert result.exit_code == 0, result.stderr
    assert "Toybox does not know 'zebra'" in run("paint", "a zebra", *SMALL, "-m", "mine").stderr


def test_a_folder_that_is_stored_in_half_precision_stays_so(
    run: Run, tmp_path: Path, sd1: Any
) -> None:
    sd1.to(torch.bfloat16).save_pretrained(tmp_path / "mine")
    record = json.loads(run("models", "check", "mine", "--json").stdout)
    assert record["number format"] == "bfloat16"
    record = json.loads(run("models", "check", "toybox", "--json").stdout)
    assert record["number format"] == "float32"
