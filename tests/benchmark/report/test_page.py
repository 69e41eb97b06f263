"""The page: whole, closed, escaped, without the network, and saying what there is."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from overpaint.benchmark.report import PAGE, read_run, write_report
from overpaint.benchmark.store import ConditionRow, Store
from overpaint.errors import DataError, OutputError

from .conftest import CASES, CONDITIONS, EVIL, SEEDS, SWEEP, Make, case, write_windows, written

EDITORS = [ConditionRow(name, name) for name in ("baseline", "oracle", "time", "uce")]


def finding(folder: Path) -> str:
    """The sentence at the head of the page."""
    text = written(folder)[0].partition('<p class="finding">')[2].partition("</p>")[0]
    return " ".join(re.sub(r"<[^>]*>", "", text).split())


def body(text: str) -> str:
    return text.partition("<main>")[2].partition("<script>")[0]


def test_the_page_is_whole_and_needs_nothing_else(make: Make):
    text, page = written(make(SWEEP, x_label="layer"))
    assert text.lstrip().startswith("<!doctype html>")
    assert (page.open, page.wrong) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert all(a.startswith(("data:", "#")) for a in page.addresses), page.addresses
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!#)", text)
    local = [a[1:] for a in page.addresses if a.startswith("#")]
    local += re.findall(r"url\(#([^)]*)\)", text)
    assert local
    assert set(local) <= set(page.ids)


def test_every_text_from_the_data_is_escaped(make: Make):
    """Each field has a hostile text of its own, which the page has to show as it is."""
    fields = iter(f"{EVIL} {number}" for number in range(99))
    shown: list[str] = []

    def evil() -> str:
        shown.append(next(fields))
        return shown[-1]

    condition, kind, measure = evil(), evil(), evil()
    cases = [case(evil(), kind, evil(), evil()), case("a rose", "roles")]
    folder = make(
        [CONDITIONS[0], ConditionRow(condition, "time", {evil(): evil()}), CONDITIONS[1]],
        cases=cases,
        keep=0,
        leave_out=1,
        title=evil(),
        preset=evil(),
        model=evil(),
        judge=evil(),
        data=[evil()],
        measures=[
            (name, place, measure, 0.5) for name in (condition, "time") for place in ("", "x")
        ],
        paper=[{"condition": condition, "efficacy": 0.5, "kind": kind, "source": evil()}],
        notes={"command": evil(), "versions": {evil(): evil()}, evil(): evil()},
    )
    text, page = written(folder)
    assert (page.open, page.wrong) == ([], [])
    assert [tag for tag, _ in page.seen].count("script") == 1  # our own
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }}" in text  # no template within the template
    texts = [text for _, text in page.texts]
    for each in shown:
        assert any(each in text for text in texts), each
    assert {condition, kind} <= set(page.attributes)


def test_a_hostile_curve_is_escaped_in_its_plots(make: Make):
    rows = [ConditionRow(f"{EVIL} {x}", "time", {"lam": x}, EVIL, float(x)) for x in (1, 2)]
    text, page = written(make(rows, keep=0, x_label=EVIL))
    assert (page.open, page.wrong) == ([], [])
    assert "<script>alert" not in text
    assert EVIL in page.text_of("text")
    assert EVIL in page.text_of("li")


def test_numbers_are_those_of_the_scores(make: Make):
    folder = make(cases=[case(f"a rose {n}", "roles") for n in range(9)])
    run = read_run(folder)
    _, page = written(folder)
    for measure in ("generality", "specificity", "f1", "harmonic"):
        for name in ("refact", "time", "oracle"):
            score = run.score(name, measure)
            assert score is not None
            value = f"{100 * score.value:.1f}"
            assert value in page.text_of("td") or value in page.text_of("b")
            assert f"±{100 * score.sd:.1f}" in page.text_of("span")
            assert f"{100 * score.low:.1f}–{100 * score.high:.1f}" in page.text_of("span")


def test_f1_is_the_first_column_and_said_to_be_a_geometric_mean(make: Make):
    text, page = written(make())
    heads = [text for tag, text in page.texts if tag == "th"]
    assert heads[: heads.index("all cases")][:2] == ["Method", "F1"]
    assert "geometric mean" in body(text)


def test_methods_have_their_names_and_no_identifiers(make: Make):
    rows = [
        CONDITIONS[0],
        *(ConditionRow(name, name) for name in ("mass", "time")),
        ConditionRow("time lam=10", "time", {"lam": 10}, "time", 10.0),
    ]
    _, page = written(make(rows))
    heads = set(page.text_of("th"))
    assert {"unedited", "ReFACT in one solve", "TIME", "TIME lam=10"} <= heads
    assert not {"baseline", "mass", "time", "time lam=10"} & heads


def test_numbers_of_edits_are_said_in_words(make: Make):
    rows = [ConditionRow(f"UCE edits={n}", "uce", series="UCE", x=n) for n in (1, 69)]
    folder = make([CONDITIONS[0], *rows], keep=0, measures=[("UCE edits=69", "", "FID", 1.0)])
    _, page = written(folder)
    assert {"UCE (1 edit)", "UCE (69 edits)"} <= set(page.text_of("th"))
    assert not any("edits=" in text for _, text in page.texts)


def test_many_conditions_show_kinds_of_cases_on_demand(make: Make):
    rows = [ConditionRow(f"time lam={n}", "time", {"lam": n}) for n in range(13)]
    text, page = written(make([CONDITIONS[0], *rows], keep=0))
    assert "By kind of case" in page.text_of("summary")
    open_part, _, folded = body(text).partition("By kind of case")
    assert '<tr class="group">' not in open_part
    assert [re.sub("<.*?>", "", t) for t in re.findall(r'<tr class="group">.*?</tr>', folded)] == [
        "attributes",
        "roles",
    ]


@pytest.mark.parametrize(("over", "alone"), [("edits", False), ("edits", True), ("layer", False)])
def test_captions_of_many_edits_are_said_to_be_those_of_one(make: Make, over: str, alone: bool):
    folder = make(keep=0, sweeps=[{"method": "time", "over": over, "alone": alone}])
    said = "a model that holds many edits" in body(written(folder)[0])
    assert said == (over == "edits" and not alone)


def test_an_unfinished_run_says_so(make: Make):
    text, page = written(make(leave_out=SEEDS + 1))
    whole = len(CONDITIONS) * len(CASES) * 7 * SEEDS
    warning = text.partition('role="alert"')[2].partition("</div>")[0]
    assert f"{SEEDS + 1:,} of {whole:,} pictures are missing: oracle ({SEEDS + 1})." in warning
    assert "overpaint bench --seeds 4" in page.text_of("code")


def test_a_finished_run_says_nothing_of_the_kind(make: Make):
    text, _ = written(make())
    assert 'role="alert"' not in text
    assert "missing" not in body(text)


def test_measures_alone_make_a_report(make: Make):
    rows = [(name, "CEO", "Delta_p", 0.2, 0.01) for name in ("baseline", "time")]
    text, page = written(make([replace(c, about={}) for c in CONDITIONS], cases=[], measures=rows))
    warning = text.partition('role="alert"')[2].partition("</div>")[0]
    assert "Not measured yet: ReFACT, oracle." in warning
    assert "Δₚ, by case" in page.text_of("h2")
    assert page.text_of("td").count("0.200") == 2


def test_the_papers_numbers_are_folded_away_on_toybox(make: Make):
    entry = {"condition": "refact", "kind": "roles", "f1": 0.123, "source": "ReFACT, Table 1"}
    _, page = written(make(paper=[entry]))
    (folded,) = [(tag, a) for tag, a in page.seen if a.get("id") == "paper"]
    assert folded[0] == "details"
    assert "open" not in folded[1]
    assert "12.3" in page.text_of("td")


def test_the_best_is_named_with_its_lead_and_how_sure_it_is(make: Make):
    folder = make(leave_out=1, conditions=(*CONDITIONS, ConditionRow("uce", "uce")))
    said = finding(folder)
    assert said.startswith("ReFACT has the highest F1 of 2 editors: ")  # UCE lacks a picture
    assert re.search(r", \d+\.\d points above TIME \(p (= 0\.0|< 0\.001)", said)
    assert "not significant" not in said


def test_a_lead_by_chance_is_called_not_significant(make: Make):
    folder = make(cases=CASES[:3], chances={"refact": (0.7, 0.3), "time": (0.6, 0.3)})
    assert re.search(
        r"points above \w+, which is not significant \(p = [01]\.\d\d\)", finding(folder)
    )


def test_equal_editors_are_not_called_ahead(make: Make):
    folder = make(CONDITIONS[:3], chances={"refact": (1.0, 0.0), "time": (1.0, 0.0)})
    assert finding(folder).endswith(", which ReFACT reaches too.")


def gaps(make: Make, **values: float) -> str:
    rows = [(name, "", "Delta", gap) for name, gap in values.items()]
    return finding(make(EDITORS, cases=[], measures=rows))


def test_of_professions_the_lowest_gap_comes_first(make: Make) -> None:
    assert gaps(make, baseline=0.6, oracle=0.1, time=0.4, uce=0.25) == (
        "UCE comes closest to as many women as men. "
        "Δ: UCE 0.250; TIME 0.400; unedited 0.600; oracle 0.100."
    )


def test_equal_gaps_are_both_named(make: Make) -> None:
    assert gaps(make, time=0.4, uce=0.4).startswith("TIME and UCE come closest")


def test_no_gap_below_the_unedited_one_is_no_success(make: Make) -> None:
    said = gaps(make, baseline=0.4, time=0.4, uce=0.5)
    assert said.startswith("No method comes closer")
    assert said.endswith("Δ: TIME 0.400; UCE 0.500; unedited 0.400.")


def test_of_windows_the_best_of_each_kind_is_named(tmp_path: Path) -> None:
    """Of a style the lowest score with the old caption, of a fact the highest with the new."""
    assert finding(write_windows(tmp_path)) == (
        "Best windows: layers 1-2 for style (CLIP score 60.0, unedited 90.0); "
        "none for object (CLIP score 91.0, unedited 90.0); "
        "layers 0-1 for fact (CLIP score 80.0, unedited 50.0)."
    )


def test_nothing_to_compare_has_no_finding(make: Make) -> None:
    assert finding(make(CONDITIONS[:2])) == ""


def test_files_are_the_same_every_time(make: Make):
    folder = make(SWEEP)
    files = write_report(folder)
    before = {file.name: file.read_bytes() for file in files}
    assert {file.name: file.read_bytes() for file in write_report(folder)} == before
    assert sorted(p.name for p in (folder / "report").iterdir()) == sorted(before)
    assert {PAGE, "results.csv", "cases.csv", "tables.md", "tables.tex"} <= set(before)


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no run\.sqlite"):
        write_report(tmp_path)
    (tmp_path / "run.sqlite").write_text("something else entirely, and long enough to be read")
    with pytest.raises(DataError, match="expected a run"):
        write_report(tmp_path)


def test_a_run_without_results_is_refused(tmp_path: Path):
    with Store(tmp_path / "run.sqlite", {"seeds": 1}) as store:
        store.describe_conditions(CONDITIONS)
    with pytest.raises(DataError, match="without results"):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_place_that_cannot_be_written_is_an_output_error(make: Make, tmp_path: Path):
    folder = make()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_report(folder, tmp_path / "file")
    (tmp_path / "there" / PAGE).mkdir(parents=True)  # a folder in the place of the page
    with pytest.raises(OutputError, match=PAGE):
        write_report(folder, tmp_path / "there")


@pytest.mark.parametrize("library", ["pandas", "jinja2", "matplotlib.figure"])
def test_a_missing_library_is_named_before_anything_is_written(
    make: Make, monkeypatch: pytest.MonkeyPatch, library: str
):
    folder = make()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(OutputError, match=r"overpaint\[benchmark\]"):
        write_report(folder)
    assert not (folder / "report").exists()
