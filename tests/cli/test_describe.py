"""Patches in words: what an edit makes of its source."""

from __future__ import annotations

import pytest
import torch

from overpaint.cli.describe import edit_texts
from overpaint.types import Edit, Patch

PICTURE = torch.zeros(3, 8, 8)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (Edit("a rose", "a blue rose"), "a rose -> a blue rose"),
        (Edit("a rose"), "a rose -> erased"),
        (Edit("a rose", images=(PICTURE,)), "a rose -> 1 picture"),
        (Edit("a rose", images=(PICTURE, PICTURE)), "a rose -> 2 pictures"),
    ],
)
def test_an_edit_says_what_its_source_becomes(edit: Edit, text: str) -> None:
    assert edit_texts(Patch((), "uce", (edit,), {})) == [text]


def test_a_loaded_patch_knows_of_the_pictures_it_no_longer_has() -> None:
    hashes = {"target_images": [[{"sha256": "", "shape": [3, 8, 8]}], []]}
    patch = Patch((), "finetune", (Edit("a rose"), Edit("a tulip")), {}, info=hashes)
    assert edit_texts(patch) == ["a rose -> 1 picture", "a tulip -> erased"]
