"""Fill the tables of README and documentation from what was measured, and from nothing else.

    python examples/tables.py                  # all of them
    python examples/tables.py methods mass     # those whose marker has one of these words
    python examples/tables.py --check          # write nothing; say what would change

A table stands between two comments. The first one says which of the forms in forms.py,
measurements.py and studies.py it has, and from what it comes: the folder of a finished run of
`overpaint bench`, or the file that a script in benchmarks/ wrote with --json:

    <!-- table: methods bench/methods -->
    <!-- end of table -->

A table whose run is not there, not finished, or of other weights than those shipped is named and
left as it is; the exit code is how many these are.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import cache
from pathlib import Path

from figures import ROOT, pages
from forms import FORMS as RUNS
from measurements import MEASUREMENTS
from sources import Form, Weights
from studies import STUDIES

from overpaint.benchmark.provenance import identity
from overpaint.errors import OverpaintError
from overpaint.models.judges import load_clip
from overpaint.models.load import load

FORMS = RUNS | MEASUREMENTS | STUDIES
MARKED = re.compile(
    r"^<!-- table: (?P<words>.+?) -->$\n(?P<old>.*?)^<!-- end of table -->$",
    flags=re.MULTILINE | re.DOTALL,
)


def main() -> int:
    """Fill, and say what was not filled."""
    parser = argparse.ArgumentParser(description="Fill the documentation's tables.")
    parser.add_argument("words", nargs="*", help="only tables whose marker has one of these")
    parser.add_argument("--check", action="store_true", help="write nothing")
    flags = parser.parse_args()
    failed = 0
    for page in pages(ROOT):
        before = page.read_text(encoding="utf-8")
        text, wrong = filled(before, ROOT, flags.words, shipped)
        for line in wrong:
            print(f"{page.relative_to(ROOT)}: {line}", file=sys.stderr)
        failed += len(wrong)
        if text != before:
            print(f"{page.relative_to(ROOT)}: {'would change' if flags.check else 'filled'}")
            failed += flags.check
            if not flags.check:
                page.write_text(text, encoding="utf-8")
    return failed


def filled(text: str, root: Path, words: list[str], weights: Weights) -> tuple[str, list[str]]:
    """``text`` with its tables, and a line for every one that could not be made.

    ``weights()`` names those that the numbers have to be of.
    """
    wrong = []

    def table(match: re.Match[str]) -> str:
        form, *rest = match["words"].split()
        if words and not any(word in match["words"] for word in words):
            return match[0]
        try:
            body = "".join(f"{line}\n" for line in _form(form)(root, rest, weights))
        except OverpaintError as error:
            wrong.append(f"table '{match['words']}': {error}")
            return match[0]
        return f"<!-- table: {match['words']} -->\n{body}<!-- end of table -->"

    return MARKED.sub(table, text), wrong


def _form(name: str) -> Form:
    if name not in FORMS:
        raise OverpaintError(f"expected a form out of {', '.join(FORMS)}, got {name!r}")
    return FORMS[name]


@cache
def shipped() -> str:
    """Names the weights in the package."""
    return identity(load("toybox"), load_clip("toybox-judge"))


if __name__ == "__main__":
    sys.exit(main())
