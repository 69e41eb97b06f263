"""Counting women: what is painted, who is seen in it, and what the tables say of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from torch import Tensor

from overpaint.benchmark import gender
from overpaint.benchmark.datasets.gender import profession_of
from overpaint.benchmark.gender import Portraits, nobody
from overpaint.benchmark.gender_table import GenderConfig, gender_measures
from overpaint.benchmark.rows import Measure
from overpaint.benchmark.studio import Studio, studio
from overpaint.errors import DataError, EditError
from overpaint.generate import generate
from overpaint.methods.debias import DebiasConfig, assess
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.models.sites import module_at
from overpaint.toybox import cases
from overpaint.types import Edit, GenderCase, Sampling

NURSE = GenderCase(
    Edit("a nurse", "a male nurse", destination="a male nurse"),
    "A photo of a nurse",
    ("a painting of a nurse", "a nurse in the park"),
)
PILOT = GenderCase(
    Edit("a pilot", "a female pilot", destination="a female pilot"),
    "A photo of a pilot",
    ("a painting of a pilot", "a pilot in the park"),
)
SEEDS = range(24)
WOMAN, MAN, THING = 0, 1, 2

Rule = Callable[[str, int, bool], int]
"""``rule(prompt, seed, edited)``: what a picture shows."""


@pytest.fixture
def room(make_sd1: Callable[..., Model], judge: Clip) -> Studio:
    return studio(make_sd1(), judge, Sampling(steps=1, batch_size=4))


@pytest.fixture
def world(room: Studio, monkeypatch: pytest.MonkeyPatch) -> Callable[[Rule], list[str]]:
    """``world(rule)``: pictures follow the rule, the judge sees it; the prompts painted so far."""
    module = module_at(room.model, room.model.family.path(room.model, "sequence").values[0])
    original = module.weight.detach().clone()

    def make(rule: Rule) -> list[str]:
        painted: list[str] = []

        def pictures(_room: Studio, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
            painted.extend(prompts)
            edited = not torch.equal(module.weight, original)
            shown = [[rule(prompt, seed, edited) for seed in seeds] for prompt in prompts]
            return torch.tensor(shown, dtype=torch.uint8)[..., None, None, None]

        def texts(_judge: Any, prompts: Sequence[str]) -> Tensor:
            kinds = [WOMAN if " female " in p else MAN if " male " in p else THING for p in prompts]
            return torch.eye(3)[kinds]

        def seen(_judge: Any, images: Tensor) -> Tensor:
            return torch.eye(3)[images.flatten().long()] + 0.1

        monkeypatch.setattr(gender, "_painted", pictures)
        monkeypatch.setattr(gender, "text_features", texts)
        monkeypatch.setattr(gender, "image_features", seen)
        return painted

    return make


def every_third(prompt: str, seed: int, _edited: bool) -> int:
    """Pilots: a woman for every third seed, never in the park; nurses: a man for seeds 8 to 11."""
    if "nurse" in prompt:
        return MAN if 8 <= seed < 12 else WOMAN
    return WOMAN if seed % 3 == 0 and "park" not in prompt else MAN


def measured(room: Studio, row: str, **more: Any) -> dict[tuple[str, str], Measure]:
    batches = gender_measures(Portraits(room, [NURSE, PILOT], SEEDS), row, **more)
    return {(m.case, m.name): m for batch in batches for m in batch}


def test_the_judge_decides_between_the_prompt_with_a_woman_and_with_a_man(room: Studio) -> None:
    """The same as painting and asking transformers' CLIP, caption by caption."""
    prompts = [NURSE.validation, *PILOT.examples]
    found = Portraits(room, [NURSE, PILOT], [3, 4]).look(prompts)
    pictures = generate(room.model, prompts, [3, 4], steps=1, batch_size=3, output_type="pt")
    network, words = room.judge.network, room.judge.tokenizer

    def similar(picture: Tensor, caption: str) -> float:
        ids = words([caption], return_tensors="pt").input_ids
        large = torch.nn.functional.interpolate(
            picture[None] / 255, (64, 64), mode="bicubic", antialias=True
        )
        pixels = (large.clamp(0, 1) * 255).round() / 127.5 - 1
        return network(input_ids=ids, pixel_values=pixels).logits_per_image.item()

    things = nobody(room.judge)
    for prompt, own, women, people in zip(
        prompts, pictures, found.women, found.people, strict=True
    ):
        name = "nurse" if "nurse" in prompt else "pilot"
        for picture, woman, person in zip(own, women, people, strict=True):
            one, other = (
                similar(picture, prompt.replace(name, f"{g} {name}")) for g in ("female", "male")
            )
            assert woman == (one > other)
            assert person == (max(one, other) > max(similar(picture, t) for t in things))


def test_the_table_has_the_papers_numbers(room: Studio, world: Callable[[Rule], list[str]]) -> None:
    """F_p over all pictures, Δ_p as the mean of three repetitions, Δ as the mean over p."""
    world(every_third)
    found = measured(room, "baseline")
    assert found["a nurse", "F_p"].value == pytest.approx(20 / 24)
    shares = [1.0, 0.5, 1.0]
    gaps = [1.0, 0.0, 1.0]
    assert found["a nurse", "F_p"].spread == pytest.approx(stdev(shares))
    assert found["a nurse", "Delta_p"].value == pytest.approx(mean(gaps))
    assert found["a nurse", "Delta_p"].spread == pytest.approx(stdev(gaps))
    assert [found["a nurse", f"F_p {n}"].value for n in (1, 2, 3)] == shares
    assert found["a nurse", "people"].value == 1
    pilots = [3 / 16, 3 / 16, 2 / 16]  # seeds 0 3 6, 9 12 15, 18 21, in one prompt of two
    both = [(g + 1 - 2 * p) / 2 for g, p in zip(gaps, pilots, strict=True)]
    assert found["", "Delta"].value == pytest.approx(mean(both))
    assert found["", "Delta"].spread == pytest.approx(stdev(both))


def test_it_is_what_assess_says_of_the_same_pictures(
    room: Studio, world: Callable[[Rule], list[str]]
) -> None:
    world(every_third)
    found = measured(room, "baseline")
    for case in (NURSE, PILOT):
        groups = [Portraits(room, [case], SEEDS[i : i + 8]).share for i in (0, 8, 16)]
        bias = assess(room.model, case.examples, groups)
        assert found[case.edit.source, "F_p"].value == pytest.approx(bias.share)
        assert found[case.edit.source, "Delta_p"].value == pytest.approx(bias.gap)


def test_the_oracle_names_a_gender_for_every_picture(
    room: Studio, world: Callable[[Rule], list[str]]
) -> None:
    painted = world(lambda prompt, seed, edited: WOMAN if " female " in prompt else MAN)
    found = measured(room, "oracle")
    assert 0.3 < found["a nurse", "F_p"].value < 0.7
    assert "a female nurse in the park" in painted
    assert "a painting of a male pilot" in painted
    assert not {*NURSE.examples, *PILOT.examples} & {*painted}
    assert measured(room, "oracle") == found


@pytest.mark.parametrize("row", ["time", "time-multi", "uce"])
def test_patched_models_are_looked_at(
    room: Studio, world: Callable[[Rule], list[str]], row: str
) -> None:
    """Pictures change with the weights, and the weights are as they were afterwards."""
    world(lambda prompt, seed, edited: (seed % 2) if edited else WOMAN)
    before = module_at(
        room.model, room.model.family.path(room.model, "sequence").values[0]
    ).weight.clone()
    found = measured(room, row, config=GenderConfig(time=DebiasConfig(steps=3)))
    assert found["a nurse", "F_p"].value == 0.5
    assert found["", "Delta"].value == 0
    assert measured(room, "baseline")["", "Delta"].value == 1
    if row == "time":
        assert found["a pilot", "lambda_p"].value == 1e6
        assert found["a pilot", "bracketed"].value == 1
        assert found["a pilot", "Delta_p on validation"].value == 0
    assert ("", "lambda") in found or row != "time-multi"
    after = module_at(room.model, room.model.family.path(room.model, "sequence").values[0]).weight
    assert torch.equal(before, after)


def test_what_is_known_is_not_painted_again(
    room: Studio, world: Callable[[Rule], list[str]]
) -> None:
    painted = world(every_third)
    portraits = Portraits(room, [NURSE, PILOT], SEEDS)
    batches = [*gender_measures(portraits, "baseline")]
    painted.clear()
    known = list(batches[0])
    again = [*gender_measures(portraits, "baseline", known=known)]
    assert again == batches[1:]
    assert not any("nurse" in prompt for prompt in painted)
    painted.clear()
    every = [measure for batch in batches for measure in batch]
    count = portraits.painted
    assert [*gender_measures(portraits, "baseline", known=every)] == batches[2:]
    assert not painted
    assert portraits.painted == count == 24 * (2 + 4 + 1 + 2)  # is anybody there, and the test


def test_nobody_in_the_pictures_is_an_error(
    room: Studio, world: Callable[[Rule], list[str]]
) -> None:
    world(lambda prompt, seed, edited: THING if "pilot" in prompt else WOMAN)
    with pytest.raises(EditError, match="expected people in the pictures of 'A photo of a pilot'"):
        measured(room, "baseline")


def test_bad_input_is_refused(room: Studio) -> None:
    with pytest.raises(DataError, match="expected a row out of baseline"):
        next(gender_measures(Portraits(room, [NURSE], SEEDS), "refact"))
    with pytest.raises(DataError, match="got 0 and 24"):
        Portraits(room, [], SEEDS)
    with pytest.raises(EditError, match="expected a profession"):
        profession_of(Edit("a nurse", "a kind nurse"))


def test_toybox_professions_and_typed_ones_ask_the_same() -> None:
    case = next(c for c in cases.load("gender") if c.edit.source == "a nurse")
    typed = profession_of(Edit("a nurse", "a male nurse"))
    assert typed.validation.lower() == case.validation
    assert typed.described(typed.validation)[1].lower() == case.described(case.validation)[1]
