"""LocoGen without painting every window: foresee all, sketch the best, paint one.

Not in the paper. What every window would do is foreseen in the first steps of an unchanged run
(:mod:`overpaint.localize.foresee`). The few best are painted roughly, in a handful of steps, and
the best of these as LocoGen would paint it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from overpaint.errors import EditError
from overpaint.localize.foresee import foreseen
from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, windows_of
from overpaint.localize.start import begin
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress


@dataclass(frozen=True)
class FastConfig:
    """How :func:`fast_locogen` saves work.

    ``steps``       steps of the run in which the effect of every window is foreseen.
    ``looks``       after how many of the first of them.
    ``trial``       on how many seeds.
    ``candidates``  how many windows of each m are sketched, that is painted in few steps.
    ``sketch``      steps of a sketch.
    ``sketches``    on how many seeds.
    """

    steps: int = 6
    looks: int = 2
    trial: int = 1
    candidates: int = 5
    sketch: int = 4
    sketches: int = 2

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if min(astuple(self)) < 1:
            raise EditError(f"expected settings of at least 1, got {self}")
        if self.looks >= self.steps:
            raise EditError(f"expected fewer than {self.steps} looks, the steps, got {self.looks}")


@dataclass(frozen=True)
class Choice:
    """Which of some windows is best by foresight and sketches.

    ``best`` and ``sketched`` are numbers of windows, the latter best foreseen first; ``expected``
    are scores of all, those of sketches where there are any.
    """

    best: int
    sketched: tuple[int, ...]
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

    The chosen window's score is exact; those of the others are estimates, moved so that the
    estimate for the chosen one is right. ``info`` names the windows that were ``sketched``. No
    pictures are kept. Errors are those of ``locogen``.
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
    return start.found(windows[choice.best], scores, sketched=sorted(choice.sketched))


def choose(
    painter: Painter,
    windows: Sequence[range],
    fast: FastConfig,
    progress: Progress | None = None,
) -> Choice:
    """The best of ``windows``, by the mean score over all prompts, none of them painted in full."""
    seeds, sign = painter.config.seeds, painter.rule.sign
    ahead = foreseen(
        painter, windows, seeds[: fast.trial], steps=fast.steps, looks=fast.looks, progress=progress
    )
    expected = ahead.mean((1, 2)).tolist()
    ranked = sorted(range(len(windows)), key=lambda j: -sign * expected[j])
    chosen = ranked[: fast.candidates]
    pictures = painter.pictures(
        [windows[j] for j in chosen],
        seeds[: fast.sketches],
        "sketching",
        progress,
        steps=fast.sketch,
    )
    sketches = painter.scores(pictures).mean((1, 2)).tolist()
    # What is foreseen early is blurred: bring it to the level of the sketches.
    shift = (sum(sketches) - sum(expected[j] for j in chosen)) / len(chosen)
    known = dict(zip(chosen, sketches, strict=True))
    best = max(chosen, key=lambda j: sign * known[j])
    estimates = tuple(known.get(j, each + shift) for j, each in enumerate(expected))
    return Choice(best, tuple(chosen), estimates)
