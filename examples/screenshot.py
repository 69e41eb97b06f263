"""Photograph a report, or one case of it, with headless Chromium; for the documentation.

python examples/screenshot.py bench/methods/report/report.html docs/images/report.png
python examples/screenshot.py REPORT.html case.png --case 0     # the worst, opened
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CASE = re.compile(r'<details class="case".*?</details>', flags=re.DOTALL)
TALL = 4000  # pixels a page may have before what is empty below is cut off
MARGIN = 24


def main() -> int:
    """Photograph; 2 with one line where it cannot be done."""
    parser = argparse.ArgumentParser(description="Photograph a report.")
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, help="pixels from the top; all of it unless given")
    parser.add_argument("--case", type=int, metavar="N", help="only this case, 0 is the worst")
    flags = parser.parse_args()
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None or not flags.page.is_file():
        wrong = "a browser" if browser is None else f"the page {str(flags.page)!r}"
        print(f"cannot find {wrong}; install chromium, or make the report first", file=sys.stderr)
        return 2
    text = flags.page.read_text(encoding="utf-8")
    if flags.case is not None:
        cases = CASE.findall(text)
        if flags.case >= len(cases):
            print(f"expected a case below {len(cases)}, got {flags.case}", file=sys.stderr)
            return 2
        text = alone(text, cases[flags.case])
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "page.html", Path(folder) / "picture.png"
        page.write_text(text, encoding="utf-8")
        size = f"--window-size={flags.width},{flags.height or TALL}"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
        command = [browser, *options, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        with Image.open(picture) as image:
            whole = image.convert("RGB")
    (whole if flags.height else trimmed(whole)).save(flags.out, optimize=True)
    return 0


def alone(text: str, case: str) -> str:
    """The page with nothing in it but ``case``, opened."""
    head, _, rest = text.partition("<main>")
    opened = case.replace("<details ", "<details open ", 1)
    return f"{head}<main><section>{opened}</section></main>{rest.partition('</main>')[2]}"


def trimmed(image: Image.Image) -> Image.Image:
    """``image`` without what is empty around it, but for a margin."""
    empty = Image.new("RGB", image.size, image.getpixel((0, 0)))
    box = ImageChops.difference(image, empty).getbbox() or (0, 0, *image.size)
    left, top, right, bottom = box
    width, height = image.size
    return image.crop(
        (
            max(0, left - MARGIN),
            max(0, top - MARGIN),
            min(width, right + MARGIN),
            min(height, bottom + MARGIN),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
