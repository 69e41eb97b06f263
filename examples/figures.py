"""Make the figures of the documentation again, by the commands that its pages show.

    python examples/figures.py              # all of them
    python examples/figures.py trace scores # those whose file name has one of these words

A page is the only place that says how its figures are made: every block of commands that writes to
docs/images/ is run as it stands there, from the root of the repository. What else such a block
writes goes to bench/, which git ignores.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = "docs/images/"
LIMIT = 400_000  # bytes a figure should not exceed


def main(words: list[str]) -> int:
    """Run the blocks whose figures are wanted; the number of those that failed."""
    (ROOT / "bench").mkdir(exist_ok=True)
    failed = 0
    for page, commands in blocks():
        figures = written(commands)
        if words and not any(word in figure for word in words for figure in figures):
            continue
        began = time.perf_counter()
        print(f"{page}: {', '.join(figures)}", flush=True)
        wrong = [each for each in commands if run(each)]
        failed += bool(wrong)
        for figure in figures:
            print(f"  {shrunk(ROOT / figure) / 1000:.0f} kB  {figure}")
        print(f"  {time.perf_counter() - began:.0f} s{': FAILED' if wrong else ''}")
    return failed


def blocks() -> list[tuple[str, list[str]]]:
    """Page and commands of every block that writes a figure."""
    found = []
    for page in pages(ROOT):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            commands = block.replace("\\\n", " ").strip().splitlines()
            if written(commands):
                found.append((str(page.relative_to(ROOT)), commands))
    return found


def pages(root: Path) -> list[Path]:
    """The README and every page of the documentation."""
    return [root / "README.md", *sorted(root.glob("docs/**/*.md"))]


def written(commands: list[str]) -> list[str]:
    """The figures that ``commands`` write."""
    words = [word for command in commands for word in shlex.split(command, comments=True)]
    return [word for word in words if word.startswith(IMAGES)]


def run(command: str) -> bool:
    """Run one command of ours with this Python; whether it failed."""
    words = shlex.split(command, comments=True)
    if words[:1] == ["overpaint"]:
        words[:1] = [sys.executable, "-m", "overpaint"]
    elif words[:1] == ["python"]:
        words[:1] = [sys.executable]
    return (
        bool(words) and subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0
    )


def shrunk(figure: Path) -> int:
    """Size in bytes of a picture, with fewer colours if it was too large."""
    colours = 256
    while figure.exists() and figure.stat().st_size > LIMIT and colours >= 128:  # fewer show
        with Image.open(figure) as image:
            small = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        small.save(figure, optimize=True)
        colours //= 2
    return figure.stat().st_size if figure.exists() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
