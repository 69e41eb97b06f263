"""TIME's Tables 3 and 7: how many women are painted, before and after debiasing.

Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models",
section 6 and appendix H.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from overpaint import metrics
from overpaint.benchmark.datasets.gender import VALIDATION
from overpaint.benchmark.gender import Portraits, Seen
from overpaint.benchmark.rows import DELTA, OVERALL, PEOPLE, F, Measure
from overpaint.errors import DataError, EditError
from overpaint.methods.common import filled
from overpaint.methods.configure import configure
from overpaint.methods.debias import DebiasConfig, debias, debias_bulk
from overpaint.methods.uce_debias import UCEDebiasConfig, uce_debias
from overpaint.models.weights import with_deltas
from overpaint.types import GenderCase, Patch, Progress

Cases = Sequence[GenderCase]

ROWS = ("baseline", "oracle", "time", "time-multi", "uce")
"""The unedited model; with a gender in every prompt; a λ for each profession; one λ for all; UCE"""


@dataclass(frozen=True)
class GenderConfig:
    """How the table is made.

    ``repetition``  seeds in one repetition of Δ_p: 8 in the paper, three times.
    ``time``        the search for λ, single and bulk.
    ``uce``         the targets that UCE moves; its attributes are ``attributes``.
    """

    repetition: int = 8
    time: DebiasConfig = field(default_factory=lambda: DebiasConfig(validation=VALIDATION))
    uce: UCEDebiasConfig = field(default_factory=UCEDebiasConfig)
    attributes: tuple[str, str] = ("female", "male")


def gender_config(settings: Mapping[str, Mapping[str, object]]) -> GenderConfig:
    """From settings by method, e.g. ``{"time": {"steps": 6}}``; time-multi has those of time.

    DataError for a method that debiases nothing, EditError for a setting that it does not have.
    """
    for name in settings:
        if name not in ("time", "uce"):
            raise DataError(f"expected settings of time or uce for professions, got {name!r}")
    return GenderConfig(
        time=configure("time debiasing", DebiasConfig, settings.get("time", {})),
        uce=configure("uce debiasing", UCEDebiasConfig, settings.get("uce", {})),
    )


def gender_measures(
    portraits: Portraits,
    row: str,
    config: GenderConfig | None = None,
    *,
    known: Iterable[Measure] = (),
    progress: Progress | None = None,
) -> Iterator[list[Measure]]:
    """What one of :data:`ROWS` reaches: a batch of measures for each profession, then the mean.

    The case of a measure is the profession's source, e.g. "a nurse". Measures: ``F_p`` in [0, 1]
    over all test prompts and seeds, ``Delta_p`` averaged over repetitions (both with their
    deviation), ``F_p 1``, ``F_p 2``, ... of each repetition, ``people`` (share of pictures in
    which the judge sees somebody), and for single edits ``lambda_p``, ``Delta_p on validation``
    and ``bracketed`` (1, or 0 where the search had nothing to search for). Case "" has ``Delta``,
    the mean of Δ_p over the professions with its deviation over repetitions, and for bulk edits
    ``lambda``. Professions whose measures are all in ``known`` are not painted again. DataError
    for a row that does not exist, EditError when the judge sees no person.
    """
    config = config or GenderConfig()
    if row not in ROWS:
        raise DataError(f"expected a row out of {', '.join(ROWS)}, got {row!r}")
    cases = portraits.cases
    made = [measure for measure in known if measure.condition == row]
    done = {measure.case for measure in made if measure.name == PEOPLE}
    todo = [case for case in cases if case.edit.source not in done]
    for number, (case, patch) in enumerate(_patched(portraits, todo, row, config)):
        with with_deltas(portraits.room.model, patch.deltas if patch else ()):
            seen = (portraits.oracle if row == "oracle" else portraits.look)(case.examples)
        batch = _measured(row, case.edit.source, seen, patch, config)
        if progress:
            progress(number + 1, len(todo), f"{row}: {case.edit.source}")
        made += batch
        yield batch
    yield _overall(row, [case.edit.source for case in cases], made)


def _patched(
    portraits: Portraits, todo: Cases, row: str, config: GenderConfig
) -> Iterator[tuple[GenderCase, Patch | None]]:
    """Each profession of ``todo`` with the patch that is to be on the model, made when needed."""
    if not todo:
        return
    model = portraits.room.model
    portraits.require_people([filled(config.time.validation, c.edit.source) for c in todo])
    edits = [case.edit for case in portraits.cases]
    patch: Patch | None = None
    if row == "time-multi":
        patch = debias_bulk(model, edits, portraits.share, config.time)
    elif row == "uce":
        concepts = [edit.source for edit in edits]
        patch = uce_debias(model, concepts, config.attributes, portraits.shares, config.uce)
    for case in todo:
        if row == "time":
            (patch,) = debias(model, [case.edit], portraits.share, config.time)
        yield case, patch


def _measured(
    row: str, case: str, seen: Seen, patch: Patch | None, config: GenderConfig
) -> list[Measure]:
    shares = metrics.gender_repetitions(seen.women, config.repetition)
    gaps = metrics.gender_gap(shares)
    found = [
        Measure(row, case, F, seen.women.mean().item(), _spread(shares)),
        Measure(row, case, DELTA, gaps.mean().item(), _spread(gaps)),
        *(Measure(row, case, f"{F} {n}", share) for n, share in enumerate(shares.tolist(), 1)),
    ]
    if patch and row == "time":
        found += [
            Measure(row, case, name, _number(patch, key))
            for name, key in (
                ("lambda_p", "lam"),
                ("Delta_p on validation", "gap"),
                ("bracketed", "bracketed"),
            )
        ]
    if patch and row == "time-multi":
        found.append(Measure(row, "", "lambda", _number(patch, "lam")))
    # Last, as it tells that the profession is done.
    return [*found, Measure(row, case, PEOPLE, seen.people.mean().item())]


def _overall(row: str, cases: Sequence[str], made: Sequence[Measure]) -> list[Measure]:
    """Δ, the mean of Δ_p over all professions, from the repetitions of each."""
    shares = {(m.case, m.name): m.value for m in made if m.name.startswith(f"{F} ")}
    names = sorted({name for _, name in shares}, key=lambda name: int(name.split()[-1]))
    rows = [[shares[case, name] for name in names] for case in cases]
    gaps = metrics.gender_gap(torch.tensor(rows, dtype=torch.float64)).mean(dim=0)
    return [Measure(row, "", OVERALL, gaps.mean().item(), _spread(gaps))]


def _spread(values: Tensor) -> float:
    return metrics.over_seeds(values)[1].item()


def _number(patch: Patch, key: str) -> float:
    value = patch.info[key]
    if not isinstance(value, bool | int | float):
        raise EditError(f"expected a number as {key!r} of {patch.method}, got {value!r}")
    return float(value)
