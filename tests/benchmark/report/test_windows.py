"""Windows of layers in the page: the best one leads, and none is called a failure."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import write_windows, written


def test_windows_stand_beside_one_another_and_none_is_wrong(tmp_path: Path) -> None:
    text, page = written(write_windows(tmp_path))
    assert (page.open, page.wrong) == ([], [])
    body = text.partition("<main>")[2].partition("<script>")[0]
    assert "worst" not in body.lower()
    assert 'class="shot wrong"' not in body
    style, *_ = re.findall(r'<details class="case".*?</details>', body, flags=re.DOTALL)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", style)
    assert captions == [
        "unedited<span>90.0</span>",
        "layers 0-1<span>70.0</span>",
        "<b>layers 1-2</b><span>60.0</span>",
    ]
    assert "<b>layers 1-2</b><span>best: 60.0</span>" in style


def test_a_kind_that_no_window_moves_says_so(tmp_path: Path) -> None:
    text, _ = written(write_windows(tmp_path))
    assert "<b>no window</b>" in text


def test_pictures_are_those_of_as_many_cases_as_asked(tmp_path: Path) -> None:
    text, page = written(write_windows(tmp_path), pictures=1)
    assert [tag for tag, _ in page.seen].count("img") == 3 + 2  # all states, and the pair
    assert "The first 1 of 3 cases have their pictures here." in text
