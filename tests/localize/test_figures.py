"""Figures: what is drawn fits what was found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from overpaint.errors import DataError
from overpaint.localize.causal_trace import Trace
from overpaint.localize.figures import WIDE, curve_plot, heat_map, layer_plot, score_plot, strip
from overpaint.localize.neurons import Point
from overpaint.pictures import ACCENT
from overpaint.types import Localization

IMAGES = torch.randint(0, 255, (3, 2, 2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
FOUND = Localization(
    "style",
    (1, 2),
    (20.0, 12.5, 18.0),
    2,
    images=IMAGES.to(torch.uint8),
    clean=IMAGES[0].to(torch.uint8),
    info={"originals": ["a", "b"], "targets": ["c", "d"], "clean": 25.0},
)


def test_strip_has_a_column_for_every_window_and_a_row_for_every_prompt_and_seed() -> None:
    narrow, tall = strip(FOUND), strip(FOUND, seeds=2)
    assert narrow.width == tall.width > 4 * 128
    assert tall.height > narrow.height + 2 * 128
    wider = torch.cat([FOUND.images, FOUND.images])  # type: ignore[list-item]
    more = Localization(FOUND.kind, (1, 2), FOUND.scores * 2, 2, wider, FOUND.clean, FOUND.info)
    assert strip(more).width == narrow.width + 3 * (128 + 8)


def test_strip_names_the_scores_and_frames_the_chosen_window() -> None:
    narrow = strip(FOUND, cell=64)
    assert narrow.width < strip(FOUND).width
    other = dataclasses.replace(FOUND, layers=(0, 1))
    frames = []
    for found in (FOUND, other):
        pixels = np.asarray(strip(found))
        frames.append(np.argwhere((pixels == np.array(ACCENT)).all(-1)).min(0)[1])
    assert frames[0] - frames[1] == 128 + 8  # one column further right
    rescored = dataclasses.replace(FOUND, scores=(20.0, 12.5, 44.0))
    assert (np.asarray(strip(rescored)) != np.asarray(strip(FOUND))).any()


def test_strip_without_pictures_is_a_named_error() -> None:
    with pytest.raises(DataError, match="kept no pictures"):
        strip(Localization("style", (1, 2), (1.0, 2.0), 2))


def test_plots_are_pictures_with_something_on_them() -> None:
    effects = torch.tensor([[0.5, float("nan")], [-0.2, 1.5]])
    trace = Trace(("ResNet", "MLP"), ("down 0.0", "mid 0"), effects, 30.0, 20.0)
    assert trace.best == ("MLP", "mid 0")
    curve = (Point(0, 30.0, 25.0), Point(10, 20.0, 24.0))
    one, two = score_plot({"style": FOUND}), score_plot({"style": FOUND, "fact": FOUND})
    for image in (one, two, heat_map({"UNet": trace}), heat_map({"a": trace, "b": trace})):
        assert len(image.getcolors(1 << 20)) > 10  # type: ignore[arg-type]
    assert one.tobytes() != two.tobytes()
    assert len(curve_plot({"zorvan": curve}).getcolors(1 << 20)) > 10  # type: ignore[arg-type]


def test_layer_plot_shows_every_line_and_both_ends() -> None:
    ends = {"happy": 40.0, "sad": 45.0}
    drawn = [
        layer_plot(curves, (0, 2), ends, asked)
        for curves in ({"happy": (50.0, 60.0)}, {"happy": (50.0, 60.0), "sad": (55.0, 52.0)})
        for asked in ({"happy": 70.0, "sad": 70.0}, {"happy": 62.0, "sad": 70.0})
    ]
    assert {image.width for image in drawn} == {round(150 * WIDE)}
    assert len({image.tobytes() for image in drawn}) == 4
