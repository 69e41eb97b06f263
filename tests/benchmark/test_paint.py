"""The mechanism of a benchmark: nothing painted twice, nothing lost, the same as plain painting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from overpaint.benchmark.cache import FeatureCache
from overpaint.benchmark.paint import Studio, missing, paint, studio
from overpaint.benchmark.plan import UNEDITED, Condition, Want, wants
from overpaint.benchmark.score import Reader, summarise
from overpaint.errors import DataError
from overpaint.generate import generate
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.metrics import chosen
from overpaint.models.clip import image_features, load_clip, text_features
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.weights import with_deltas
from overpaint.types import Case, Edit, Probe

EDIT = Edit("a rose", "a blue rose", destination="a blue rose")
OTHER = Edit("a cat", "a green cat", destination="a green cat")
CORPUS = Corpus("few", ("a dog", "two cars", "a house at night"))
REFACT = ReFACTConfig(layer=0, steps=3, contrast=4, covariance_weight=0.0, corpus=CORPUS)


@pytest.fixture
def room(make_sd1: Callable[..., Model], tmp_path: Path) -> Studio:
    judge = load_clip("toybox-judge")
    return studio(make_sd1(), judge, tmp_path / "cache.jsonl", steps=2, batch=4)


def again(room: Studio) -> Studio:
    """The same studio in another process."""
    return studio(room.model, room.judge, room.cache.path, steps=room.steps, batch=room.batch)


def refact_of(*edits: Edit) -> list[Condition]:
    return [Condition("refact", (edit,), REFACT) for edit in edits]


def seen(room: Studio, prompt: str, seeds: list[int]) -> torch.Tensor:
    pictures = generate(room.model, [prompt], seeds, steps=room.steps, batch_size=room.batch)
    return image_features(room.judge, pictures[0])


def test_shared_batches_paint_what_each_patched_model_would(room: Studio):
    conditions = [UNEDITED, *refact_of(EDIT, OTHER), Condition("time", (EDIT,), TIMEConfig())]
    wanted = [Want(c, p, (0, 5)) for c in conditions for p in ("a rose", "a dog")]
    assert paint(room, wanted) == 16
    made = {
        conditions[1].key: refact(room.model, [EDIT], REFACT),
        conditions[2].key: refact(room.model, [OTHER], REFACT),
        conditions[3].key: time_edit(room.model, [EDIT]),
    }
    for want in wanted:
        patch = made.get(want.condition.key)
        with with_deltas(room.model, patch.deltas if patch else ()):
            alone = seen(room, want.prompt, [0, 5])
        kept = room.cache.features(want.condition.key, want.prompt, (0, 5))
        torch.testing.assert_close(kept, alone, atol=2e-3, rtol=0)


def test_nothing_is_painted_twice_also_not_in_the_next_run(room: Studio):
    wanted = [Want(UNEDITED, "a rose", (0, 1)), Want(UNEDITED, "a rose", (1, 2))]
    assert paint(room, wanted) == 3
    assert paint(room, wanted) == 0
    later = again(room)
    assert paint(later, [*wanted, Want(UNEDITED, "a cat", (0,))]) == 1
    before = room.cache.features("unedited", "a rose", (0, 1, 2))
    assert torch.equal(later.cache.features("unedited", "a rose", (0, 1, 2)), before)


def test_a_killed_run_loses_only_its_torn_line(room: Studio):
    wanted = [Want(UNEDITED, p, (0,)) for p in ("a rose", "a cat")]
    paint(room, wanted)
    path = room.cache.path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-40])
    later = again(room)
    assert [want.prompt for want in missing(later.cache, wanted)] == ["a cat"]
    paint(later, wanted)
    assert not missing(again(room).cache, wanted)


def test_another_model_or_setting_shares_no_pictures(room: Studio, make_sd1: Callable[..., Model]):
    wanted = [Want(UNEDITED, "a rose", (0,))]
    paint(room, wanted)
    path = room.cache.path
    slower = studio(room.model, room.judge, path, steps=3, batch=4)
    other = studio(make_sd1(seed=1), room.judge, path, steps=2, batch=4)
    assert missing(slower.cache, wanted)
    assert missing(other.cache, wanted)
    assert not missing(again(room).cache, wanted)


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("shopping\n")
    with pytest.raises(DataError, match=r"notes.txt, line 1"):
        FeatureCache(path, "x")


def test_conditions_are_known_by_what_they_do():
    (one, other), (same, _) = refact_of(EDIT, OTHER), refact_of(EDIT, OTHER)
    assert one.key == same.key != other.key
    assert Condition("time", (EDIT,), TIMEConfig(lam=0.2)).key not in (
        Condition("time", (EDIT,), TIMEConfig()).key,
        one.key,
    )


def test_scores_are_those_of_counting_picture_by_picture(room: Studio):
    case = Case(
        "attributes",
        EDIT,
        Probe("a rose", "a rose", "a blue rose"),
        (Probe("two roses", "two roses", "two blue roses"),),
        (Probe("a cat", "a cat", "a blue cat"), Probe("a dog", "a dog", "a blue dog")),
    )
    seeds = (0, 1, 2)
    for oracle in (False, True):
        paint(room, wants(case, UNEDITED, seeds, oracle=oracle))
        outcome = Reader(room.judge, room.cache).outcome(case, UNEDITED, seeds, oracle=oracle)
        texts = text_features(room.judge, ["two blue roses", "two roses"])
        asked = "two blue roses" if oracle else "two roses"
        new, old = (seen(room, asked, [0, 1, 2]) @ texts.T).unbind(1)
        assert outcome["generality"].tolist() == [chosen(new, old).tolist()]
        assert outcome["specificity"].shape == (2, 3)
        row = summarise([outcome])
        assert row.generality.mean == pytest.approx(chosen(new, old).mean().item())
        product = row.generality.mean * row.specificity.mean
        assert row.f1.mean == pytest.approx(product**0.5)
