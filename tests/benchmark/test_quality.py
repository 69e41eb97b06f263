"""Quality of the pictures of captions: what a run measures of the files that it kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from overpaint.benchmark import entries, quality
from overpaint.benchmark.config import parse as configured
from overpaint.benchmark.quality import reference_pictures
from overpaint.benchmark.run import PICTURES, check, plan_of
from overpaint.errors import ConfigError, DataError, ModelError, PromptError
from overpaint.metrics.quality import ImageTower, clip_score, frechet_distances
from overpaint.models.clip import Clip
from overpaint.models.judges import load_clip
from overpaint.pictures import read_picture
from overpaint.toybox.grammar import parse
from overpaint.toybox.render import render

from .conftest import SMALL, Begin

CONFIG = configured(
    {
        "data": ["toybox-attributes", "toybox-roles"],
        "captions": "toybox-captions",
        "fid": "judge",
        "scorer": "toybox",
        "methods": ["baseline", "time"],
        "seeds": 1,
        "keep": 0,
        **SMALL,
        "limit": 3,
    }
)


def test_a_run_measures_the_caption_pictures_it_keeps(
    begin: Begin, judge: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = begin(CONFIG)
    texts = {key: ask.prompt for ask in plan_of(CONFIG).asks for key in ask.keys()}
    with done.store() as store:
        found = {(m.condition, m.name): m.value for m in store.measures()}
        rows = [r for r in store.results("time") if r.key.prompt == "caption, roles"]
    assert {c for c, name in found if name.startswith("FID")} == {"baseline", "time"}
    pictures = [read_picture(done.folder / PICTURES / f"{r.picture}.png") * 255 for r in rows]
    painted = torch.stack(pictures).round().to(torch.uint8)
    captions = [texts[row.key] for row in rows]
    assert len(captions) == len({*captions}) == 3
    real = list(reference_pictures("", captions))
    (distance,) = frechet_distances(real, [[painted]], ImageTower(judge))
    assert found["time", "FID (toybox-judge), roles"] == pytest.approx(distance, rel=1e-6)
    metric = clip_score(load_clip("toybox"))
    metric.update(painted, captions)
    score = found["time", "CLIP score (toybox), roles"]
    assert score == pytest.approx(metric.compute().item(), abs=1e-4)
    kept = {path.stem for path in (done.folder / PICTURES).glob("*.png")}
    with done.store() as store:
        shown = {r.picture for r in store.results() if r.key.prompt.startswith("caption")}
    assert kept == shown

    def never(*_: object) -> None:
        raise AssertionError("measured twice")

    monkeypatch.setattr(quality, "frechet_distances", never)
    monkeypatch.setattr(quality, "clip_score", never)
    assert begin(CONFIG).pictures == 0


def test_a_picture_that_is_gone_is_named(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("overpaint.benchmark.tasks.add_quality", lambda *_: None)
        done = begin(CONFIG)
    next((done.folder / PICTURES).glob("*.png")).unlink()
    with pytest.raises(DataError, match=r"\.png is gone"):
        begin(CONFIG)


def test_the_renderer_draws_the_reference(judge: Clip) -> None:
    captions = ["a rose", "two cats in the park"]
    batches = list(reference_pictures("", captions))
    assert [batch.shape for batch in batches] == [(2, 3, 64, 64)] * 4
    expected = torch.tensor(render(parse(captions[1]), 3)).permute(2, 0, 1)
    assert torch.equal(batches[1][1], expected)
    with pytest.raises(PromptError, match="cannot say"):
        list(reference_pictures("", ["a zebra"]))


def test_real_pictures_are_squares_of_one_size(tmp_path: Path) -> None:
    left, right = (Image.new("RGB", (30, 60), c) for c in ("red", "blue"))
    wide = Image.new("RGB", (120, 60))
    wide.paste(left, (0, 0))
    wide.paste(right, (90, 0))
    wide.paste(Image.new("RGB", (60, 60), "lime"), (30, 0))
    wide.save(tmp_path / "a.png")
    right.save(tmp_path / "b.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    (batch,) = reference_pictures(str(tmp_path), [])
    assert batch.shape == (2, 3, 512, 512)
    assert batch.dtype == torch.uint8
    assert batch[0].flatten(1).unique(dim=1).tolist() == [[0], [255], [0]]
    (tmp_path / "c.png").write_text("no picture either")
    with pytest.raises(DataError, match=r"got .*c\.png.*: no picture, or a damaged one"):
        list(reference_pictures(str(tmp_path), []))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none"):
        list(reference_pictures(str(tmp_path / "empty"), []))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fid": "vgg"}, "judge or inception as fid, got 'vgg'"),
        ({"captions": ""}, "captions for fid"),
        ({"captions": "coco"}, "reference folder"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configured(change, CONFIG)


def test_one_case_still_has_two_captions_to_compare() -> None:
    few = replace(CONFIG, limit=1)
    assert len(entries.captions(few)) == 2
    assert len(entries.captions(replace(few, fid=""))) == 1
    assert len(entries.captions(CONFIG)) == 3


def test_what_cannot_be_measured_is_found_before_anything_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(replace(CONFIG, reference=str(Path(__file__).parents[2] / "docs" / "images")))
    with pytest.raises(DataError, match="found none"):
        check(replace(CONFIG, reference=str(tmp_path)))
    monkeypatch.setitem(sys.modules, "torchmetrics.metric", None)
    with pytest.raises(ModelError, match=r"overpaint\[quality\]"):
        check(CONFIG)
    check(replace(CONFIG, fid="", scorer=""))
