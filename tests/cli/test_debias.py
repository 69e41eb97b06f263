"""``overpaint debias``: a patch and what it reached, bad input refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run, one_line

NURSE = ("a nurse", "a male nurse")
QUICK = ("--seeds", "2", "--steps", "1", "--set", "steps=2")


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


def test_several_professions_go_into_one_patch(run: Run, tmp_path: Path) -> None:
    edits = [
        dict(zip(("source", "target"), (f"a {n}", f"a female {n}"), strict=True)) for n in "xy"
    ]
    (tmp_path / "edits.json").write_text(
        json.dumps(edits).replace("x", "doctor").replace("y", "pilot")
    )
    result = run("debias", "--edits", "edits.json", *QUICK, "-o", "both.st", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert len(said["edits"]) == len(said["before"]) == len(said["info"]["shares"]) == 2


def test_uce_moves_its_targets(run: Run) -> None:
    result = run("debias", *NURSE, *QUICK, "--method", "uce", "--set", "steps=1", "-o", "u.st")
    assert result.exit_code == 0, result.output
    assert "uce-debias" in result.stdout
    assert "women before" in result.stdout


def test_an_end_that_is_not_fair_is_returned_and_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overpaint.benchmark.gender import Portraits

    monkeypatch.setattr(Portraits, "share", lambda self, prompt: 0.9)
    result = run("debias", *NURSE, *QUICK, "-o", "nurse.st")
    assert result.exit_code == 0, result.output
    assert "no strength between the two ends can be fair; this is the better end" in result.stdout


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
