"""Running the command line in this process, with Toybox loaded from its files once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from overpaint.cli.app import app

Run = Callable[..., Result]

# What makes an edit quick: the identity in place of second moments, and few steps.
QUICK = ("--set", "covariance_weight=0", "--set", "steps=5", "--layer", "7")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``overpaint`` in an empty folder; exceptions other than exits fly."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Patch files of both methods, made by the command line."""
    folder = tmp_path_factory.mktemp("made")
    files = {"refact": folder / "rose.safetensors", "time": folder / "rose-time.safetensors"}
    for method, file in files.items():
        extra = QUICK if method == "refact" else ()
        command = ["edit", "a rose", "a blue rose", "--method", method, "-o", str(file), *extra]
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    return files


def one_line(result: Result) -> str:
    """The single line of an error: exit code 2, nothing on stdout, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
