"""examples/studies.py: tables of layers and strengths from what scripts wrote."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return import_module("studies")


def lines(studies: ModuleType, form: str, folder: Path, results: Any) -> list[str]:
    whole = {"command": "python benchmarks/it.py", "weights": "shipped", "results": results}
    (folder / "it.json").write_text(json.dumps(whole))
    found = "\n".join(studies.STUDIES[form](folder, ["it.json"], lambda: "shipped"))
    assert "python benchmarks/it.py" in found
    return found.splitlines()


def test_layers_marks_the_best_layer(studies: ModuleType, tmp_path: Path) -> None:
    own = {"unedited": [50.04], "layers": [60.0, 71.26], "oracle": [80.0]}
    found = lines(studies, "layers", tmp_path, {"layers": [3, 7], "scores": {"happy": own}})
    assert found[0] == "|  | unedited | 3 | 7 | asked for |"
    assert "| happy | 50.0 | 60.0 | **71.3** | 80.0 |" in found


def test_strength_compares_ways_and_proxies_methods(studies: ModuleType, tmp_path: Path) -> None:
    share = {"mean": 0.5, "spread": 0.0, "low": 0.25, "high": 0.75}
    one = dict.fromkeys(("efficacy", "generality", "f1"), share) | {"specificity": None, "cases": 9}
    results = {
        "test": {"time": {"fixed": one, "auto": one}},
        "validation": {"time": {"both ~ F1": 0.756}, "refact": {"both ~ F1": 0.5}},
    }
    found = lines(studies, "strength", tmp_path, results)
    assert "| time | auto | 50.0 | 50.0 | – | 50.0 (25.0-75.0) |" in found
    assert "9 test cases" in found[-1]
    assert "| both ~ F1 | 0.76 | 0.50 |" in lines(studies, "proxies", tmp_path, results)
