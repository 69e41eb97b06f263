"""From `overpaint localize` to `overpaint edit`: a saved localization, or layers as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overpaint.pictures import read_picture

from .conftest import Run, one_line

PAIR = ("a cat in the style of zorvan", "a cat")
FOUND = {"kind": "style", "layers": [8, 9], "window": 2, "scores": list(range(15))}
LOCOEDIT = ("edit", *PAIR, "--method", "locoedit", "-o", "patch.safetensors")


def saved(tmp_path: Path, **other: object) -> str:
    (tmp_path / "found.json").write_text(json.dumps(FOUND | other))
    return "found.json"


def test_what_was_found_is_edited_and_plotted(run: Run, tmp_path: Path) -> None:
    search = ("--fast", "--window", "2", "--seeds", "1", "--steps", "1", "--save", "found.json")
    result = run("localize", "layers", "style", "-a", PAIR[0], "-b", PAIR[1], *search)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "found.json").read_text())
    edited = json.loads(run(*LOCOEDIT, "--localization", "found.json", "--json").stdout)
    assert edited["info"]["layers"] == found["layers"]
    assert edited["config"]["localization"]["kind"] == "style"
    assert len(edited["sites"]) == 4
    assert run("localize", "plot", "found.json", "-o", "plot.png").exit_code == 0
    assert read_picture(tmp_path / "plot.png").shape[2] > 500


def test_layers_as_typed(run: Run) -> None:
    edited = json.loads(run(*LOCOEDIT, "--layers", "3,4", "--json").stdout)
    assert edited["info"]["layers"] == [3, 4]


def test_plot_tells_lines_of_one_kind_apart(run: Run, tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps(FOUND))
    shown = run("localize", "plot", "found.json", "other.json", "--json")
    assert json.loads(shown.stdout)["lines"] == ["style: found", "style: other"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*LOCOEDIT, "--layers", "16"), "layers 0 to 15 that read text, got layer 16"),
        ((*LOCOEDIT, "--layers", "x"), "setting 'layers': expected numbers such as 8,9"),
        ((*LOCOEDIT, "--localization", "missing.json"), "cannot read a localization"),
        ((*LOCOEDIT, "--layers", "3", "--localization", "found.json"), "got 'both'"),
        (("edit", *PAIR, "--localization", "found.json"), "refact takes no localization"),
        (("edit", *PAIR, "--layers", "3"), "--layers is for locoedit, not for refact"),
        (("localize", "plot", "missing.json"), "cannot read a localization"),
        (("localize", "plot", "found.json", "-o", "no/such.png"), "there is no folder"),
        (("localize", "layers", "style", "--widest", "17"), "got widest 17"),
        (("localize", "layers", "style", "--save", "no/such.json"), "there is no folder"),
        (("localize", "layers", "colour", "-a", "a cat", "-b", "a dog"), "got 'colour'"),
        (("localize", "trace", "a cat", "a dog", "--subject", "cat"), "expected 2 subjects"),
    ],
)
def test_refused_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    saved(tmp_path)
    assert said in one_line(run(*arguments))
    assert [file.name for file in tmp_path.iterdir()] == ["found.json"]


def test_localization_of_a_deeper_model(run: Run, tmp_path: Path) -> None:
    deep = saved(tmp_path, layers=[40, 41], scores=list(range(69)))
    assert "0 to 15 that read text, got layer 40" in one_line(
        run(*LOCOEDIT, "--localization", deep)
    )
