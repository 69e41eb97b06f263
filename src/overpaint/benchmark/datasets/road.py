"""RoAD: who holds a role, and what a thing looks like (ReFACT, section 4.1 and appendix B).

The two published files differ: the test split says for each positive prompt how to ask an
unedited model for the new (``Positive_oracle``), the validation split does not.
"""

from __future__ import annotations

from pathlib import Path

from overpaint.benchmark.datasets.table import Row, no_twins, read
from overpaint.types import Case, Edit, Probe

PROMPTS = range(1, 6)


def _layout(*positive: str) -> tuple[str, ...]:
    return (
        *("Type", "Prompt", "Oracle", "Old", "New"),
        *(f"{name}{n}" for n in PROMPTS for name in positive),
        *(f"{name}{n}" for n in PROMPTS for name in ("Negative", "Negative_new")),
    )


VALIDATION_COLUMNS = _layout("Positive", "Positive_old", "Positive_new")
TEST_COLUMNS = _layout("Positive", "Positive_oracle", "Positive_old", "Positive_new")

KINDS = {"Role": "roles", "Appearance": "appearances"}


def read_road(path: Path) -> tuple[Case, ...]:
    """The cases in a file of RoAD, in either layout: 90 to test on, or 10 to tune on.

    ``Old`` and ``New`` say what a picture shows before and after, ``Oracle`` is the new in words
    of the prompt: an edit's ``destination``. DataError for a broken row, or an edit that occurs
    twice.
    """
    rows = read(path, TEST_COLUMNS, VALIDATION_COLUMNS)
    no_twins(rows, "New", lambda row: (row["Prompt"].casefold(), row["New"].casefold()))
    return tuple(_case(row) for row in rows)


def _case(row: Row) -> Case:
    kind = KINDS.get(row["Type"])
    if kind is None:
        raise row.wrong("Type", f"expected {' or '.join(KINDS)}, got {row['Type']!r}")
    prompt, old, new, oracle = (row[name] for name in ("Prompt", "Old", "New", "Oracle"))
    if new.casefold() in (prompt.casefold(), old.casefold()):
        raise row.wrong("New", f"it equals what {prompt!r} means already, so nothing would change")
    return Case(
        kind,
        Edit(prompt, new, old=old, destination=oracle),
        Probe(prompt, old, new, oracle),
        tuple(_positive(row, n) for n in PROMPTS),
        tuple(
            Probe(row[f"Negative{n}"], row[f"Negative{n}"], row[f"Negative_new{n}"])
            for n in PROMPTS
        ),
    )


def _positive(row: Row, n: int) -> Probe:
    oracle = row.cells.get(f"Positive_oracle{n}", "")
    return Probe(row[f"Positive{n}"], row[f"Positive_old{n}"], row[f"Positive_new{n}"], oracle)
