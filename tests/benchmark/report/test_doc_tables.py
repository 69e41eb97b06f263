"""examples/tables.py: tables of the documentation from runs, and from nothing else."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from overpaint.benchmark.rows import ConditionRow

ROOT = Path(__file__).parents[3]
COMMAND = "overpaint bench --seeds 4"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return import_module("tables")


def page(*markers: str) -> str:
    parts = [f"<!-- table: {marker} -->\nold\n<!-- end of table -->" for marker in markers]
    return "\n\n".join(["# Numbers", *parts, "The end."]) + "\n"


def weights() -> str:
    return "shipped"


def cells(text: str, beginning: str) -> list[str]:
    """The cells of the line that begins with a cell."""
    (line,) = re.findall(rf"^\| {re.escape(beginning)} \|(.*)\|$", text, flags=re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_methods_table_says_what_the_store_says(make, tables) -> None:
    folder = make(weights="shipped")
    text, wrong = tables.filled(page("methods run"), folder.parent, [], weights)
    assert not wrong
    assert "old" not in text
    assert COMMAND in text
    assert text.endswith("The end.\n")
    shares = tables_of(folder)
    kinds = ["attributes", "roles"]
    for name, label in (("refact", "ReFACT"), ("baseline", "unedited")):
        own = cells(text, label)
        for cell, kind in zip(own, kinds, strict=False):
            found = [int(n) for n in re.findall(r"\d+", cell)]
            assert found == [round(100 * share) for share in shares[name, kind]]
    assert cells(text, "ReFACT")[-3:] == ["14.20", "5", "0.2 %"]
    assert cells(text, "unedited")[-3:] == ["", "", ""]
    assert text.index("| ReFACT") < text.index("| TIME")  # the better one first


def tables_of(folder: Path) -> dict[tuple[str, str], list[float]]:
    """Efficacy, generality, specificity and F1, counted by hand."""
    from overpaint.benchmark.store import Store

    with Store.open(folder / "run.sqlite") as store:
        parts = {(c.name, p["place"]): (c.kind, p["part"]) for c in store.cases() for p in c.probes}
        seen: dict[tuple[str, str, str], list[bool]] = {}
        for result in store.results():
            kind, part = parts[result.key.case, result.key.prompt]
            right = result.new < result.old if part == "specificity" else result.new > result.old
            seen.setdefault((result.key.condition, kind, part), []).append(right)
    share = {key: sum(own) / len(own) for key, own in seen.items()}
    found = {}
    for name, kind in {(name, kind) for name, kind, _ in share}:
        three = [share[name, kind, part] for part in ("efficacy", "generality", "specificity")]
        found[name, kind] = [*three, (three[1] * three[2]) ** 0.5]
    return found


def test_filling_again_changes_nothing(make, tables) -> None:
    folder = make(weights="shipped")
    once, _ = tables.filled(page("scores run f1", "methods run"), folder.parent, [], weights)
    assert tables.filled(once, folder.parent, [], weights) == (once, [])


def test_scores_have_the_deviation_and_the_measures(make, tables) -> None:
    folder = make(weights="shipped", measures=[("time", "", "CLIP score", 27.456)])
    text, wrong = tables.filled(page("scores run efficacy"), folder.parent, [], weights)
    assert not wrong
    assert "| cases |  | Efficacy | CLIP score |" in text
    assert re.search(r"^\| all \| TIME \| \d+\.\d ± \d+\.\d \| 27\.5 \|$", text, re.MULTILINE)


def test_curves_go_down_the_page_when_they_are_long(make, tables) -> None:
    rows = [
        ConditionRow(f"{s} lam={x:g}", "time", {"lam": x}, s, x)
        for s in ("a", "b")
        for x in (1.0, 10.0, 100.0)
    ]
    folder = make(rows, weights="shipped", x_label="λ")
    text, wrong = tables.filled(page("curves run generality f1"), folder.parent, [], weights)
    assert not wrong
    assert "| λ | a | b |" in text
    assert re.fullmatch(r"\d+ / \*\*\d+\*\*", cells(text, "100")[1])


def test_gaps_of_a_gender_run(make, tables) -> None:
    rows = [ConditionRow(name, name) for name in ("baseline", "time")]
    deltas = [("baseline", "", "Delta", 0.9, 0.01), ("time", "", "Delta", 0.456, 0.02)]
    people = [(name, "a nurse", "people", 1.0) for name in ("baseline", "time")]
    folder = make(rows, cases=(), measures=[*deltas, *people], weights="shipped")
    text, wrong = tables.filled(page("gender run"), folder.parent, [], weights)
    assert not wrong
    assert cells(text, "TIME") == ["0.46 ± 0.02"]


def test_shares_of_women_come_by_profession_the_fewest_first(make, tables) -> None:
    rows = [ConditionRow(name, name) for name in ("baseline", "time")]
    shown = {"a nurse": (0.95, 0.6), "a pilot": (0.051, 0.4), "a chef": (0.5, None)}
    measures = [
        (row.name, case, name, share, 0.0)
        for case, pair in shown.items()
        for row, share in zip(rows, pair, strict=True)
        for name in ("F_p", "people")
        if share is not None
    ]
    folder = make(rows, cases=(), measures=measures, weights="shipped")
    text, wrong = tables.filled(page("shares run"), folder.parent, [], weights)
    assert not wrong
    found = re.findall(r"^\| (a \w+) \| (\S+) \| (\S+) \|$", text, flags=re.MULTILINE)
    assert found == [("a pilot", "5", "40"), ("a chef", "50", "–"), ("a nurse", "95", "60")]


def test_shares_of_a_run_without_professions_are_refused(make, tables) -> None:
    folder = make(weights="shipped")
    text, (wrong,) = tables.filled(page("shares run"), folder.parent, [], weights)
    assert text == page("shares run")
    assert "expected a run of professions" in wrong


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"leave_out": 5, "weights": "shipped"}, "not finished, it lacks 5 pictures; " + COMMAND),
        ({"weights": "those of yesterday"}, "other weights than those shipped"),
    ],
)
def test_a_run_that_says_nothing_is_named(make, tables, options: dict, said: str) -> None:
    folder = make(**options)
    before = page("methods run", "scores run")
    text, wrong = tables.filled(before, folder.parent, ["methods"], weights)
    assert text == before
    assert len(wrong) == 1
    assert wrong[0].startswith("table 'methods run': ")
    assert said in wrong[0]


def test_what_is_not_there_is_named_and_the_rest_filled(make, tables) -> None:
    folder = make(weights="shipped")
    markers = ("methods elsewhere", "scores run", "quality elsewhere.json", "pie run")
    text, wrong = tables.filled(page(*markers), folder.parent, [], weights)
    assert [line.split(":")[0] for line in wrong] == [f"table '{markers[i]}'" for i in (0, 2, 3)]
    assert text.count("old") == 3


def test_numbers_of_a_script(tables, tmp_path: Path) -> None:
    rows = [
        {"layer": n, "reached": {"roles": 0.5, "attributes": 1.0}, "share": 0.75} for n in (0, 1)
    ]
    whole = {"command": "python benchmarks/recall.py", "weights": "shipped", "results": rows}
    (tmp_path / "recall.json").write_text(json.dumps(whole))
    text, wrong = tables.filled(page("recall recall.json"), tmp_path, [], weights)
    assert not wrong
    assert cells(text, "roles") == ["50", "50"]
    (tmp_path / "recall.json").write_text(json.dumps(rows))
    _, wrong = tables.filled(page("recall recall.json"), tmp_path, [], weights)
    assert "writes with --json" in wrong[0]


def test_every_marker_of_the_documentation_has_a_form(tables) -> None:
    pages = tables.pages(ROOT)
    texts = [path.read_text(encoding="utf-8") for path in pages]
    forms = [match["words"].split()[0] for text in texts for match in tables.MARKED.finditer(text)]
    assert set(forms) <= set(tables.FORMS)
    assert len(forms) == sum(text.count("<!-- table: ") for text in texts)  # each has its end
