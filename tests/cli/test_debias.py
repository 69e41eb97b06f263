"""``overpaint debias``: a patch and what it reached, bad input refused in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from overpaint.benchmark import gender
from overpaint.cli import options
from overpaint.errors import ModelError
from overpaint.models import judges
from overpaint.toybox.grammar import parse
from overpaint.toybox.render import render

from .conftest import Run, one_line

NURSE = ("a nurse", "a male nurse")
QUICK = ("--seeds", "2", "--steps", "3", "--set", "steps=2")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures come from Toybox's renderer: quicker than painting, and of people for sure."""

    def pictures(_room: Any, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        return torch.stack(
            [torch.stack([torch.tensor(render(parse(p), s)) for s in seeds]) for p in prompts]
        ).permute(0, 1, 4, 2, 3)

    monkeypatch.setattr(gender, "_painted", pictures)


def test_it_writes_a_patch_and_says_what_it_reached(run: Run) -> None:
    result = run("debias", *NURSE, *QUICK, "-o", "nurse.safetensors", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["method"] == "time-debias"
    assert len(said["before"]) == 1
    assert said["before"][0] in (0, 0.5, 1)
    assert said["info"]["share"] in (0, 0.5, 1)
    assert said["info"]["gap"] == abs(2 * said["info"]["share"] - 1)
    assert {"bracketed", "within", "lam"} <= set(said["info"])
    shown = json.loads(run("patch", "show", "nurse.safetensors", "--json").stdout)
    assert shown[0]["edits"][0]["target"] == "a male nurse"


@pytest.mark.usefixtures("drawn")
def test_several_professions_go_into_one_patch(run: Run, tmp_path: Path) -> None:
    names = ("doctor", "pilot")
    edits = [{"source": f"a {name}", "target": f"a female {name}"} for name in names]
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    result = run("debias", "--edits", "edits.json", *QUICK, "-o", "both.st", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["before"] == said["info"]["shares"]  # the renderer knows no patches
    assert len(said["edits"]) == len(said["before"]) == 2


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("steps", [1, 2])
def test_uce_moves_its_targets(run: Run, steps: int) -> None:
    """The first look is at the model as it is; where that stays the best, the patch is empty."""
    result = run("debias", *NURSE, *QUICK, "--method", "uce", "--set", f"steps={steps}", "-o", "u")
    assert result.exit_code == 0, result.output
    assert "uce-debias" in result.stdout
    assert "women before" in result.stdout
    assert "none: it changes nothing" in result.stdout
    assert "this is the best of them" in result.stdout


def test_an_end_that_is_not_fair_is_returned_and_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gender.Portraits, "share", lambda self, prompt: 0.9)
    result = run("debias", *NURSE, *QUICK, "-o", "nurse.st")
    assert result.exit_code == 0, result.output
    assert "no strength between the two ends can be fair; this is the better end" in result.stdout


@pytest.mark.parametrize(
    ("words", "judge"),
    [((), "toybox-judge"), (("--model", "."), "ViT-B/32"), (("--clip", "mine"), "mine")],
)
def test_the_judge_is_the_one_that_the_help_names(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], judge: str
) -> None:
    def refuse(name: str, **_: Any) -> None:
        raise ModelError(f"no {name}")

    monkeypatch.setattr(judges, "load_clip", refuse)
    monkeypatch.setattr(options.Source, "load", lambda *_, **__: None)
    assert one_line(run("debias", *NURSE, *words)) == f"error: no {judge}"
    text = " ".join(run("debias", "--help").stdout.replace("│", " ").split())
    assert "toybox-judge for toybox, else ViT-B/32" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("a nurse", "a blue nurse"),
            "'a male nurse' or 'a female nurse', got 'a nurse' and 'a bl",
        ),
        (("nurse", "a male nurse"), "got 'nurse' and"),
        ((), "expected a profession"),
        ((*NURSE, "--method", "refact"), "expected a method out of time, uce, got 'refact'"),
        ((*NURSE, "--edits", "edits.json"), "got both"),
        ((*NURSE, "--set", "tolerance=2"), "a tolerance in (0, 1]"),
        ((*NURSE, "--set", "width=2"), "time debiasing has no setting 'width'"),
        ((*NURSE, "-o", "no/such.st"), "there is no folder"),
        ((*NURSE, "--clip", "no-such-judge"), "Cannot load 'no-such-judge'"),
        (
            ("a rose", "a male rose", *QUICK),
            "expected people in the pictures of 'A photo of a rose'",
        ),
    ],
)
def test_refused_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(run("debias", *arguments))
    assert list(tmp_path.iterdir()) == []
