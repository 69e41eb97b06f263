"""The page: whole, closed, escaped, without the network, and saying what there is."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from overpaint.benchmark.report import PAGE, report
from overpaint.benchmark.report.failures import worst_first
from overpaint.benchmark.report.markup import element, join
from overpaint.benchmark.report.read import read
from overpaint.benchmark.store import ConditionRow, Store
from overpaint.errors import DataError, OutputError

from .conftest import CASES, CONDITIONS, EVIL, SEEDS, SWEEP, Make, case, written


def test_the_page_is_whole_and_needs_nothing_else(make: Make):
    text, page = written(make(SWEEP, x_label="layer"))
    assert text.startswith("<!doctype html>")
    assert (page.open, page.wrong) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert all(a.startswith(("data:", "#")) for a in page.addresses), page.addresses
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!#)", text)
    local = [a[1:] for a in page.addresses if a.startswith("#")]
    local += re.findall(r"url\(#([^)]*)\)", text)
    assert local
    assert set(local) <= set(page.ids)


def test_what_comes_from_data_is_escaped(make: Make):
    names = [ConditionRow(EVIL, "time", {EVIL: EVIL}), ConditionRow("time", "time")]
    folder = make(
        [CONDITIONS[0], *names],
        cases=[case(EVIL, EVIL), case("a rose", "roles")],
        keep=False,
        title=EVIL,
        preset=EVIL,
        measures=[(EVIL, "", EVIL, 1.0), (EVIL, EVIL, EVIL, 1.0)],
        paper=[{"condition": EVIL, "efficacy": 0.5, "source": EVIL}],
        x_label=EVIL,
    )
    text, page = written(folder)
    assert (page.open, page.wrong) == ([], [])
    assert "<script>alert" not in text
    assert [tag for tag, _ in page.seen].count("script") == 1  # our own
    assert page.text_of("h1") == [EVIL]
    assert EVIL in page.text_of("th")


def test_bold_is_the_best_and_numbers_are_those_of_the_scores(make: Make):
    folder = make(cases=[case(f"a rose {n}", "roles") for n in range(9)])
    found = read(folder)
    _, page = written(folder)
    bold = page.text_of("b")
    for column in ("generality", "specificity", "f1", "harmonic"):
        ours = getattr(found.summaries["refact", "all"], column)
        theirs = getattr(found.summaries["time", "all"], column)
        assert ours.mean > theirs.mean
        assert f"{100 * ours.mean:.1f}" in bold
        assert f"{100 * theirs.mean:.1f}" in page.text_of("td")
        assert f"±{100 * ours.spread:.1f}" in page.text_of("span")
        assert f"{100 * ours.low:.1f}–{100 * ours.high:.1f}" in page.text_of("span")
    oracle = found.summaries["oracle", "all"].f1
    assert oracle is not None
    assert f"{100 * oracle.mean:.1f}" not in bold


def test_the_worst_case_comes_first(make: Make):
    found = read(make())
    order = worst_first(found)

    def lowest(name: str) -> float:
        scores = [found.score[editor, name] for editor in ("time", "refact")]
        return min(sum(s[3:]) / 3 for s in scores)  # type: ignore[arg-type]

    values = [lowest(worst.case.name) for worst in order]
    assert values == sorted(values)
    assert len(order) == len(CASES)
    assert [worst.lowest for worst in order] == pytest.approx(values)


def test_pictures_are_inside_and_only_of_as_many_cases_as_asked(make: Make):
    folder = make()
    _, page = written(folder, pictures=2)
    images = [a for tag, a in page.seen if tag == "img"]
    each = len(CONDITIONS) * 7 + 2  # all prompts, and the pair in the heading
    assert len(images) == 2 * each
    assert all((a["src"] or "").startswith("data:image/webp;base64,") for a in images)
    _, page = written(folder, pictures=0)
    assert "img" not in [tag for tag, _ in page.seen]


@pytest.mark.parametrize(("over", "alone"), [("edits", False), ("edits", True), ("layer", False)])
def test_captions_of_many_edits_are_said_to_be_those_of_one(make: Make, over: str, alone: bool):
    folder = make(keep=False, sweeps=[{"method": "time", "over": over, "alone": alone}])
    said = "one that another edit is about was judged by" in written(folder)[0]
    assert said == (over == "edits" and not alone)


def test_a_wrong_picture_is_marked(make: Make):
    folder = make()
    found = read(folder)
    _, page = written(folder, pictures=len(CASES))
    wrong = sum(
        (r.new >= r.old) if r.key.prompt.startswith("negative") else (r.new <= r.old)
        for r in found.results
        if r.picture and r.key.condition in ("time", "refact")
    )
    marked = [a for _, a in page.seen if a.get("class") == "shot wrong"]
    pairs = sum(w.editor != "" for w in worst_first(found))
    assert wrong < len(marked) <= wrong + pairs  # those in the headings are shown twice


def test_a_case_has_no_columns_of_those_that_were_not_asked_for_it(make: Make):
    folder = make(cases=CASES[:1], leave_out=7 * SEEDS)  # all that the last condition has
    text, _ = written(folder)
    (case,) = re.findall(r'<details class="case".*?</details>', text, flags=re.DOTALL)
    heads = re.findall(r'<th scope="col"[^>]*>(\w+)', case)
    assert heads == ["Prompt", "before", "time", "refact"]


@pytest.mark.parametrize(
    ("wanted", "said"), [(7 * SEEDS, "not edited"), (14 * SEEDS, "not scored yet")]
)
def test_a_case_that_nobody_edits_is_not_waited_for(make: Make, wanted: int, said: str):
    """One editor, of two cases it has the first: all it is to edit, or half of it."""
    editor = replace(CONDITIONS[1], about={"pictures": wanted})
    folder = make([CONDITIONS[0], editor], cases=CASES[:2], leave_out=7 * SEEDS)
    text, _ = written(folder)
    whole = text.partition("<main>")[2].partition("<script>")[0]
    texts = [word for word in ("not edited", "not scored yet") if f"<b>{word}</b>" in whole]
    assert texts == [said]


def test_numbers_of_edits_are_said_in_words(make: Make):
    rows = [ConditionRow(f"UCE edits={n}", "uce", series="UCE", x=n) for n in (1, 69)]
    folder = make([CONDITIONS[0], *rows], keep=False, measures=[("UCE edits=69", "", "FID", 1.0)])
    text, page = written(folder)
    assert "edits=" not in text
    assert {"UCE (1 edit)", "UCE (69 edits)"} <= set(page.text_of("th"))


def test_an_unfinished_run_says_so(make: Make):
    text, page = written(make(leave_out=SEEDS + 1))
    whole = len(CONDITIONS) * len(CASES) * 7 * SEEDS
    assert f"{SEEDS + 1:,} of {whole:,} pictures are missing: oracle ({SEEDS + 1})" in text
    assert "overpaint bench --seeds 4" in page.text_of("code")


def test_the_best_is_named_in_a_sentence_with_its_doubt(make: Make):
    text, _ = written(make(leave_out=1, conditions=(*CONDITIONS, ConditionRow("uce", "uce"))))
    said = re.sub(r"<[^>]*>", "", text.partition('class="finding"')[2].partition("</p>")[0])
    assert said.startswith(">refact has the highest F1 of two editors: ")  # uce is not whole
    assert " points above time (p = " in said or " points above time (p &lt; " in said


def test_a_finished_run_says_nothing_of_the_kind(make: Make):
    text, _ = written(make())
    assert "missing" not in text.partition("<main>")[2].partition("<script>")[0]


def test_measures_alone_make_a_report(make: Make):
    rows = [(name, "CEO", "Delta_p", 0.2, 0.01) for name in ("baseline", "time")]
    text, page = written(make([replace(c, about={}) for c in CONDITIONS], cases=[], measures=rows))
    assert "Nothing has been measured yet of refact, oracle." in text
    assert "Δₚ, case by case" in page.text_of("h2")
    assert page.text_of("td").count("0.200") == 2


def test_files_are_the_same_every_time_and_replaced_whole(make: Make):
    folder = make(SWEEP)
    files = report(folder)
    before = {file.name: file.read_bytes() for file in files}
    assert {file.name: file.read_bytes() for file in report(folder)} == before
    assert sorted(p.name for p in (folder / "report").iterdir()) == sorted(before)
    assert {PAGE, "results.csv", "cases.csv", "tables.md", "tables.tex"} <= set(before)


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no run\.sqlite"):
        report(tmp_path)
    (tmp_path / "run.sqlite").write_text("something else entirely, and long enough to be read")
    with pytest.raises(DataError, match="expected a run"):
        report(tmp_path)


def test_a_run_without_results_is_refused(tmp_path: Path):
    with Store(tmp_path / "run.sqlite", {"seeds": 1}) as store:
        store.describe_conditions(CONDITIONS)
    with pytest.raises(DataError, match="without results"):
        report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_damaged_picture_is_named(make: Make):
    folder = make()
    path = next((folder / "pictures").iterdir())
    path.write_bytes(b"torn")
    with pytest.raises(DataError, match=path.name):
        report(folder, pictures=len(CASES))


def test_a_place_that_cannot_be_written_is_named(make: Make, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        report(make(), tmp_path / "file")


def test_missing_matplotlib_is_named_before_anything_is_written(
    make: Make, monkeypatch: pytest.MonkeyPatch
):
    folder = make()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OutputError, match=r"overpaint\[benchmark\]"):
        report(folder)
    assert not (folder / "report").exists()


def test_markup_escapes_texts_and_attributes_and_keeps_markup():
    inner = element("i", "a < b & c")
    assert inner == "<i>a &lt; b &amp; c</i>"
    whole = element("p", inner, " ", ["x", None], class_='"q"', data_n=0, hidden=True, title=None)
    assert whole == '<p class="&quot;q&quot;" data-n="0" hidden><i>a &lt; b &amp; c</i> x</p>'
    assert join("<", inner) == f"&lt;{inner}"
    assert element("img", src="a&b") == '<img src="a&amp;b">'


def test_the_papers_numbers_are_folded_away_on_toybox(make: Make):
    entry = {"condition": "refact", "kind": "roles", "f1": 0.123, "source": "ReFACT, Table 1"}
    _, page = written(make(paper=[entry]))
    (folded,) = [a for tag, a in page.seen if a.get("id") == "paper"]
    assert "open" not in folded
    assert "The paper's numbers, on Stable Diffusion" in page.text_of("summary")
