"""Grids of pictures: layout, labels, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from overpaint.errors import DataError
from overpaint.pictures import (
    ACCENT,
    LABEL_WIDTH,
    MARGIN,
    Row,
    font,
    grid,
    read_picture,
    save_picture,
    wrapped,
)


def plain(colour: tuple[int, int, int], n: int = 3, side: int = 16) -> torch.Tensor:
    """``n`` pictures of one colour, ``[n, 3, side, side]`` uint8."""
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(n, 3, side, side)


def pixels_of(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == np.array(colour)).all(-1).sum())


def test_grid_shows_every_picture_whole() -> None:
    red, blue = (250, 10, 20), (10, 20, 250)
    rows = [Row(plain(red), "a rose", "before"), Row(plain(blue), "a rose", "after", changed=True)]
    image = grid(rows, ["1", "2", "3"], title="a rose becomes a blue rose")
    assert pixels_of(image, red) == 3 * 128 * 128
    assert pixels_of(image, blue) == 3 * 128 * 128


def test_grid_marks_only_changed_rows() -> None:
    before = Row(plain((9, 9, 9)), "a rose", "before")
    after = Row(plain((9, 9, 9)), "a rose", "after", changed=True)
    assert pixels_of(grid([before, before], "123"), ACCENT) == 0
    assert pixels_of(grid([before, after], "123"), ACCENT) >= 4 * 128


def test_grid_frames_one_picture_and_covers_none() -> None:
    rows = [Row(plain((9, 9, 9)), "a rose", framed=1), Row(plain((9, 9, 9)), "a tulip")]
    image = grid(rows, "123")
    assert pixels_of(image, (9, 9, 9)) == 6 * 128 * 128
    there = np.argwhere((np.asarray(image) == np.array(ACCENT)).all(-1))
    assert len(there) > 4 * 128
    assert set(there.max(0) - there.min(0)) == {128 + 7}  # a square around one picture


def test_grid_keeps_pictures_in_their_rows_and_columns() -> None:
    colours = [(10, 0, 0), (0, 10, 0), (0, 0, 10), (10, 10, 0)]
    pictures = torch.cat([plain(colour, n=1) for colour in colours])
    image = np.asarray(grid([Row(pictures[:2], "a"), Row(pictures[2:], "b")], ["1", "2"]))
    middle = [np.argwhere((image == np.array(c)).all(-1)).mean(0) for c in colours]
    assert middle[0][0] == middle[1][0] < middle[2][0] == middle[3][0]
    assert middle[0][1] == middle[2][1] < middle[1][1] == middle[3][1]


def test_long_prompt_stays_out_of_the_next_group() -> None:
    below = Row(plain((9, 9, 9)), "a rose", "before")
    sheets = [
        np.asarray(grid([Row(plain((9, 9, 9)), prompt, "before"), below], "123"))
        for prompt in ("a tulip", "a tulip in the park " * 20)
    ]
    lower = 128 + 28 + 10  # the second group with its margin and half of the gap above it
    assert (sheets[0] != sheets[1]).any()
    assert (sheets[0][-lower:] == sheets[1][-lower:]).all()


def test_a_long_heading_stays_above_its_own_column() -> None:
    row = Row(plain((0, 0, 0), 2), "a rose")
    short, long = (
        np.asarray(grid([row], [text, ""], cell=64)) for text in ("", "a rose in the snow, seed 0")
    )
    changed = np.flatnonzero((short != long).any(axis=(0, 2)))
    assert len(changed)
    assert changed.max() < MARGIN + LABEL_WIDTH + 64


def test_grid_refuses_rows_that_do_not_fit_the_headings() -> None:
    with pytest.raises(ValueError, match="2 columns expected"):
        grid([Row(plain((9, 9, 9)), "a rose")], ["1", "2"])


def test_grid_refuses_pictures_of_several_sizes() -> None:
    rows = [Row(plain((9, 9, 9), side=side), "a rose") for side in (16, 32)]
    with pytest.raises(ValueError, match="of pictures of one size"):
        grid(rows, "123")
    with pytest.raises(ValueError, match="of pictures of one size"):
        grid([Row([Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9))], "a rose")], "12")


def test_grid_takes_pillow_pictures_and_tensors_alike() -> None:
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    images = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pixels]
    sheets = [np.asarray(grid([Row(pictures, "a rose")], "12")) for pictures in (pixels, images)]
    assert (sheets[0] == sheets[1]).all()
    grey = grid([Row([image.convert("L") for image in images], "a rose")], "12")
    assert grey.mode == "RGB"


def test_grid_keeps_the_shape_of_pictures() -> None:
    """A picture twice as wide as high stays so."""
    wide = torch.full((1, 3, 16, 32), 9, dtype=torch.uint8)
    rows = [Row(wide, "a rose"), Row(wide, "a tulip", framed=0)]
    for cell, (width, height) in ((0, (128, 64)), (50, (50, 25))):
        sheet = np.asarray(grid(rows, "1", cell=cell))
        there = np.argwhere((sheet == 9).all(-1))
        assert len(there) == 2 * width * height
        assert np.ptp(there[:, 1]) == width - 1
        framed = np.argwhere((sheet == np.array(ACCENT)).all(-1))
        assert tuple(np.ptp(framed, axis=0)) == (height + 7, width + 7)


@given(st.text(max_size=120), st.integers(40, 300))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    lines = wrapped(text, font(15), width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(font(15).getlength(line) <= width for line in lines)


def drawn(letter: str, like: str) -> np.ndarray:
    """``letter`` in the font of ``like``."""
    sheet = Image.new("L", (40, 40))
    ImageDraw.Draw(sheet).text((5, 5), letter, 255, font(18, like))
    return np.asarray(sheet)


@pytest.mark.parametrize("letter", "→≥éλ∆ßЖ✗±×₁−“…")
def test_letters_beyond_ascii_are_drawn_and_not_as_a_box(letter: str) -> None:
    box = drawn("\uffff", letter)
    assert box.any()
    assert drawn(letter, letter).any()
    assert (drawn(letter, letter) != box).any()


@pytest.mark.parametrize("place", ["prompt", "note", "title", "column"])
def test_every_label_has_letters_beyond_ascii(place: str) -> None:
    def sheet(text: str) -> np.ndarray:
        said = dict.fromkeys(("prompt", "note", "title", "column"), "a") | {place: text}
        row = Row(plain((9, 9, 9), n=1), said["prompt"], said["note"])
        return np.asarray(grid([row], [said["column"]], title=said["title"]))

    assert (sheet("é") != sheet("λ")).any()  # two boxes would be alike


def test_picture_survives_a_file(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    path = save_picture(Image.fromarray(pixels.permute(1, 2, 0).numpy()), tmp_path / "p.png")
    assert torch.equal((read_picture(path) * 255).round().to(torch.uint8), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_failed_save_leaves_the_old_picture(tmp_path: Path) -> None:
    path = save_picture(Image.new("RGB", (4, 4), "red"), tmp_path / "p.png")
    broken = Image.new("RGB", (4, 4))
    broken.save = _half_written  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(OSError, match="disk full"):
        save_picture(broken, path)
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    assert read_picture(path)[0].min() == 1


def _half_written(path: Path, **_: object) -> None:
    path.write_bytes(b"half")
    raise OSError("disk full")


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_file_that_is_no_picture_is_a_data_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "p.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected a picture, got .*p\.png"):
        read_picture(path)
