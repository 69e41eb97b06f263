"""Scores from a store: counted again by hand, for whole, unfinished and uneven runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from overpaint.benchmark.score import per_case, summaries
from overpaint.benchmark.store import CaseRow, ConditionRow, Key, Result, Store

SEEDS = 3


def probe(place: str, part: str, **more: Any) -> dict[str, Any]:
    texts = {"prompt": place, "old": "old", "new": "new", "oracle": "new"}
    return {"place": place, "part": part, **texts, **more}


def case(name: str, kind: str, negatives: int = 2, **more: Any) -> CaseRow:
    return CaseRow(
        name,
        kind,
        name,
        "new",
        [
            probe("source", "efficacy"),
            *(probe(f"positive {n}", "generality", **more) for n in (1, 2)),
            *(probe(f"negative {n + 1}", "specificity") for n in range(negatives)),
        ],
    )


CASES = [case("a", "roles"), case("b", "roles"), case("c", "attributes")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run.sqlite", {"seeds": SEEDS}) as store:
        store.describe_conditions([ConditionRow("time", "time"), ConditionRow("refact", "refact")])
        yield store


def fill(store: Store, cases: list[CaseRow], condition: str = "time") -> list[Result]:
    """Random scores for every picture of ``cases``."""
    store.describe_cases(cases)
    chance = random.Random(condition)
    made = [
        Result(
            Key(condition, c.name, p["place"], seed), chance.random(), chance.random(), 0.1, "00"
        )
        for c in cases
        for p in c.probes
        for seed in p.get("seeds", range(SEEDS))
    ]
    store.add(made)
    return made


def hits(rows: list[Result], word: str, cases: str, seed: int | None = None) -> list[bool]:
    return [
        (r.old > r.new) if word == "negative" else (r.new > r.old)
        for r in rows
        if r.key.prompt.startswith(word) and r.key.case in cases and seed in (None, r.key.seed)
    ]


def test_scores_are_those_of_counting(store: Store):
    rows = fill(store, CASES)
    found = summaries(store)
    assert list(found) == [("time", kind) for kind in ("roles", "attributes", "all")]
    for kind, names in (("roles", "ab"), ("attributes", "c"), ("all", "abc")):
        row = found["time", kind]
        general, specific = mean(hits(rows, "positive", names)), mean(hits(rows, "negative", names))
        assert row.cases == len(names)
        assert row.efficacy is not None
        assert row.generality is not None
        assert row.f1 is not None
        assert row.harmonic is not None
        assert row.efficacy.mean == pytest.approx(mean(hits(rows, "source", names)))
        assert row.generality.mean == pytest.approx(general)
        assert row.f1.mean == pytest.approx((general * specific) ** 0.5)
        assert row.harmonic.mean == pytest.approx(2 * general * specific / (general + specific))
        seeds = [mean(hits(rows, "positive", names, seed)) for seed in range(SEEDS)]
        assert row.generality.spread == pytest.approx(stdev(seeds))
        assert row.generality.low <= row.generality.mean <= row.generality.high
    for score in per_case(store):
        assert score.efficacy == pytest.approx(mean(hits(rows, "source", score.case)))
        assert score.specificity == pytest.approx(mean(hits(rows, "negative", score.case)))


def test_conditions_and_cases_come_in_the_order_of_the_plan(store: Store):
    fill(store, CASES[::-1], "refact")
    fill(store, CASES[::-1], "time")
    scores = per_case(store)
    assert [(s.condition, s.case) for s in scores] == [
        (condition, name) for condition in ("time", "refact") for name in "cba"
    ]


def test_a_case_is_scored_once_all_its_pictures_are_there(store: Store):
    store.describe_cases(CASES)
    with Store(store.path.with_name("whole"), {"seeds": SEEDS}) as whole:
        rows = fill(whole, CASES)
    store.add(rows[:-1])
    assert [score.case for score in per_case(store)] == ["a", "b"]
    store.add(rows[-1:])
    assert [score.case for score in per_case(store)] == ["a", "b", "c"]


def test_cases_without_negatives_have_no_specificity(store: Store):
    fill(store, [*CASES, case("d", "concepts", negatives=0)])
    found = summaries(store)
    row = found["time", "concepts"]
    assert row.generality is not None
    assert (row.specificity, row.f1, row.harmonic) == (None, None, None)
    assert found["time", "all"].specificity is not None
    assert per_case(store)[-1].specificity is None


def test_prompts_may_have_seeds_of_their_own(store: Store):
    rows = fill(store, [*CASES, case("d", "concepts", negatives=0, seeds=[41])])
    general = summaries(store)["time", "all"].generality
    assert general is not None
    assert general.mean == pytest.approx(mean(hits(rows, "positive", "abcd")))
