"""Labelled grids of pictures, and pictures to and from files: Pillow only, no model.

Used by the command line, the benchmark report and the web page. A grid is drawn from plain
values: rows of equally many pictures, each row with its prompt and what was done to the model.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from overpaint.errors import DataError

PAPER = (250, 249, 246)
INK = (34, 34, 38)
MUTED = (128, 126, 122)
RULE = (222, 219, 212)
ACCENT = (186, 72, 40)  # what a patch painted

MARGIN = 28
GAP = 8
GROUP_GAP = 26
LABEL_WIDTH = 220
LINE = 23  # height of a line of text

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Row:
    """One row of a grid: ``pictures``, as many and as large as in every other row.

    They are Pillow pictures, or a tensor ``[n, 3, H, W]`` uint8.

    Neighbouring rows of the same ``prompt`` form a group that names it once. ``note`` says what
    painted the row ("before", a patch's name); ``changed`` rows are marked with a coloured edge,
    the picture number ``framed`` with a coloured frame.
    """

    pictures: torch.Tensor | Sequence[Image.Image]
    prompt: str
    note: str = ""
    changed: bool = False
    framed: int | None = None


def grid(
    rows: Sequence[Row], columns: Sequence[str], *, title: str = "", cell: int = 0
) -> Image.Image:
    """A labelled sheet of ``rows`` under the headings ``columns``, as an RGB picture.

    ``cell`` is the width of one picture in pixels; 0 means the pictures' own, doubled until it is
    at least 128. Raises ``ValueError`` when the rows and headings do not fit together.
    """
    width, height = _size(rows, len(columns))
    cell = cell or _enlarged(width)
    tall = max(1, round(cell * height / width))
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row.prompt)]
    head = MARGIN + (40 if title else 0)
    width = 2 * MARGIN + LABEL_WIDTH + len(columns) * (cell + GAP) - GAP
    gaps = len(rows) * GAP + (len(groups) - 1) * (GROUP_GAP - GAP) - GAP
    sheet = Image.new("RGB", (width, head + 24 + len(rows) * tall + gaps + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        face = font(24, title)
        line = _shortened(wrapped(title, face, width - 2 * MARGIN), 1)[0]
        draw.text((MARGIN, MARGIN - 4), line, INK, face)
    for index, text in enumerate(columns):
        x = MARGIN + LABEL_WIDTH + index * (cell + GAP) + cell // 2
        face = font(14, text)
        for line in _shortened(wrapped(text, face, cell), 1):
            draw.text((x, head + 12), line, MUTED, face, anchor="ms")
    y = head + 24
    for number, group in enumerate(groups):
        if number:
            line = y - GROUP_GAP // 2
            draw.line([(MARGIN, line), (width - MARGIN, line)], RULE, 1)
        y = _draw_group(sheet, group, y, (cell, tall)) - GAP + GROUP_GAP
    return sheet


def _size(rows: Sequence[Row], count: int) -> tuple[int, int]:
    """Width and height of the pictures; ValueError unless all are alike, ``count`` in each row."""
    sizes = {image.size for row in rows for image in _images(row)}
    counts = {len(row.pictures) for row in rows}
    if counts != {count} or len(sizes) != 1:
        raise ValueError(
            f"{count} columns expected in every row, of pictures of one size, got {sorted(counts)} "
            f"of sizes {sorted(sizes)}"
        )
    return sizes.pop()


def _images(row: Row) -> list[Image.Image]:
    """The pictures of ``row`` in RGB."""
    return [to_image(p) if isinstance(p, torch.Tensor) else p.convert("RGB") for p in row.pictures]


def _draw_group(sheet: Image.Image, group: Sequence[Row], y: int, tile: tuple[int, int]) -> int:
    """Draw the rows of one prompt from height ``y``; returns the height below them."""
    cell, tall = tile
    draw = ImageDraw.Draw(sheet)
    face = font(18, group[0].prompt)
    lines = wrapped(group[0].prompt, face, LABEL_WIDTH - 24)
    notes = len(_noted(group[0]))
    room = (tall + GROUP_GAP // 2 - 6) // LINE - notes
    lines = _shortened(lines, max(1, room))
    for number, line in enumerate(lines):
        draw.text((MARGIN, y + number * LINE), line, INK, face)
    top = y + len(lines) * LINE + 6  # no note may stand on top of the prompt
    for row in group:
        note = _noted(row)
        middle = max(top, y + (tall - len(note) * LINE) // 2)
        for number, line in enumerate(note):
            colour = ACCENT if row.changed else MUTED
            draw.text((MARGIN, middle + number * LINE), line, colour, font(15, row.note))
        if row.changed:
            edge = MARGIN + LABEL_WIDTH - 12
            draw.rectangle([edge, y, edge + 3, y + tall - 1], ACCENT)
        for index, picture in enumerate(_images(row)):
            x = MARGIN + LABEL_WIDTH + index * (cell + GAP)
            sheet.paste(picture.resize(tile, Image.Resampling.BICUBIC), (x, y))
            if index == row.framed:
                draw.rectangle([x - 4, y - 4, x + cell + 3, y + tall + 3], None, ACCENT, 3)
        y += tall + GAP
    return y


def _noted(row: Row) -> list[str]:
    """The note of ``row`` in lines that fit beside its pictures."""
    return wrapped(row.note, font(15, row.note), LABEL_WIDTH - 36)


def _enlarged(side: int) -> int:
    """``side`` doubled until it is at least 128."""
    while side < 128:
        side *= 2
    return side


def font(size: int, text: str = "") -> Font:
    """A font that has the letters of ``text``, from a file: the same on every machine.

    Pillow's own has little beyond ASCII. Other texts are in DejaVu Sans, of which fonts/ holds
    the Latin, Greek and Cyrillic letters, arrows and signs of mathematics; scripts beyond these,
    such as 日本, would take fonts of megabytes and come out as boxes.
    """
    return _font(size, text.isascii())


@cache
def _font(size: int, plain: bool) -> Font:
    if plain:
        return ImageFont.load_default(size)
    letters = files("overpaint").joinpath("fonts", "DejaVuSans.ttf").read_bytes()
    return ImageFont.truetype(io.BytesIO(letters), size)


def wrapped(text: str, face: Font, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, broken at spaces and hyphens if possible."""
    lines: list[str] = []
    line = ""
    for piece in re.findall(r"[^\s-]*-|[^\s-]+\s*|\s+", text.strip()):
        if line and face.getlength(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
        while face.getlength(line.rstrip()) > width and len(line) > 1:
            fits = next(
                n
                for n in range(len(line) - 1, 0, -1)
                if n == 1 or face.getlength(line[:n]) <= width
            )
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line.rstrip()] if line.strip() else lines


def _shortened(lines: list[str], room: int) -> list[str]:
    """The first ``room`` lines, with dots where something was left out."""
    return lines if len(lines) <= room else [*lines[: room - 1], lines[room - 1][:-3] + "..."]


def to_image(picture: torch.Tensor) -> Image.Image:
    """``picture [3, H, W]`` uint8 as a Pillow picture."""
    return Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()))


def to_tensor(image: Image.Image) -> torch.Tensor:
    """An RGB picture of Pillow as ``[3, H, W]`` uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def read_picture(path: str | os.PathLike[str]) -> torch.Tensor:
    """The picture in a file as ``[3, H, W]`` float32 in [0, 1]; :class:`DataError` if not one."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    except OSError as error:
        raise DataError(
            f"expected a picture, got {os.fspath(path)!r}: {error.strerror or 'not a picture file'}"
        ) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def save_picture(image: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Write ``image`` as PNG to ``path``, whole or not at all; returns the path."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        image.save(part, format="PNG", optimize=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
