"""The cases: worst first, with thumbnails true to the pictures, and what is wrong marked."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overpaint.benchmark.report import read_run
from overpaint.benchmark.report.data import RunData
from overpaint.benchmark.report.gallery import SIDE, CaseGallery, match_thresholds, thumbnail
from overpaint.benchmark.store import CaseRow, ConditionRow, Key, Result, Store

from .conftest import CASES, CONDITIONS, SEEDS, Make, write_windows, written

TEXTS = {"prompt": "a rose", "old": "a rose", "new": "a tulip", "oracle": "a tulip"}
SOURCE = {"place": "source", "part": "efficacy", **TEXTS}
NEGATIVE = {"place": "negative 1", "part": "specificity", **TEXTS}
CASE = CaseRow("a rose", "roses", "a rose", "a tulip", [SOURCE, NEGATIVE])
ROWS = [ConditionRow(name, name) for name in ("baseline", "oracle", "time")]


def cases(text: str) -> list[str]:
    found = re.findall(r'<details class="case".*?</details>', text, flags=re.DOTALL)
    return [str(case) for case in found]


def classes(text: str) -> list[str]:
    _, _, main = text.partition("<main>")
    return re.findall(r'<span class="picture ?([^"]*)"', main)


def test_the_worst_case_comes_first(make: Make):
    folder = make()
    with Store.open(folder / "run.sqlite") as store:
        results = list(store.results())
    right: dict[tuple[str, str, str], list[bool]] = {}
    for (condition, name, prompt, _), new, old, *_ in results:
        if condition in ("time", "refact"):
            part = prompt.split()[0]
            right.setdefault((name, condition, part), []).append(
                (new < old) == (part == "negative")
            )
    lowest = {
        case.name: min(
            np.mean(
                [np.mean(right[case.name, editor, p]) for p in ("source", "positive", "negative")]
            )
            for editor in ("time", "refact")
        )
        for case in CASES
    }
    views = list(CaseGallery(read_run(folder), 0).cases())
    assert [lowest[view.name] for view in views] == pytest.approx(sorted(lowest.values()))
    assert [min(view.scores.values()) for view in views] == [
        round(100 * lowest[view.name]) for view in views
    ]


def test_pictures_are_inside_and_only_of_as_many_cases_as_asked(make: Make):
    folder = make()
    _, page = written(folder, pictures=2)
    images = [a for tag, a in page.seen if tag == "img"]
    each = len(CONDITIONS) * 7 + 2  # all prompts, and the pair in the summary
    assert len(images) == 2 * each
    assert all((a["src"] or "").startswith("data:image/webp;base64,") for a in images)
    _, page = written(folder, pictures=0)
    assert "img" not in [tag for tag, _ in page.seen]


def test_a_wrong_picture_is_marked(make: Make):
    folder = make()
    with Store.open(folder / "run.sqlite") as store:
        kept = [r for r in store.results() if r.picture and r.key.condition in ("time", "refact")]
    wrong = sum((r.new > r.old) == r.key.prompt.startswith("negative") for r in kept)
    marked = classes(written(folder, pictures=len(CASES))[0]).count("wrong")
    assert wrong < marked <= wrong + len(CASES)  # those in the summaries are shown twice


def test_a_missing_or_damaged_picture_is_shown_as_such(make: Make):
    folder = make()
    (folder / "pictures" / "time-source.png").unlink()
    (folder / "pictures" / "refact-source.png").write_bytes(b"torn")
    text, page = written(folder, pictures=1)
    first, *_ = cases(text)
    assert first.count(">missing<") == 1
    assert first.count(">unreadable<") == 1
    titles = [a["title"] or "" for _, a in page.seen if "absent" in (a.get("class") or "")]
    assert ["time-source.png" in titles[0], "refact-source.png" in titles[1]] == [True, True]


def test_a_run_whose_pictures_are_all_gone_says_so_once(make: Make):
    folder = make()
    for path in (folder / "pictures").iterdir():
        path.unlink()
    text, _ = written(folder, pictures=len(CASES))
    assert "absent" not in classes(text)
    assert "picture files" in text.partition('id="cases"')[2].partition("</p>")[0]


def test_pictures_that_were_never_kept_are_not_called_missing(make: Make):
    text, _ = written(make(keep=0))
    assert classes(text) == []
    assert "picture files" not in text.partition("<main>")[2]


def test_a_case_has_no_columns_of_those_that_were_not_asked_for_it(make: Make):
    folder = make(cases=CASES[:1], leave_out=7 * SEEDS)  # all that the last condition has
    (first,) = cases(written(folder)[0])
    heads = re.findall(r'<th scope="col"[^>]*>(\w+)', first)
    assert heads == ["Prompt", "unedited", "TIME", "ReFACT"]


@pytest.mark.parametrize(
    ("wanted", "said"), [(7 * SEEDS, "not edited"), (14 * SEEDS, "not scored yet")]
)
def test_a_case_that_nobody_edits_is_not_waited_for(make: Make, wanted: int, said: str):
    """One editor, of two cases it has the first: all it is to edit, or half of it."""
    editor = replace(CONDITIONS[1], about={"pictures": wanted})
    folder = make([CONDITIONS[0], editor], cases=CASES[:2], leave_out=7 * SEEDS)
    headlines = [view.headline for view in CaseGallery(read_run(folder), 0).cases()]
    assert headlines[1] == said
    assert headlines[0].endswith("%")


def begin(folder: Path, oracle: tuple[float, float], time: tuple[float, float]) -> RunData:
    """Before: two pictures of the old, (new, old) = (0.5, 0.9) and (0.4, 0.8)."""
    before = [(0.5, 0.9), (0.4, 0.8)]
    seen = {"baseline": before, "oracle": [oracle] * 2, "time": [time] * 2}
    with Store(folder / "run.sqlite", {"title": "Small", "seeds": 2}) as store:
        store.describe_conditions(ROWS)
        store.describe_cases([CASE])
        store.add(
            Result(Key(name, CASE.name, place, seed), *pair, 0.1, "")
            for name, pairs in seen.items()
            for place in ("source", "negative 1")
            for seed, pair in enumerate(before if place != "source" and name == "oracle" else pairs)
        )
    return read_run(folder)


def test_thresholds_lie_between_what_shows_and_what_does_not(tmp_path: Path) -> None:
    found = match_thresholds(begin(tmp_path, oracle=(0.9, 0.2), time=(0.9, 0.2)))
    # new: shown 0.9, not shown at most 0.5; old: shown at least 0.8, not shown 0.2
    assert found.loc[[("a rose", "source")]].to_numpy() == pytest.approx(np.array([[0.7, 0.5]]))
    # nobody shows the new here: the unedited pictures have 0.8 at least and 0.5 at most
    negative = found.loc[[("a rose", "negative 1")]].to_numpy()
    assert negative == pytest.approx(np.array([[0.65, 0.65]]))


def test_references_that_overlap_mark_nothing(tmp_path: Path) -> None:
    found = match_thresholds(begin(tmp_path, oracle=(0.45, 0.2), time=(0.1, 0.0)))
    assert np.isnan(found.loc[[("a rose", "source")]].to_numpy()).all()


@pytest.mark.parametrize(
    ("pair", "counts"),
    [
        ((0.6, 0.4), ["2 of 2, 2 low match", "0 of 2"]),  # both low: correct, and yet neither
        ((0.8, 0.4), ["2 of 2", "0 of 2"]),
        ((0.4, 0.6), ["0 of 2", "2 of 2, 2 low match"]),
        ((0.6, 0.7), ["0 of 2", "2 of 2"]),
    ],
)
def test_low_matches_are_counted_and_change_no_score(
    tmp_path: Path, pair: tuple[float, float], counts: list[str]
) -> None:
    run = begin(tmp_path, oracle=(0.9, 0.2), time=pair)
    (view,) = CaseGallery(run, 1).cases()
    place = [column.label for column in view.columns].index("TIME")
    assert [cells[place].count for _, cells in view.rows] == counts
    said = "“Low match”" in written(tmp_path)[0]
    assert said == any("low match" in count for count in counts)
    for measure, count in zip(("efficacy", "specificity"), counts, strict=True):
        score = run.score("time", measure)
        assert score is not None
        assert score.value == float(count[0] == "2")


def test_models_that_hold_many_edits_are_not_compared_with_the_references(tmp_path: Path) -> None:
    run = begin(tmp_path, oracle=(0.9, 0.2), time=(0.6, 0.4))
    marked = []
    for alone, series in ((False, "many"), (True, "many"), (False, "others")):
        sweep = {"method": "time", "over": "edits", "alone": alone, "series": "many"}
        conditions = run.conditions.assign(series=series)
        changed = replace(run, configuration={"sweeps": [sweep]}, conditions=conditions)
        marked.append(CaseGallery(changed, 0).marks_low)
    assert marked == [False, True, True]


def test_windows_stand_beside_one_another_and_none_is_wrong(tmp_path: Path) -> None:
    text, page = written(write_windows(tmp_path))
    assert (page.open, page.wrong) == ([], [])
    assert "worst" not in text.partition("<main>")[2].partition("<script>")[0].lower()
    assert classes(text)
    assert set(classes(text)) == {""}
    style, *_ = cases(text)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", style)
    assert captions == [
        "unedited<span>90.0</span>",
        "layers 0-1<span>70.0</span>",
        "<b>layers 1-2</b><span>60.0</span>",
    ]
    assert "<b>layers 1-2</b><span>best: 60.0</span>" in style


def test_a_kind_that_no_window_moves_says_so(tmp_path: Path) -> None:
    views = list(CaseGallery(read_run(write_windows(tmp_path)), 0).windows())
    assert [view.headline for view in views] == ["layers 1-2", "no window", "layers 0-1"]


def test_windows_have_pictures_in_as_many_cases_as_asked(tmp_path: Path) -> None:
    text, page = written(write_windows(tmp_path), pictures=1)
    assert [tag for tag, _ in page.seen].count("img") == 3 + 2  # all states, and the pair
    assert "the first 1 of 3 cases" in text


def decoded(path: Path) -> Image.Image:
    kind, _, content = thumbnail(path).partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


@pytest.mark.parametrize(
    ("size", "becomes"),
    [((64, 64), (128, 128)), ((64, 32), (128, 64)), ((128, 128),) * 2, ((512, 256), (SIDE, 96))],
)
def test_large_pictures_shrink_and_small_ones_are_doubled(
    tmp_path: Path, size: tuple[int, int], becomes: tuple[int, int]
) -> None:
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "p.png")
    assert decoded(tmp_path / "p.png").size == becomes


def test_colours_stay_inside_their_edges(tmp_path: Path) -> None:
    """Stripes as thin as Toybox's stalks: at WebP's half resolution they would mix."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:] = (30, 30, 220)
    pixels[:, [x for x in range(64) if x % 4 in (1, 2)]] = (220, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    small = decoded(tmp_path / "p.png").resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(small, dtype=int) - pixels).mean() < 30
