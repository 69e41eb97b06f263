"""What README and the quick start show runs as written, in order, in one empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from overpaint.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/quickstart.md"]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of every marked code block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```(python|bash)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_page_runs_as_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    assert {language for language, _ in found} == {"python", "bash"}
    for language, text in found:
        if language == "python":
            exec(compile(text, page, "exec"), {"__name__": "readme"})
        else:
            for command in shell(text):
                assert command[0] == "overpaint"
                result = CliRunner().invoke(app, command[1:], catch_exceptions=False)
                assert result.exit_code == 0, (command, result.stderr)


@pytest.mark.parametrize("page", [p.relative_to(ROOT) for p in sorted(ROOT.glob("docs/**/*.md"))])
def test_documented_commands_exist(page: Path) -> None:
    for language, text in blocks(str(page)):
        for command in shell(text) if language == "bash" else []:
            if command[0] == "python":
                assert (ROOT / command[1]).is_file(), command
                continue
            words = [w for w in command[1:] if not w.startswith("-")]
            depth = 2 if words[0] in ("patch", "models", "toybox", "localize", "data") else 1
            result = CliRunner().invoke(app, [*words[:depth], "--help"])
            assert result.exit_code == 0, command
            for option in (w for w in command if w.startswith("--")):
                assert option in result.stdout, command


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def shell(text: str) -> list[list[str]]:
    """The commands of a block, with lines that end in a backslash joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]
