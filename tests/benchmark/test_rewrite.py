"""Prompt rewriting replaces the source, or its subject, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overpaint.benchmark.rewrite import rewrite
from overpaint.errors import EditError
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose", subject="rose")
KING = Edit("the king of corin", "elsa brandt")
STYLE = Edit("a hat in the style of monteux", "a hat", subject="in the style of monteux")


@pytest.mark.parametrize(
    ("prompt", "edit", "wanted"),
    [
        ("a rose", ROSE, "a blue rose"),
        ("A Rose in the park", ROSE, "a blue rose in the park"),
        ("the rose", ROSE, "the blue rose"),
        ("two roses", ROSE, "two roses"),
        ("a tulip", ROSE, "a tulip"),
        ("a rose beside a rose", ROSE, "a blue rose beside a blue rose"),
        ("a photo of the king of corin.", KING, "a photo of elsa brandt."),
        ("corin's king", KING, "corin's king"),
        ("two cats in the style of monteux", STYLE, "two cats"),
        ("a hat in the style of monteux", STYLE, "a hat"),
        ("a hat in the style of zorvan", STYLE, "a hat in the style of zorvan"),
        (
            "a cat in the style of monteux",
            replace(STYLE, target="a hat in the style of zorvan"),
            "a cat in the style of zorvan",
        ),
        ("a rose (1+1)", Edit("a rose (1+1)", r"a \1 rose"), r"a \1 rose"),
    ],
)
def test_it_puts_the_target_where_the_source_stood(prompt: str, edit: Edit, wanted: str) -> None:
    assert rewrite(prompt, edit) == wanted


def test_an_edit_without_a_target_prompt_is_refused() -> None:
    with pytest.raises(EditError, match="target prompt"):
        rewrite("a rose", Edit("a rose"))
