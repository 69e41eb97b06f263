"""What a dry run says is what a run does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from overpaint.benchmark.config import parse
from overpaint.benchmark.estimate import pace
from overpaint.benchmark.rows import STORE
from overpaint.benchmark.run import estimate, run
from overpaint.benchmark.store import Store
from overpaint.benchmark.studio import studio
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Sampling

from .conftest import SMALL

CONFIG = parse(
    {
        "data": ["toybox-attributes"],
        "methods": ["baseline", "oracle", "time"],
        "seeds": 2,
        **SMALL,
    }
)


def test_it_counts_what_is_painted_and_what_is_left(sd1: Model, judge: Clip, tmp_path: Path):
    before, seconds = estimate(CONFIG, tmp_path / "run", model=sd1, judge=judge)
    done = run(CONFIG, tmp_path / "run", model=sd1, judge=judge)
    assert before.pictures == done.pictures
    assert (before.rows, before.edits, before.at_most) == (3 * 11 * 2, 1, False)
    assert seconds > 0
    after, _ = estimate(CONFIG, tmp_path / "run", model=sd1, judge=judge)
    assert (after.rows, after.pictures, after.edits) == (0, 0, 0)
    half = tmp_path / "half"
    half.mkdir()
    with done.store() as store, Store(half / STORE, {}) as other:
        other.add([r for r in store.results() if r.key.condition != "time"])
    left, _ = estimate(CONFIG, half, model=sd1, judge=judge)
    assert (left.rows, left.pictures, left.edits) == (22, 22, 1)


def test_windows_and_professions_are_counted_too(sd1: Model, judge: Clip, tmp_path: Path):
    pairs = replace(CONFIG, data=("toybox-pairs",), window=2, methods=())
    found, _ = estimate(pairs, model=sd1, judge=judge)
    assert found.pictures == run(pairs, tmp_path / "run", model=sd1, judge=judge).pictures
    people = replace(CONFIG, data=("toybox-gender",), methods=("baseline", "time"))
    found, _ = estimate(people, model=sd1, judge=judge)
    # A prompt to see that there are people and five to test with; fourteen values of λ.
    assert (found.pictures, found.at_most) == (2 * (6 + 6 + 14), True)


def test_a_picture_of_more_steps_takes_longer(make_sd1: Callable[..., Model], judge: Clip):
    model = make_sd1()
    few, many = (
        pace(studio(model, judge, Sampling(steps=steps, batch_size=4, height=32, width=32)))
        for steps in (1, 200)
    )
    assert few < many
