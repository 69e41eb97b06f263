"""The mechanism of a benchmark: nothing painted twice, nothing lost, the same as plain painting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from overpaint.benchmark.paint import paint
from overpaint.benchmark.patches import Made, patches
from overpaint.benchmark.plan import UNEDITED, Ask, State, Step
from overpaint.benchmark.store import Result, Store, picture_hash
from overpaint.benchmark.studio import Gallery, Studio, studio
from overpaint.generate import generate
from overpaint.methods.mass import MassConfig
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.methods.time_edit import TIMEConfig, time_edit
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.weights import with_deltas
from overpaint.pictures import read_picture
from overpaint.types import Edit, Patch, Sampling

EDIT = Edit("a rose", "a blue rose", destination="a blue rose")
OTHER = Edit("a cat", "a green cat", destination="a green cat")
CORPUS = Corpus("few", ("a dog", "two cars", "a house at night"))
REFACT = ReFACTConfig(layer=0, steps=3, contrast=4, covariance_weight=0.0, corpus=CORPUS)
NEW, OLD = "a blue rose", "a rose"
HOW = Sampling(steps=2, batch_size=4)


def refact_of(*edits: Edit) -> State:
    return State("refact", (Step(edits, REFACT),))


ROSE, CAT = refact_of(EDIT), refact_of(OTHER)
TIME = State("time", (Step((EDIT,), TIMEConfig()),))


@pytest.fixture
def room(make_sd1: Callable[..., Model], judge: Clip) -> Studio:
    return studio(make_sd1(), judge, HOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run.sqlite", {"seeds": 2}) as store:
        yield store


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "pictures", keep=0)


def ask(state: State, prompt: str, *seeds: int, condition: str = "") -> Ask:
    return Ask(condition or state.key, prompt, "source", state, prompt, NEW, OLD, seeds)


def found(store: Store) -> dict[tuple[str, str, int], Result]:
    return {(r.key.condition, r.key.case, r.key.seed): r for r in store.results()}


def test_shared_batches_paint_what_each_patched_model_would(
    room: Studio, store: Store, gallery: Gallery
):
    states = [UNEDITED, ROSE, CAT, TIME]
    asks = [ask(state, p, 0, 5) for state in states for p in ("a rose", "a dog")]
    assert paint(room, store, asks, gallery) == 16
    made = {
        ROSE.key: refact(room.model, [EDIT], REFACT),
        CAT.key: refact(room.model, [OTHER], REFACT),
        TIME.key: time_edit(room.model, [EDIT]),
    }
    captions = text_features(room.judge, [NEW, OLD])
    for state, prompt, seeds in ((a.state, a.prompt, a.seeds) for a in asks):
        patch = made.get(state.key)
        with with_deltas(room.model, patch.deltas if patch else ()):
            alone = generate(room.model, [prompt], seeds, HOW, output_type="pt")[0]
        scores = image_features(room.judge, alone) @ captions.T
        for seed, expected in zip(seeds, scores.tolist(), strict=True):
            result = found(store)[state.key, prompt, seed]
            assert (result.new, result.old) == pytest.approx(expected, abs=2e-3)


def test_every_picture_is_painted_once_whoever_asks_for_it(
    room: Studio, store: Store, gallery: Gallery
):
    asks = [
        ask(UNEDITED, "a rose", 0, 1, condition="baseline"),
        ask(UNEDITED, "a rose", 1, 2, condition="oracle"),
    ]
    assert paint(room, store, asks, gallery) == 3
    assert len(store) == 4
    rows = found(store)
    assert rows["baseline", "a rose", 1].picture == rows["oracle", "a rose", 1].picture
    assert paint(room, store, asks, gallery) == 0


def test_going_on_paints_what_is_missing_bit_for_bit(room: Studio, tmp_path: Path, store: Store):
    """Whatever was there already: other batches, and patches computed anew."""
    asks = [ask(s, p, 0, 1, 2) for s in (UNEDITED, ROSE, TIME, CAT) for p in ("a rose", "a dog")]
    gallery = Gallery(tmp_path / "pictures", keep=0)
    paint(room, store, asks, gallery)
    rows = list(store.results())
    for part in (rows[::2], rows[:5], rows[7:]):
        with Store(tmp_path / f"{len(part)}.sqlite", {"seeds": 2}) as other:
            other.add(part)
            missing = {(r.condition, r.case, r.seed) for r in (row.key for row in rows)}
            missing -= set(found(other))
            assert paint(room, other, asks, gallery) == len(missing)
            assert other.digest() == store.digest()


def test_numbers_do_not_depend_on_the_batch(
    room: Studio, store: Store, gallery: Gallery, tmp_path: Path
):
    asks = [ask(state, p, 0, 1, 2) for state in (UNEDITED, ROSE) for p in ("a rose", "a dog")]
    paint(room, store, asks, gallery)
    other_room = studio(room.model, room.judge, Sampling(steps=2, batch_size=3))
    with Store(tmp_path / "other.sqlite", {"seeds": 2}) as other:
        paint(other_room, other, asks, gallery)
        for key, row in found(other).items():
            assert (row.new, row.old) == pytest.approx(found(store)[key][1:3], abs=2e-3)


def test_pictures_of_the_first_seeds_are_kept_under_their_hash(
    room: Studio, store: Store, tmp_path: Path
):
    gallery = Gallery(tmp_path / "pictures", keep=1)
    paint(room, store, [ask(UNEDITED, "a rose", 0, 1), ask(ROSE, "a rose", 0)], gallery)
    kept = {path.stem for path in gallery.folder.iterdir()}
    assert kept == {row.picture for row in store.results() if row.key.seed == 0}
    name = found(store)["unedited", "a rose", 0].picture
    pixels = (read_picture(gallery.folder / f"{name}.png") * 255).round().to(torch.uint8)
    assert picture_hash(pixels.numpy().tobytes(), tuple(pixels.shape)) == name
    assert torch.equal(pixels, generate(room.model, ["a rose"], [0], HOW, output_type="pt")[0, 0])


def test_states_are_known_by_what_they_do():
    assert ROSE.key == refact_of(EDIT).key != CAT.key
    keys = {s.key for s in (UNEDITED, ROSE, CAT, TIME, refact_of(EDIT, OTHER))}
    keys.add(State("time", (Step((EDIT,), TIMEConfig(lam=0.2)),)).key)
    assert len(keys) == 6


def made_of(room: Studio, states: list[State], wanted: set[str]) -> list[Made]:
    return list(patches(room.model, states, wanted))


def test_a_patch_does_not_depend_on_what_is_done_already(room: Studio):
    states = [ROSE, CAT]
    first, second = made_of(room, states, {ROSE.key, CAT.key})
    (alone,) = made_of(room, states, {CAT.key})
    assert same(second.patch, alone.patch)
    assert not same(first.patch, alone.patch)


def test_many_edits_are_held_at_once(room: Studio):
    both = refact_of(EDIT, OTHER)
    mixed = State("refact", (Step((EDIT,), REFACT), Step((OTHER,), REFACT)))
    config = MassConfig(layer=0, steps=3, contrast=4, covariance_weight=0.0, corpus=CORPUS)
    mass = State("mass", (Step((EDIT, OTHER), config),))
    one, two, solved = made_of(room, [both, mixed, mass], {both.key, mixed.key, mass.key})
    assert one.patch is not None
    assert two.patch is not None
    assert solved.patch is not None
    assert same(one.patch, refact(room.model, [EDIT, OTHER], REFACT))
    with with_deltas(room.model, refact(room.model, [EDIT], REFACT).deltas):
        onto = refact(room.model, [OTHER], REFACT)
    assert torch.equal(two.patch.deltas[1].a, onto.deltas[0].a)
    assert two.patch.edits == solved.patch.edits == (EDIT, OTHER)
    assert made_of(room, [both], set()) == []


def same(one: Patch | None, other: Patch | None) -> bool:
    assert one is not None
    assert other is not None
    pairs = zip(one.deltas, other.deltas, strict=True)
    return all(
        torch.equal(f, g) for x, y in pairs for f, g in zip(x.factors, y.factors, strict=True)
    )
