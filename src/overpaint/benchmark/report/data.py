"""Everything a run has measured, read once from its store into pandas data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from overpaint.benchmark.config import UNEDITED
from overpaint.benchmark.report.formatting import SCORES, condition_label, known_costs, method_label
from overpaint.benchmark.rows import PICTURES, STORE, CaseRow, ConditionRow, F
from overpaint.benchmark.score import CaseScore, summaries
from overpaint.benchmark.score import per_case as scores_per_case
from overpaint.benchmark.store import Store
from overpaint.errors import DataError

PICTURE = ["condition", "case", "prompt", "seed"]
"""Columns that identify a picture."""


class Score(NamedTuple):
    """A score in [0, 1] of one condition on one kind of cases.

    ``sd`` is the standard deviation over seeds, ``low`` and ``high`` the 95 % bootstrap interval
    over cases, ``cases`` how many cases it is based on.
    """

    condition: str
    kind: str
    measure: str
    value: float
    sd: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True, eq=False)
class RunData:
    """A run as data frames.

    Attributes:
        folder: The run's folder.
        configuration: What the run was started with.
        notes: Command line, library versions and the like.
        cases: The edits, each with its prompts (``probes``).
        conditions: Indexed by name: ``label``, ``method``, ``settings``, ``is_edit``, ``series``
            and ``x`` for points of a curve, ``line`` (the series, or the name) and its ``color``,
            ``missing`` (pictures not generated yet), and the costs of an edit.
        pictures: One row per picture: ``condition, case, prompt, seed``, the ``kind`` of case,
            the ``part`` that the prompt measures, the judge's similarities ``new`` and ``old``,
            the ``margin`` between them, whether it is ``correct``, ``seconds``, ``picture`` (hash).
        measures: Numbers that are not shares of correct pictures, in long format: ``condition,
            case, measure, value, sd``; ``case`` is empty for those of a whole condition.
        scores: :class:`Score` in long format; ``kind`` is "all" for all cases.
        case_scores: One row per condition and case: ``efficacy, generality, specificity``.
    """

    folder: Path
    configuration: Mapping[str, Any]
    notes: Mapping[str, Any]
    cases: Sequence[CaseRow]
    conditions: pd.DataFrame
    pictures: pd.DataFrame
    measures: pd.DataFrame
    scores: pd.DataFrame
    case_scores: pd.DataFrame

    @property
    def title(self) -> str:
        """The run's title."""
        return str(self.configuration.get("title") or self.configuration.get("preset") or "A run")

    @property
    def seeds(self) -> int:
        """Seeds per prompt, or 0 if the configuration does not say."""
        return _count(self.configuration.get("seeds", 0))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Display name of every condition."""
        return dict(zip(self.conditions.index, self.conditions.label, strict=True))

    @cached_property
    def editors(self) -> pd.DataFrame:
        """The conditions that edit the model."""
        return self.conditions[self.conditions.is_edit]

    @property
    def kinds(self) -> list[str]:
        """ "all", followed by the kinds of cases if there are several."""
        kinds = list(dict.fromkeys(case.kind for case in self.cases))
        return ["all", *kinds] if len(kinds) > 1 else ["all"]

    @property
    def unmeasured(self) -> list[str]:
        """The conditions without any picture or measure yet."""
        measured = {*self.pictures.condition, *self.measures.condition}
        return [name for name in self.conditions.index if name not in measured]

    @property
    def overall(self) -> pd.DataFrame:
        """The measures of whole conditions."""
        return self.measures[self.measures.case == ""]

    @property
    def professions(self) -> list[str]:
        """The professions of a gender run; those with the fewest women before an edit first."""
        shares = self.measures[self.measures.measure == F]
        first = shares[shares.condition == self.conditions.index[0]].sort_values("value")
        return list(dict.fromkeys([*first.case, *shares.case]))

    def first(self, method: str) -> str:
        """Name of the first condition of ``method``, or ""."""
        names = self.conditions.index[self.conditions.method == method]
        return names[0] if len(names) else ""

    def score(self, condition: str, measure: str, kind: str = "all") -> Score | None:
        """One score, or None if it has not been measured."""
        return self._score.get((condition, kind, measure))

    def case_counts(self, kind: str = "all") -> Mapping[str, int]:
        """On how many cases of ``kind`` each condition was scored."""
        scores = self.scores[self.scores.kind == kind]
        return dict(zip(scores.condition, scores.cases, strict=True))

    def ranked(self, kind: str = "all") -> list[str]:
        """The editors that may be compared: those scored on the most cases of ``kind``."""
        counts = self.case_counts(kind)
        scored = [name for name in self.editors.index if name in counts]
        most = max((counts[name] for name in scored), default=0)
        return [name for name in scored if counts[name] == most]

    def picture_file(self, picture: str) -> Path:
        """Where a picture is, if it was kept."""
        return self.folder / PICTURES / f"{picture}.png"

    @cached_property
    def _score(self) -> Mapping[tuple[str, str, str], Score]:
        scores = (Score(*row) for row in self.scores.itertuples(index=False))
        return {(score.condition, score.kind, score.measure): score for score in scores}


def read_run(folder: Path) -> RunData:
    """Read the run in ``folder``.

    Raises:
        DataError: There is no run in the folder, or it has no results yet.
    """
    path = folder / STORE
    if not path.is_file():
        raise DataError(
            f"expected the folder of a run, got {str(folder)!r}: it has no {STORE}; start one with "
            "'overpaint bench'"
        )
    with Store.open(path) as store:
        results, measures = list(store.results()), store.measures()
        if not results and not measures:
            raise DataError(f"{str(folder)!r} is a run without results yet; wait for the first")
        cases, configuration = store.cases(), store.configuration
        columns = [*PICTURE, "new", "old", "seconds", "picture"]
        pictures = pd.DataFrame(((*key, *rest) for key, *rest in results), columns=columns)
        return RunData(
            folder,
            configuration,
            store.notes(),
            cases,
            _conditions(store.conditions(), cases, pictures, configuration.get("seeds", 0)),
            _judged(pictures, cases),
            pd.DataFrame(measures, columns=["condition", "case", "measure", "value", "sd"]),
            _long(summaries(store)),
            pd.DataFrame(scores_per_case(store), columns=CaseScore._fields),
        )


def _conditions(
    rows: Sequence[ConditionRow], cases: Sequence[CaseRow], pictures: pd.DataFrame, seeds: object
) -> pd.DataFrame:
    planned = sum(_count(p.get("seeds", seeds)) for case in cases for p in case.probes)
    done = pictures.condition.value_counts()
    records = []
    for row in rows:
        line = row.series or row.name
        record = {"name": row.name, "label": condition_label(row), "line": line}
        record |= {"line_label": method_label(line, row.method), "method": row.method}
        record |= {"settings": row.settings, "series": row.series, "x": row.x}
        record["is_edit"] = row.method not in UNEDITED
        record["missing"] = max(0, row.about.get("pictures", planned) - done.get(row.name, 0))
        records.append(record | known_costs(row))
    frame = pd.DataFrame(records).set_index("name").astype({"x": float})
    edits = frame.is_edit
    frame["color"] = -1
    frame.loc[edits, "color"] = pd.factorize(frame.loc[edits, "line"])[0]
    return frame


def _judged(pictures: pd.DataFrame, cases: Sequence[CaseRow]) -> pd.DataFrame:
    """Add what each prompt measures, and whether the picture shows what it should."""
    prompts = [(c.name, p["place"], c.kind, p["part"]) for c in cases for p in c.probes]
    known = pd.DataFrame(prompts, columns=["case", "prompt", "kind", "part"])
    frame = pictures.merge(known, how="left", on=["case", "prompt"])
    margin = frame.new - frame.old
    frame["margin"] = margin.where(frame.part != "specificity", -margin)
    frame["correct"] = frame.margin > 0
    return frame


def _long(found: Mapping[tuple[str, str], Any]) -> pd.DataFrame:
    rows = [
        (condition, kind, column.name, *asdict(score).values(), summary.cases)
        for (condition, kind), summary in found.items()
        for column in SCORES
        if (score := getattr(summary, column.name)) is not None
    ]
    return pd.DataFrame(rows, columns=Score._fields)


def _count(seeds: object) -> int:
    """How many seeds a configuration asks for: a number, or a list of them."""
    if isinstance(seeds, Sequence):
        return len(seeds)
    return int(seeds) if isinstance(seeds, int) else 0
