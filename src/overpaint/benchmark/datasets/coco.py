"""MS-COCO captions, each with the seed it is painted with: what an edit should leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from overpaint.benchmark.datasets.table import no_twins, read

COLUMNS = ("case_number", "source", "prompt", "evaluation_seed", "coco_id")


@dataclass(frozen=True)
class Caption:
    """A prompt, the seed to paint it with, and the picture in COCO it describes (for FID)."""

    prompt: str
    seed: int = 0
    coco_id: int | None = None


def read_coco(path: Path) -> tuple[Caption, ...]:
    """The captions in a file of that layout, in its order: 30,000 in the published one.

    Captions that hold a line break are one caption with a space in its place. Two pictures may
    have the same caption. DataError for a broken row, or a picture that occurs twice.
    """
    rows = read(path, COLUMNS)
    no_twins(rows, "case_number", lambda row: row["case_number"])
    no_twins(rows, "coco_id", lambda row: row["coco_id"])
    return tuple(
        Caption(row["prompt"], row.integer("evaluation_seed"), row.integer("coco_id"))
        for row in rows
    )
