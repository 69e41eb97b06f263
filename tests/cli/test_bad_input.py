"""Every bad input gives exit code 2, one clear line, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from overpaint.models.load import load
from overpaint.models.save import save_model

from .conftest import QUICK, Run, one_line

LONG = "a rose and " * 40 + "a rose"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("edit", "a rose", "a blue rose", "-m", "nope"), "No model 'nope': expected 'toybox'"),
        (("edit", "a rose", "a blue rose", "-m", "."), "holds no diffusers pipeline"),
        (("edit", "a rose", "a blue rose", "--device", "nope"), "expected a device such as cpu"),
        (
            ("edit", "a rose", "a blue rose", "--method", "nope"),
            "expected a method among refact, time",
        ),
        (("edit", "", "a blue rose"), "empty"),
        (("edit", "a rose", ""), "expected a target"),
        (("edit", "a rose", "a blue rose", "--subject", "tulip"), "tulip"),
        (("edit", "a rose", "A  Rose"), "the target equals the source"),
        (("edit", "a rose", "a rose", "--method", "time"), "the target equals the source"),
        (("edit", "a rose", "a blue rose", "--layer", "12"), "layers 0 to 11, got layer 12"),
        (("edit", "a rose", "a blue rose", "--layer", "-1"), "layers 0 to 11, got layer -1"),
        (("edit", LONG, "a blue rose"), "is cut off; shorten the prompt"),
        (
            ("edit", "a rose", "a blue rose", "--layer", "3", "--method", "time"),
            "--layer is for refact, diffquickfix, mass, finetune, not for time",
        ),
        (("edit", "a rose", "a blue rose", "--set", "steps"), "expected --set NAME=VALUE"),
        (("edit", "a rose", "a blue rose", "--set", "steps=many"), "'steps': expected int"),
        (
            ("edit", "a rose", "a blue rose", "--set", "stepz=1"),
            "no setting 'stepz'; it has: layer",
        ),
        (
            ("edit", "a rose", "a blue rose", "--lambda", "1"),
            "--lambda is for time, uce, diffquickfix, mass",
        ),
        (("edit", "a rose", "a blue rose", "--device", "cuda"), "there is no cuda on this machine"),
        (("edit", "a rose", "a blue rose", "-m", "x.safetensors"), "no file 'x.safetensors'"),
        (("edit", "a rose", "a blue rose", "--config", "."), "for a model in a single file"),
        (("edit", "a rose", "a blue rose", "--variant", "fp16"), "no weights in the variant"),
        (("paint", "a rose", "-m", "org/name/x.safetensors"), "hf download org/name x.safeten"),
        (("edit", "a rose", "a blue rose", "--method", "time", "--lambda", "0"), "λ above 0"),
        (("edit", "a rose", "--image", "missing.png"), "expected a picture, got 'missing.png'"),
        (("edit", "a rose", "a blue rose", "--edits", "e.json"), "got both"),
        (("edit", "--edits", "missing.json"), "cannot read edits from 'missing.json'"),
        (("edit", "the president of arda", "ada vale", "--method", "time"), "president"),
        (("paint", ""), "The prompt is empty"),
        (("paint", "a rose", "-m", "nope"), "No model 'nope'"),
        (("paint", "a rose", "--seeds", "x"), "expected seeds such as 4"),
        (("paint", "a rose", "--seeds", "5-2"), "expected seeds such as 4"),
        (("paint", "a rose", "--seeds", "0"), "expected seeds such as 4"),
        (("paint", "a rose", "--seeds", "7,-9,8"), "expected seeds such as 4"),
        (("paint", "a rose", "--seeds", "99999999999"), "at most 100,000 seeds"),
        (("paint", "a rose", "--seeds", "0-99999999999999999999999"), "at most 100,000 seeds"),
        (("paint", "a rose", "--seeds", f"{2**63}-{2**63}"), "seeds below 2^63"),
        (("paint", "a rose", "--guidance", "inf"), "guidance as a number from 0 to 1000"),
        (("paint", "a rose", "--guidance", "-1"), "guidance as a number from 0 to 1000"),
        (("localize", "layers", "style", "--threshold", "nan"), "finite number"),
        (("localize", "trace", "a blue rose", "--noise", "inf"), "finite number"),
        (("report", "missing"), "expected the folder of a run, got 'missing'"),
        (("paint", "a rose", "--patch", "missing"), "there is no file 'missing'"),
        (("patch", "show", "missing"), "there is no file 'missing'"),
        (("patch", "show", "."), "got the folder '.'"),
        (("patch", "export", "missing", "-o", "x"), "there is no file 'missing'"),
        (("patch", "apply", "missing", "-o", "x"), "there is no file 'missing'"),
        (("patch", "diff", "missing", "missing"), "there is no file 'missing'"),
        (("models", "check", "nope"), "No model 'nope'"),
        (("toybox", "sheet", "a purple idea"), "cannot say 'a purple idea'"),
    ],
)
def test_refused_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(run(*arguments))
    assert list(tmp_path.iterdir()) == []


COMMANDS = [
    ("edit", "a rose", "a blue rose"),
    ("paint", "a rose"),
    ("toybox", "sheet", "a rose"),
    ("patch", "export", "rose.safetensors"),
    ("patch", "apply", "rose.safetensors"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_missing_folder_is_found_before_any_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("overpaint.models.load.load", None)  # would raise if it were called
    assert "there is no folder" in one_line(run(*command, "-o", "no/such/file"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_output_that_is_taken_is_refused_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("overpaint.models.load.load", None)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("keep")
    assert "'taken'" in one_line(run(*command, "-o", "taken"))
    assert (tmp_path / "taken" / "mine").read_text() == "keep"


def test_name_too_long_for_the_file_system(run: Run) -> None:
    assert "cannot write" in one_line(run("paint", "a rose", "-o", "x" * 300))


def test_file_that_is_no_patch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a patch")
    for command in (("patch", "show"), ("paint", "a rose", "--patch"), ("patch", "diff", "text")):
        assert "expected a patch file, got 'text'" in one_line(run(*command, "text"))


def test_patch_told_by_the_weights_of_another_model(
    run: Run, tmp_path: Path, made: dict[str, Path]
) -> None:
    """A Toybox whose weights are not those that the patch was computed on."""
    other = load("toybox")
    next(other.component("text_encoder").parameters()).data[0, 0] += 1
    save_model(other, tmp_path / "other")
    for command in (("export", made["time"], "-o", "lora"), ("diff", made["time"], made["time"])):
        assert "expected a model whose text_encoder has the fingerprint" in one_line(
            run("patch", *command, "-m", "other")
        )
    assert not (tmp_path / "lora").exists()
    assert run("patch", "export", made["time"], "-o", "l", "-m", "other", "--force").exit_code == 0


def test_other_safetensors(run: Run, tmp_path: Path, made: dict[str, Path]) -> None:
    save_file(load_file(made["refact"]), tmp_path / "lora")
    assert "which holds other safetensors" in one_line(run("patch", "show", "lora"))


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.99])
def test_truncated_patch(run: Run, tmp_path: Path, made: dict[str, Path], kept: float) -> None:
    whole = made["refact"].read_bytes()
    part = whole[: int(kept if kept >= 1 else kept * len(whole))]
    (tmp_path / "cut").write_bytes(part)
    assert "expected a patch file, got 'cut'" in one_line(run("paint", "a rose", "-p", "cut"))
    assert [p.name for p in tmp_path.iterdir()] == ["cut"]


def test_patch_of_another_model(run: Run, tmp_path: Path, made: dict[str, Path]) -> None:
    patch = made["refact"]
    assert run("patch", "apply", patch, "-o", "edited").exit_code == 0
    for command in (("paint", "a rose", "-p"), ("patch", "apply", "-o", "again")):
        said = one_line(run(*command, patch, "-m", "edited"))
        assert "expected a model whose text_encoder has the fingerprint" in said
    assert [p.name for p in tmp_path.iterdir()] == ["edited"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON in 'e.json'"),
        ("[]", "expected a list of edits"),
        ('[{"target": "a blue rose"}]', "edit 0: expected texts named source"),
        ('[{"source": "a rose", "goal": "a blue rose"}]', "edit 0"),
        ('[{"source": "a rose", "target": 3}]', "edit 0"),
        ('["a rose"]', "edit 0"),
    ],
)
def test_malformed_edits(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "e.json").write_text(text)
    assert said in one_line(run("edit", "--edits", "e.json"))


def test_file_that_is_no_picture(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_text("no picture")
    assert "not a picture file" in one_line(run("edit", "a rose", "--image", "p.png"))


def test_failed_write_leaves_the_old_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    said = one_line(run("edit", "a rose", "a blue rose", "-o", "old", *QUICK))
    assert "No space left on device" in said
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"old": "old"}


def test_error_is_one_line_also_with_json(run: Run) -> None:
    assert "No model" in one_line(run("models", "check", "nope", "--json"))


def test_markup_in_what_was_typed_is_shown_as_typed(run: Run) -> None:
    assert "'[red]x[/]'" in one_line(run("edit", "a rose", "a blue rose", "--method", "[red]x[/]"))


def test_unknown_command_exits_with_2(run: Run) -> None:
    assert run("nonsense").exit_code == 2
    assert run("edit", "--nonsense").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "nonsense"),
        (("--nonsense",), "--nonsense"),
        (("edit", "--nonsense"), "--nonsense"),
        (("edit", "a", "b", "--layer", "x"), "--layer"),
        (("paint",), "PROMPT"),
        (("paint", "a rose", "--dtype", "int8"), "float32"),
        (("paint", "a rose", "--steps", "0"), "--steps"),
        (("models", "nope"), "nope"),
        (("data", "get"), "NAME"),
        (("bench", "--limit", "x"), "--limit"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_line(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    line = one_line(run(*arguments))
    assert said in line
    assert "--help'" in line


def test_groups_by_themselves_show_their_help(run: Run) -> None:
    for group in ((), ("localize",), ("patch",), ("toybox",)):
        result = run(*group)
        assert "Usage" in result.output
        assert "error" not in result.output
