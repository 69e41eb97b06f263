"""Edits that their method refuses are found before anything is painted, all of them at once."""

from __future__ import annotations

from typing import Any

import pytest

from overpaint.benchmark import paint
from overpaint.benchmark.config import parse
from overpaint.benchmark.feasible import SHOWN, check_edits
from overpaint.benchmark.plan import UNEDITED, Ask, State, Step
from overpaint.benchmark.rows import STORE
from overpaint.benchmark.run import estimate
from overpaint.benchmark.store import Store
from overpaint.errors import EditError
from overpaint.methods.finetune_text import FinetuneTextConfig
from overpaint.methods.mass import MassConfig
from overpaint.methods.time_edit import TIMEConfig
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Edit

from .conftest import SMALL, Begin

ROSE = Edit("a rose", "a blue rose")


def asks(method: str, config: Any, *together: tuple[Edit, ...]) -> list[Ask]:
    """A state for each of ``together``, and one that is not edited."""
    states = [UNEDITED, *(State(method, (Step(edits, config),)) for edits in together)]
    return [
        Ask(method, f"case {n}", "source", state, "a rose", "a blue rose", "a rose", (0,))
        for n, state in enumerate(states)
    ]


def test_edits_that_can_be_made_pass(sd1: Model):
    check_edits(sd1, asks("time", TIMEConfig(), (ROSE,), (ROSE, Edit("a cat", "a green cat"))))
    check_edits(sd1, asks("time", TIMEConfig(end_only=True), (Edit("a rose", "ada vale"),)))


@pytest.mark.parametrize("config", [TIMEConfig(), FinetuneTextConfig()])
def test_prompts_that_cannot_be_aligned_are_named_with_the_remedy(sd1: Model, config: Any):
    method = "time" if isinstance(config, TIMEConfig) else "finetune-text"
    wrong = [(Edit(f"a {word}", "ada vale"),) for word in ("rose", "cat")]
    with pytest.raises(EditError) as caught:
        check_edits(sd1, asks(method, config, (ROSE,), *wrong))
    said = str(caught.value)
    assert said.startswith(
        f"{method} cannot make 2 of the edits: 'a rose' -> 'ada vale' (case 'case 2'), "
        "'a cat' -> 'ada vale' (case 'case 3'). The first: Cannot align 'a rose' with 'ada vale': "
    )
    assert "set end_only, or use refact" in said
    assert said.endswith(f"for one kind of cases), or leave {method} out")


def test_an_edit_is_named_once_and_no_more_than_a_few(sd1: Model):
    words = ("rose", "cat", "dog", "hat", "car", "bus", "cup", "pear")
    edits = tuple(Edit(f"a {word}", "ada vale") for word in words)
    with pytest.raises(EditError, match=rf"make {len(words)} of .* and {len(words) - SHOWN} more"):
        check_edits(sd1, asks("time", TIMEConfig(), edits, edits[:2]))


def test_edits_that_cannot_be_held_at_once(sd1: Model):
    both = (ROSE, Edit("a rose", "a red rose"))
    config = MassConfig(layer=0)
    check_edits(sd1, asks("mass", config, both[:1], both[1:]))
    with pytest.raises(EditError, match=r"mass cannot make 1 .*: 2 edits at once\. two edits of"):
        check_edits(sd1, asks("mass", config, both))


def test_a_run_stops_before_the_first_picture(
    begin: Begin, sd1: Model, judge: Clip, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    settings = {"time": {"end_only": False}}
    data = ["toybox-attributes", "toybox-appearances"]
    methods = ["baseline", "time"]
    config = parse({"data": data, "methods": methods, "settings": settings, "seeds": 1, **SMALL})

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(paint, "sample_pairs", never)
    for _ in range(2):  # and again when it goes on
        with pytest.raises(EditError, match="time cannot make 1 of the edits"):
            begin(config)
    with Store.open(tmp_path / "run" / STORE) as store:
        assert len(store) == 0
    with pytest.raises(EditError, match="time cannot make 1 of the edits"):
        estimate(config, model=sd1, judge=judge)
