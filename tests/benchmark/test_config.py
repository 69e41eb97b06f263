"""What a benchmark is told: from TOML, presets and flags to one value, or an error that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overpaint.benchmark.config import Sweep, from_file, parse, with_settings
from overpaint.benchmark.plan import UNEDITED
from overpaint.benchmark.presets import names, preset
from overpaint.benchmark.run import check, plan_of
from overpaint.errors import ConfigError, DataError, EditError, OverpaintError
from overpaint.methods.mass import MassConfig
from overpaint.methods.refact import ReFACTConfig
from overpaint.methods.registry import METHODS
from overpaint.methods.time_edit import TIMEConfig

TOML = """
title = "Mine"
data = ["toybox-attributes", "toybox-roles"]
methods = ["baseline", "refact"]
seeds = 3
limit = 3

[settings.refact]
layer = 5
roles.layer = 6

[[sweeps]]
method = "time"
over = "lam"
values = [0.1, 10]
settings = { templates = ["{}"] }

[[sweeps]]
series = "at once"
method = "mass"
over = "edits"
values = [1, "all"]

[groups]
people = ["roles"]
"""


def sweep(over: str, values: Any) -> dict[str, Any]:
    return {"method": "refact", "over": over, "values": values}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    return path


def test_a_file_says_everything(file: Path):
    config = from_file(file)
    assert config.data == ("toybox-attributes", "toybox-roles")
    assert config.settings == {"refact": {"layer": 5, "roles.layer": 6}}
    assert config.sweeps == (
        Sweep("time", "lam", (0.1, 10), settings={"templates": ["{}"]}),
        Sweep("mass", "edits", (1, "all"), "at once"),
    )
    assert (config.title, config.seeds, config.steps) == ("Mine", 3, None)
    assert "batch" not in config.kept


def test_the_plan_of_a_file(file: Path):
    plan = plan_of(from_file(file))
    assert [row.name for row in plan.conditions] == [
        *("baseline", "refact", "time lam=0.1", "time lam=10"),
        *("at once edits=1", "at once edits=3"),
    ]
    assert [case.kind for case in plan.cases] == ["attributes"] * 3 + ["people"] * 3
    assert (plan.conditions[3].series, plan.conditions[3].x) == ("time", 10)
    asks = {name: [a for a in plan.asks if a.condition == name] for name in counts(plan)}
    assert counts(plan) == {
        "baseline": 66,
        "refact": 66,
        "time lam=0.1": 66,
        "time lam=10": 66,
        "at once edits=1": 11,
        "at once edits=3": 33,
    }
    assert {ask.state for ask in asks["baseline"]} == {UNEDITED}
    layers = {ask.case: ask.state.steps[0].config.layer for ask in asks["refact"]}
    assert list(layers.values()) == [5, 5, 5, 6, 6, 6]
    config = asks["time lam=10"][0].state.steps[0].config
    assert config == TIMEConfig(lam=10, templates=("{}",))
    (held,) = {ask.state for ask in asks["at once edits=3"]}
    assert held.edits == 3
    assert isinstance(held.steps[0].config, MassConfig)
    # One of each data set after another; a source is edited once.
    sources = [edit.source for edit in held.steps[0].edits]
    assert sources == ["a rose", "the president of arda", "a tulip"]


def counts(plan: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for ask in plan.asks:
        assert ask.seeds == (0, 1, 2)
        found[ask.condition] = found.get(ask.condition, 0) + 1
    return found


def test_flags_go_over_what_a_file_says(file: Path):
    changed = parse({"seeds": "5", "methods": "refact,uce"}, from_file(file))
    assert (changed.seeds, changed.methods, changed.limit) == (5, ("refact", "uce"), 3)
    config = with_settings(changed, ["refact.roles.layer=4", "uce.lam=2"])
    assert config.settings["refact"] == {"layer": 5, "roles.layer": "4"}
    rows = {ask.case: ask.state for ask in plan_of(config).asks if ask.condition == "refact"}
    assert [s.steps[0].config.layer for s in rows.values()] == [5, 5, 5, 4, 4, 4]


def test_defaults_are_those_chosen_for_the_model():
    plan = plan_of(parse({"methods": ["refact", "time"], "limit": 1}))
    configs = {(a.condition, a.case): a.state.steps[0].config for a in plan.asks}
    refact = [c for (name, _), c in configs.items() if name == "refact"]
    assert refact == [ReFACTConfig(layer=7, covariance_weight=0.8, scale=1.5)] * 3
    assert [c.end_only for (name, _), c in configs.items() if name == "time"] == [
        *(False, True, True)
    ]


def test_a_strength_replaces_the_chosen_one_under_its_own_name():
    config = parse({"data": "toybox-styles", "methods": "uce,locoedit,refact", "limit": 1})
    words = [f"{method}.strength=auto" for method in config.methods]
    plan = plan_of(with_settings(config, words))
    uce, locoedit, refact = (state.steps[0].config for state in plan.states)
    assert (uce.lam, uce.onward) == (None, False)
    assert (locoedit.lam_k, locoedit.lam_v) == (None, None)
    assert locoedit.layers == (1, 2, 3, 11, 12, 13)
    assert (refact.scale, refact.layer) == (None, 7)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sedes": 3}, ConfigError, "unknown key 'sedes'; did you mean 'seeds'"),
        ({"seeds": 0}, ConfigError, "seeds of at least 1, got 0"),
        ({"seeds": "many"}, ConfigError, "'seeds': expected int, got 'many'"),
        ({"seeds": 2.5}, ConfigError, "'seeds': 2.5"),
        ({"steps": True}, ConfigError, "'steps': True"),
        ({"title": 3}, ConfigError, "'title': 3"),
        ({"methods": ["refct"]}, ConfigError, "a method out of .*refact.*, got 'refct'"),
        ({"methods": []}, ConfigError, "methods or sweeps, got neither"),
        ({"data": []}, ConfigError, "at least one data set"),
        ({"data": ["rosed"]}, DataError, "rosed"),
        ({"data": ["toybox-roles", "toybox-gender"]}, ConfigError, "one sort"),
        ({"data": ["toybox-captions"]}, ConfigError, "edits or professions"),
        ({"captions": "toybox-roles"}, ConfigError, "a data set of captions, got 'toybox-roles'"),
        ({"settings": {"refact": {"leyer": 3}}}, EditError, "no setting 'leyer'"),
        ({"settings": {"refact": {"layer": "x"}}}, EditError, "'layer': expected int"),
        ({"settings": {"refact": {"rolls.layer": 3}}}, ConfigError, "kind of cases .*'rolls'"),
        ({"settings": {"refact": 3}}, ConfigError, "'settings.refact': expected a table"),
        ({"methods": ["time-multi"]}, ConfigError, "'time-multi' is for professions"),
        ({"sweeps": [{"method": "refact"}]}, ConfigError, "lacks 'over'"),
        (
            {"sweeps": [{"method": "time", "over": 3, "values": [1]}]},
            ConfigError,
            "over of a sweep: expected a word, got 3",
        ),
        ({"groups": {"RoAD": 5}}, ConfigError, "'groups.RoAD': expected kinds of cases, got 5"),
        ({"sweeps": [{"of": 1}]}, ConfigError, "unknown key of a sweep 'of'"),
        ({"sweeps": [sweep("layer", ["x"])]}, ConfigError, "numbers as values .*'x'"),
        ({"sweeps": [sweep("edits", [0])]}, ConfigError, "numbers of edits.* got 0"),
        ({"sweeps": [sweep("layer", 3)]}, ConfigError, "expected a list, got 3"),
        ({"sweeps": [sweep("layer", [1]) | {"alone": True}]}, ConfigError, "alone with over"),
        ({"sweeps": [sweep("layer", [1, 1])]}, ConfigError, "two rows are called"),
        ({"sweeps": 3}, ConfigError, r"\[\[sweeps\]\]"),
        ({"window": 2}, ConfigError, "windows are for prompt pairs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(
    change: dict[str, Any], error: type[OverpaintError], words: str
):
    with pytest.raises(error, match=words):
        check(parse({"limit": 1, "methods": ["refact"], **change}))


@pytest.mark.parametrize("text", ["seeds = ", "sedes = 3", "\udcff"])
def test_errors_in_a_file_name_it(tmp_path: Path, text: str):
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        from_file(path)
    with pytest.raises(ConfigError, match="cannot read"):
        from_file(tmp_path / "none.toml")


@pytest.mark.parametrize("name", names())
def test_every_preset_has_a_plan_on_toybox(name: str):
    config = preset(name, "toybox")
    assert (config.preset, config.model, config.judge) == (name, "toybox", "toybox-judge")
    assert config.steps is config.guidance is None
    assert all(text.startswith("toybox-") for text in config.data)
    check(config)
    rows = {row["condition"] for row in config.paper}
    if config.data != ("toybox-gender",) and not config.window and config.preset != "time-bulk":
        assert rows <= {row.name for row in plan_of(config).conditions}


@pytest.mark.parametrize("name", names())
def test_every_preset_is_the_papers_without_toybox(name: str):
    config = preset(name)
    assert "toybox" not in str(config.kept)
    assert config.seeds in (1, 8, 24, 25)
    assert all(set(own) <= {*METHODS, "oracle"} for own in (config.settings,))


def test_presets_by_other_names_are_refused():
    with pytest.raises(ConfigError, match=r"a preset out of .*refact-table1.*, got 'table9'"):
        preset("table9")


def test_the_papers_numbers_are_shares():
    for name in names():
        for row in preset(name).paper:
            assert row["source"]
            for part in ("efficacy", "generality", "specificity", "f1", "harmonic"):
                assert 0 <= row.get(part, 0.5) <= 1
