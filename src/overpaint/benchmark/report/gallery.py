"""The pictures of every case, worst case first, and of every window of layers.

The judge only says which of two captions is nearer, so a picture of something else counts for one
of them. :func:`low_match` finds pictures that count as correct and yet match neither caption well,
by comparison with the unedited model's and the oracle's pictures of the same prompt.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from overpaint.benchmark.config import EDITS
from overpaint.benchmark.finish import by_old
from overpaint.benchmark.report.data import RunData
from overpaint.benchmark.rows import CaseRow

SIDE = 192  # pixels; shown at half of that, so that they are sharp on dense screens
QUALITY = 82
PARTS = ["efficacy", "generality", "specificity"]


class Picture(NamedTuple):
    """A thumbnail.

    ``mark`` is "wrong" for a picture that does not show what it should, "low" for one that
    matches neither caption, or "". ``status`` says why ``uri`` is empty: "missing", "unreadable".
    """

    uri: str
    title: str
    mark: str = ""
    status: str = ""


class CaseColumn(NamedTuple):
    """A condition in the table of a case, with its scores there."""

    name: str
    label: str
    is_edit: bool
    scores: str


class CaseCell(NamedTuple):
    """The pictures of one prompt under one condition, and how many of all are correct."""

    pictures: Sequence[Picture] = ()
    count: str = "–"
    title: str = ""


class Window(NamedTuple):
    """What the model generates with one window of layers."""

    label: str
    score: str
    is_best: bool
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class CaseView:
    """A case as the page shows it: a summary line, and a table of prompts or a strip of windows.

    ``headline`` and ``by`` are the number in the summary and whose it is, ``pair`` the pictures
    there; ``scores`` are percentages by editor.
    """

    name: str
    kind: str
    headline: str
    by: str = ""
    worst_prompt: str = ""
    pair: Sequence[Picture] = ()
    scores: Mapping[str, int] = field(default_factory=dict)
    columns: Sequence[CaseColumn] = ()
    rows: Sequence[tuple[Mapping[str, Any], Sequence[CaseCell]]] = ()
    windows: Sequence[Window] = ()


class CaseGallery:
    """Builds the views of a run's cases; ``limit`` of them get their pictures."""

    def __init__(self, run: RunData, limit: int) -> None:
        self.run = run
        self.limit = limit
        self.keep = int(run.configuration.get("keep") or 0)
        pictures = run.pictures.assign(low=low_match(run))
        self._pictures: dict[tuple[str, str, str], list[Any]] = {}
        for row in pictures.itertuples():
            key: Any = (row.condition, row.case, row.prompt)
            self._pictures.setdefault(key, []).append(row)
        scores = run.case_scores
        keys = zip(scores.condition, scores.case, strict=True)
        self._scores = dict(zip(keys, scores[PARTS].to_numpy(), strict=True))
        self.has_files = any(map(self._exists, pictures.itertuples()))
        self.lost_files = bool(self.keep and pictures.picture.any() and not self.has_files)
        self.marks_low = bool(pictures.low.any())
        self.many_edits = bool(_held_series(run))

    def cases(self) -> Iterator[CaseView]:
        """All cases, those first in which some editor did worst."""
        cases = {case.name: case for case in self.run.cases}
        scores = case_means(self.run)
        order = scores.min(axis="columns").fillna(2.0).sort_values(kind="stable").index
        for number, name in enumerate(order):
            yield self._case(cases[name], scores.loc[name].dropna(), number < self.limit)

    def windows(self) -> Iterator[CaseView]:
        """All cases of a run that compares windows of layers."""
        scores = clip_scores(self.run)
        for number, case in enumerate(self.run.cases):
            yield self._windows(case, scores[scores.case == case.name], number < self.limit)

    def _case(self, case: CaseRow, scores: pd.Series, shown: bool) -> CaseView:
        columns = self._columns(case)
        rows = [(p, [self._cell(c, case, p, shown) for c in columns]) for p in case.probes]
        if scores.empty:
            headline = "not scored yet" if self.run.editors.missing.any() else "not edited"
            return CaseView(case.name, case.kind, headline, columns=columns, rows=rows)
        worst = str(scores.idxmin())
        probe = min(case.probes, key=lambda probe: self._quality(worst, case, probe))
        return CaseView(
            case.name,
            case.kind,
            f"{100 * scores.min():.0f}\u202f%",
            self.run.labels[worst],
            probe["prompt"],
            self._pair(worst, case, probe) if shown else (),
            {str(name): round(100 * score) for name, score in scores.items()},
            columns,
            rows,
        )

    def _columns(self, case: CaseRow) -> list[CaseColumn]:
        """Unedited, edited, then by the oracle; only conditions with pictures of the case."""
        order = {"baseline": 0, "oracle": 2, "rewrite": 2}
        columns = []
        for name, own in self.run.conditions.iterrows():
            if any((name, case.name, probe["place"]) in self._pictures for probe in case.probes):
                scores = self._scores.get((str(name), case.name), ())
                percent = " · ".join(f"{100 * x:.0f}" for x in scores if pd.notna(x))
                column = CaseColumn(str(name), own.label, bool(own.is_edit), percent)
                columns.append((order.get(own.method, 1), column))
        return [column for _, column in sorted(columns, key=lambda pair: pair[0])]

    def _cell(
        self, column: CaseColumn, case: CaseRow, probe: Mapping[str, Any], shown: bool
    ) -> CaseCell:
        rows = self._pictures.get((column.name, case.name, probe["place"]))
        if not rows:
            return CaseCell()
        low = sum(row.low for row in rows)
        count = f"{sum(row.correct for row in rows)} of {len(rows)}"
        count += f", {low} low match" if low else ""
        title = f"mean margin of the judge: {fmean(row.margin for row in rows):+.3f}"
        return CaseCell(self._kept(rows, column.is_edit) if shown else (), count, title)

    def _kept(self, rows: Sequence[Any], marked: bool) -> list[Picture]:
        """The pictures that were kept, those with a missing file as such."""
        kept = [row for row in rows if (row.picture and row.seed < self.keep) or self._exists(row)]
        return [_picture(self.run, row, marked) for row in kept] if self.has_files else []

    def _pair(self, editor: str, case: CaseRow, probe: Mapping[str, Any]) -> list[Picture]:
        """The picture with the lowest margin, and the unedited model's of the same seed."""
        before, after = (
            [r for r in self._pictures.get((n, case.name, probe["place"]), []) if self._exists(r)]
            for n in (self.run.first("baseline"), editor)
        )
        if not after:
            return []
        lowest = min(after, key=lambda row: row.margin)
        same = [_picture(self.run, row, False) for row in before if row.seed == lowest.seed]
        return [*same, _picture(self.run, lowest, True)]

    def _exists(self, row: Any) -> bool:
        return bool(row.picture) and self.run.picture_file(row.picture).is_file()

    def _quality(self, editor: str, case: CaseRow, probe: Mapping[str, Any]) -> float:
        """Share of correct pictures, then the lowest margin; 2 where there is no picture."""
        rows = self._pictures.get((editor, case.name, probe["place"]), [])
        if not rows:
            return 2.0
        return fmean(row.correct for row in rows) + 1e-3 * min(row.margin for row in rows)

    def _windows(self, case: CaseRow, scores: pd.DataFrame, shown: bool) -> CaseView:
        best = best_window(self.run, case.kind, scores)
        means = scores.groupby("condition").clip.mean()
        windows, pair = [], []
        for name, label in self.run.labels.items():
            rows = self._pictures.get((name, case.name, "source"), [])
            pictures = self._kept(rows, marked=False) if shown else []
            is_best = best is not None and best.moved and best.name == name
            if is_best or self.run.conditions.method[name] == "baseline":
                pair += pictures[:1]
            score = f"{means[name]:.1f}" if name in means else "–"
            windows.append(Window(label, score, is_best, pictures))
        headline, by = "not generated yet", ""
        if best is not None:
            headline, by = "no window", "improves on the unedited model"
            if best.moved:
                headline, by = self.run.labels[best.name], f"best: {best.score:.1f}"
        return CaseView(case.name, case.kind, headline, by, pair=pair, windows=windows)


@dataclass(frozen=True)
class BestWindow:
    """The window of layers with the best CLIP score, and the ``unedited`` model's score.

    ``moved`` says whether the window is better than the unedited model.
    """

    name: str
    score: float
    unedited: float | None
    moved: bool


def best_window(run: RunData, kind: str, scores: pd.DataFrame) -> BestWindow | None:
    """The best window on ``scores``, rows of :func:`clip_scores` of one ``kind``; None without."""
    means = scores.groupby("condition").clip.mean()
    windows = [name for name in run.editors.index if name in means]
    if not windows:
        return None
    sign = -1 if by_old(kind) else 1
    best = max(windows, key=lambda name: sign * means[name])
    unedited = means.get(run.first("baseline"))
    return BestWindow(
        best, means[best], unedited, unedited is None or sign * (means[best] - unedited) > 0
    )


def clip_scores(run: RunData) -> pd.DataFrame:
    """CLIP score ``clip`` of every picture of an edited prompt, in a run of windows.

    With the target prompt for facts, where higher is better; with the original prompt for styles
    and objects, where lower is.
    """
    frame = run.pictures[run.pictures.prompt == "source"]
    by_original = frame.kind.map({kind: by_old(kind) for kind in frame.kind.dropna().unique()})
    similarity = frame.old.where(by_original.astype(bool), frame.new)
    return frame.assign(clip=(100 * similarity).clip(lower=0))


def case_means(run: RunData) -> pd.DataFrame:
    """Mean of efficacy, generality and specificity: a row per case, a column per editor."""
    scores = run.case_scores
    # Rounded, so that the order of equal scores does not depend on the last bit of a sum.
    means = scores.assign(mean=scores[PARTS].astype(float).mean(axis="columns").round(12))
    table = means.pivot(index="case", columns="condition", values="mean")
    return table.reindex(index=[case.name for case in run.cases], columns=run.editors.index)


def low_match(run: RunData) -> pd.Series:
    """For each picture whether it counts as correct though it matches neither caption.

    Pictures of models that hold many edits are left out: there another edit may say what a prompt
    shows, so the reference pictures do not apply.
    """
    pictures = run.pictures
    limits = match_thresholds(run).reindex(pd.MultiIndex.from_frame(pictures[["case", "prompt"]]))
    below = (pictures.new.to_numpy() < limits.new.to_numpy()) & (
        pictures.old.to_numpy() < limits.old.to_numpy()
    )
    editors = run.editors.index[~run.editors.series.isin(_held_series(run))]
    return pictures.correct & below & pictures.condition.isin(editors)


def match_thresholds(run: RunData) -> pd.DataFrame:
    """Similarities ``new`` and ``old``, by case and prompt, below which a picture matches neither.

    The threshold of a caption is halfway between the lowest similarity of the reference pictures
    that show it and the highest of those that do not: the unedited model's show the old, the
    oracle's the new. Nobody shows the new for a prompt that should stay as it is, so both
    thresholds are those of the old. NaN where references are missing or overlap.
    """
    keys = ["case", "prompt"]
    parts = run.pictures.groupby(keys).part.first()
    unedited, oracle = (
        run.pictures[run.pictures.condition == run.first(method)]
        .groupby(keys)[["new", "old"]]
        .agg(["min", "max"])
        .reindex(parts.index)
        for method in ("baseline", "oracle")
    )
    new = _between(oracle["new", "min"], unedited["new", "max"])
    old = _between(unedited["old", "min"], oracle["old", "max"])
    unchanged = _between(unedited["old", "min"], unedited["new", "max"])
    stays, known = parts == "specificity", new.notna() & old.notna()
    return pd.DataFrame(
        {"new": unchanged.where(stays, new.where(known)),
         "old": unchanged.where(stays, old.where(known))}
    )  # fmt: skip


def _held_series(run: RunData) -> list[str]:
    """The curves whose models hold many edits at once."""
    return [
        sweep.get("series") or sweep["method"]
        for sweep in run.configuration.get("sweeps", ())
        if sweep["over"] == EDITS and not sweep["alone"]
    ]


@lru_cache(maxsize=4096)
def thumbnail(path: Path) -> str:
    """The picture in a file, at most ``SIDE`` pixels wide, as a WebP data URI.

    Toybox's small pictures are doubled: WebP keeps colour at half resolution, and their colours
    would run over the edges.

    Raises:
        OSError: The file is missing or no picture.
    """
    with Image.open(path) as image:
        small = image.convert("RGB")
    width, height = small.size
    if 2 * max(width, height) <= SIDE:
        small = small.resize((2 * width, 2 * height), Image.Resampling.LANCZOS)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return data_uri("image/webp", buffer.getvalue())


def data_uri(media_type: str, content: bytes) -> str:
    """A URI that contains ``content``."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _picture(run: RunData, row: Any, marked: bool) -> Picture:
    mark = "" if not marked else "wrong" if not row.correct else "low" if row.low else ""
    title = f"seed {row.seed}: new {row.new:.3f}, old {row.old:.3f}"
    path = run.picture_file(row.picture)
    try:
        return Picture(thumbnail(path), title, mark)
    except FileNotFoundError:
        return Picture("", f"{title}; {path.name} is missing", mark, "missing")
    except OSError:  # Pillow's error for a file that is no picture
        return Picture("", f"{title}; {path.name} cannot be read", mark, "unreadable")


def _between(lowest: pd.Series, highest: pd.Series) -> pd.Series:
    return ((lowest + highest) / 2).where(lowest > highest)
