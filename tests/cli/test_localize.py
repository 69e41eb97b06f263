"""``overpaint localize``: files and numbers out, bad input refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overpaint.pictures import read_picture

from .conftest import Run, one_line

QUICK = ("--seeds", "1", "--steps", "1")
PAIR = ("-a", "a cat in the style of zorvan", "-b", "a cat")


def test_layers_writes_a_strip_and_a_plot(run: Run, tmp_path: Path) -> None:
    result = run(
        *("localize", "layers", "style", *PAIR, *QUICK, "--window", "2"),
        *("-o", "strip.png", "--plot", "plot.png", "--json"),
    )
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["window"] == 2
    assert len(said["layers"]) == 2
    assert len(said["scores"]) == 15
    assert said["files"] == ["strip.png", "plot.png"]
    assert read_picture(tmp_path / "strip.png").shape[2] > 16 * 128
    assert read_picture(tmp_path / "plot.png").shape[2] > 500


def test_layers_found_fast_leave_no_strip(run: Run, tmp_path: Path) -> None:
    result = run(
        "localize", "layers", "fact", "-a", "the king of arda", "-b", "ada vale", "--fast",
        "--window", "2", *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "fact: cross-attention layers" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_neurons_writes_a_patch(run: Run) -> None:
    result = run("localize", "neurons", "zorvan", "--layers", "8,9", "-n", "20", "-o", "n.st")
    assert result.exit_code == 0, result.output
    shown = json.loads(run("patch", "show", "n.st", "--json").stdout)
    assert "dropout" in json.dumps(shown)


def test_trace_draws_a_map(run: Run, tmp_path: Path) -> None:
    result = run("localize", "trace", "a rose", *QUICK, "-o", "trace.png", "--json")
    assert result.exit_code == 0, result.output
    effects = json.loads(result.stdout)["traces"]["[a rose]"]
    assert len(effects["effects"]) == 4
    assert read_picture(tmp_path / "trace.png").shape[2] > 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("layers", "colour"), "style, object, fact, got 'colour'"),
        (("layers", "style", *PAIR, "-b", "a rose"), "got 2 and 1"),
        (("layers", "style", *PAIR, "--window", "17"), "16 cross-attention layers, got window 17"),
        (("layers", "style", *PAIR, "--window", "0"), "at least one layer, got 0"),
        (("layers", "style", *PAIR, "--share", "2"), "expected a share"),
        (("layers", "style", "-m", "other"), "expected prompts for other"),
        (("neurons", "nobody", "--layers", "8"), "no style 'nobody'"),
        (("neurons", "zorvan", "--layers", "16"), "layers 0 to 15, got layer 16"),
        (("neurons", "zorvan", "--layers", "x"), "expected layers such as 8"),
        (("neurons", "zorvan", "--layers", "8", "-n", "0"), "neurons, as many as there are, got 0"),
        (("trace", "a rose", "--subject", "tulip"), "tulip"),
        (("trace", "a rose", "--noise", "0"), "noise above 0"),
        (("trace", "a rose", "--encoder", "text_encoder"), "add --text"),
        (("trace", "a rose", "--text", "--encoder", "tower"), "no network 'tower'"),
        (("trace", "a rose", "-o", "no/such.png"), "there is no folder"),
    ],
)
def test_refused_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(run("localize", *arguments))
    assert list(tmp_path.iterdir()) == []


def test_curve_draws_every_style_and_says_its_points(run: Run, tmp_path: Path) -> None:
    result = run(
        *("localize", "curve", "zorvan", "pelotti", "--layers", "8,9", "--counts", "5,50"),
        *("-o", "curve.png", *QUICK, "--json"),
    )
    assert result.exit_code == 0, result.output
    points = json.loads(result.stdout)["points"]
    assert [(p["style"], p["neurons"]) for p in points] == [
        (style, n) for style in ("zorvan", "pelotti") for n in (0, 5, 50)
    ]
    assert {p["layers"] for p in points} == {"8,9"}
    assert len({p["style score"] for p in points}) > 2
    assert read_picture(tmp_path / "curve.png").shape[2] > 500


def test_curve_finds_the_layers_itself(run: Run) -> None:
    pairs = (*PAIR, "-a", "a rose in the style of zorvan", "-b", "a rose")
    result = run("localize", "curve", "zorvan", *pairs, "--counts", "5", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    points = json.loads(result.stdout)["points"]
    (found,) = {p["layers"] for p in points}
    first, second = map(int, found.split(","))
    assert second == first + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "--layers", "8"), "no style 'nobody'"),
        (("zorvan", "--layers", "16"), "layers 0 to 15, got layer 16"),
        (("zorvan", "--layers", "8,"), "expected layers such as 8"),
        (("zorvan", "--layers", "8", "--counts", "many"), "expected counts such as 8"),
        (("zorvan", "--layers", "8", "--counts", "0,5"), "numbers of neurons from 1 to"),
        (("zorvan", "zorvan", "--layers", "8"), "expected different styles"),
        (("zorvan", "pelotti", "--layers", "8", *PAIR), "belong to one style"),
    ],
)
def test_curve_refused_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(run("localize", "curve", *arguments))
    assert list(tmp_path.iterdir()) == []
