"""LocoGen without painting every window: sketch all, sketch the best again, paint one.

Not in the paper. A sketch is a picture painted in a handful of steps. It is rough, but all windows
are alike in that, and it tells which of them has the attribute; a fully painted picture spends most
of its evaluations on what the score does not ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch

from overpaint.errors import EditError
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of, winner
from overpaint.localize.start import begin
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress


@dataclass(frozen=True)
class FastConfig:
    """How :func:`fast_locogen` saves work.

    ``steps``       steps of a sketch.
    ``trial``       on how many seeds all windows are sketched.
    ``candidates``  how many windows of each m, the best, are sketched on all other seeds too.
    """

    steps: int = 3
    trial: int = 1
    candidates: int = 2

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if min(astuple(self)) < 1:
            raise EditError(f"expected settings of at least 1, got {self}")


@dataclass(frozen=True)
class Choice:
    """Which of some windows is best by its sketches.

    ``best`` and ``candidates`` are numbers of windows, the latter best first after the trial;
    ``expected`` are the mean scores of the sketches of every window.
    """

    best: int
    candidates: tuple[int, ...]
    expected: tuple[float, ...]


def fast_locogen(
    model: Model,
    clip: Clip,
    kind: str,
    originals: Sequence[str],
    targets: Sequence[str],
    config: LocoGenConfig | None = None,
    fast: FastConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Localization:
    """:func:`overpaint.localize.locogen.locogen`, painting only the best window of each m in full.

    The chosen window's score is exact; those of the others are those of sketches, moved so that the
    chosen one's is right. ``info`` names the ``candidates``. No pictures are kept. Errors are those
    of ``locogen``.
    """
    config, fast = config or LocoGenConfig(), fast or FastConfig()
    ends = config.window is None  # only a search for m needs to know them
    start = begin(model, clip, kind, originals, targets, config, ends=ends, progress=progress)
    painter = start.painter
    for width in start.widths:
        windows = windows_of(painter.depth, width)
        choice = choose(painter, windows, fast, progress)
        _, (exact,) = painter.paint([windows[choice.best]], "the best", progress)
        if start.passed(exact):
            break
    shift = exact - choice.expected[choice.best]
    scores = [shift + each for each in choice.expected]
    return start.found(windows[choice.best], scores, candidates=sorted(choice.candidates))


def choose(
    painter: Painter,
    windows: Sequence[range],
    fast: FastConfig,
    progress: Progress | None = None,
) -> Choice:
    """The best of ``windows``, by the mean score over all prompts, none of them painted in full."""
    seeds, sign = painter.config.seeds, painter.rule.sign
    trial, rest = seeds[: fast.trial], seeds[fast.trial :]

    def sketched(some: Sequence[range], seeds: Sequence[int], what: str) -> torch.Tensor:
        pictures = painter.pictures(some, seeds, what, progress, steps=fast.steps)
        return painter.scores(pictures)

    first = sketched(windows, trial, "sketching all")
    expected = first.mean((1, 2)).tolist()
    ranked = sorted(range(len(windows)), key=lambda j: -sign * expected[j])
    chosen = ranked[: fast.candidates]
    if rest and len(chosen) > 1:
        again = sketched([windows[j] for j in chosen], rest, "sketching the best")
        means = torch.cat([first[chosen], again], dim=-1).mean((1, 2)).tolist()
    else:
        means = [expected[j] for j in chosen]
    best = winner(painter.rule, means)
    # Other seeds have another level: bring what only the trial knows to that of the candidates.
    shift = sum(means) / len(means) - sum(expected[j] for j in chosen) / len(chosen)
    known = dict(zip(chosen, means, strict=True))
    estimates = tuple(known.get(j, each + shift) for j, each in enumerate(expected))
    return Choice(chosen[best], tuple(chosen), estimates)
