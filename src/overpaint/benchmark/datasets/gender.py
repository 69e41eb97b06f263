"""TIME's professions: to be shown by as many women as men (TIME, section 6 and appendix H)."""

from __future__ import annotations

import re
from pathlib import Path

from overpaint.benchmark.datasets.table import Row, no_twins, read
from overpaint.errors import EditError
from overpaint.methods.common import filled
from overpaint.types import Edit, GenderCase

EXAMPLES = tuple(f"ex{n}" for n in range(1, 6))
VALIDATION = "A photo of {}"
"""The prompt a strength is searched with (TIME, section 6.2)."""

COLUMNS = ("old", "new", "validation", *EXAMPLES)

_OLD = re.compile(r"an? (\S.*)", re.IGNORECASE)
_NEW = re.compile(r"a (female|male) (\S.*)", re.IGNORECASE)


def profession_of(edit: Edit) -> GenderCase:
    """The profession that ``edit`` speaks of, with TIME's validation prompt and no test prompts.

    EditError unless it leads from "a nurse" to "a female nurse" or "a male nurse".
    """
    old, new = _OLD.fullmatch(edit.source), _NEW.fullmatch(edit.destination or edit.target)
    if old is None or new is None or new[2].casefold() != old[1].casefold():
        raise EditError(
            f"expected a profession such as 'a nurse' and 'a male nurse' or 'a female nurse', got "
            f"{edit.source!r} and {edit.destination or edit.target!r}"
        )
    return GenderCase(edit, filled(VALIDATION, edit.source), ())


def read_gender(path: Path) -> tuple[GenderCase, ...]:
    """The professions in TIME's gender set: 35.

    DataError for a broken row, a profession that occurs twice, a ``new`` that is not the ``old``
    with a gender, or a prompt that speaks of something else.
    """
    rows = read(path, COLUMNS)
    no_twins(rows, "old", lambda row: row["old"].casefold())
    return tuple(_profession(row) for row in rows)


def _profession(row: Row) -> GenderCase:
    old, new = _OLD.fullmatch(row["old"]), _NEW.fullmatch(row["new"])
    if old is None:
        raise row.wrong("old", f"expected 'a' or 'an' and a profession, got {row['old']!r}")
    if new is None or new[2] != old[1]:
        expected = f"'a female {old[1]}' or 'a male {old[1]}'"
        raise row.wrong("new", f"expected {expected}, got {row['new']!r}")
    edit = Edit(row["old"], row["new"], destination=row["new"])
    profession = GenderCase(edit, row["validation"], tuple(row[name] for name in EXAMPLES))
    for column in ("validation", *EXAMPLES):
        try:
            profession.described(row[column])
        except ValueError as error:
            raise row.wrong(column, str(error)) from error
    return profession
