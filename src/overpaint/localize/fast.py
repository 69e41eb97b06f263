"""LocoGen without painting every window: try all for one step, sketch a few, paint one.

Not in the paper. Most windows of layers do next to nothing, and that shows in a single evaluation
of the denoiser: a window that hardly changes what it says cannot change the picture. Those that are
left are sketched, that is painted in a handful of steps. A sketch is rough, but all are alike in
that, and it tells which window has the attribute; a whole painting spends most of its evaluations
on what the score does not ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from overpaint.errors import EditError
from overpaint.localize.locogen import LocoGenConfig, begin, windows_of, winner
from overpaint.localize.painter import Painter
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress


@dataclass(frozen=True)
class FastConfig:
    """How :func:`fast_locogen` saves work.

    ``candidates``  how many windows of each m, those that change most, are sketched.
    ``trial``       on how many seeds.
    ``steps``       of such a sketch; with three the order is often another than in full.
    ``finalists``   how many of them, the best, are sketched on the other seeds too.
    ``closer``      steps of the finalists' sketches.
    """

    candidates: int = 5
    trial: int = 1
    steps: int = 4
    finalists: int = 2
    closer: int = 6

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        if min(astuple(self)) < 1:
            raise EditError(f"expected settings of at least 1, got {self}")


@dataclass(frozen=True)
class Choice:
    """Which of some windows is best by its sketches.

    ``best`` and ``candidates`` are numbers of windows, the latter by their change, largest first;
    ``changes`` says how much every window changes, ``expected`` what it is expected to score.
    """

    best: int
    candidates: tuple[int, ...]
    changes: tuple[float, ...]
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

    The chosen window's score is exact; those of the others are expected ones, moved so that the
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
        _, (exact,) = painter.paint([windows[choice.best]], "the best", progress, snug=True)
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
    seeds = painter.config.seeds
    trial, rest = seeds[: fast.trial], seeds[fast.trial :]

    def sketched(some: Sequence[int], seeds: Sequence[int], steps: int, what: str) -> list[float]:
        chosen = [windows[j] for j in some]
        pictures = painter.pictures(chosen, seeds, what, progress, steps=steps, snug=True)
        return painter.scores(pictures).mean((1, 2)).tolist()

    changes = changes_of(painter, windows, progress)
    ranked = sorted(range(len(windows)), key=lambda j: -changes[j])
    candidates, idle = ranked[: fast.candidates], ranked[fast.candidates :][-1:]
    tried = [*candidates, *idle]  # the last one stands for all that are left out
    first = sketched(tried, trial, fast.steps, "sketching")
    expected = [first[tried.index(j) if j in tried else -1] for j in range(len(windows))]
    finalists = sorted(tried, key=lambda j: -painter.rule.sign * expected[j])[: fast.finalists]
    best = finalists[0]
    if len(finalists) > 1 and rest:
        more = sketched(finalists, rest, fast.closer, "sketching the best")
        share = len(rest) / len(seeds)
        again = [
            expected[j] + share * (new - expected[j])
            for j, new in zip(finalists, more, strict=True)
        ]
        best = finalists[winner(painter.rule, again)]
        # Other seeds, and closer sketches, have another level: bring the rest to it.
        shift = sum(again) / len(again) - sum(expected[j] for j in finalists) / len(finalists)
        known = dict(zip(finalists, again, strict=True))
        expected = [known.get(j, each + shift) for j, each in enumerate(expected)]
    return Choice(best, tuple(candidates), tuple(changes), tuple(expected))


def changes_of(
    painter: Painter, windows: Sequence[range], progress: Progress | None = None
) -> list[float]:
    """How much each window changes a picture of one step, without guidance, on the first seed.

    Mean squared difference of pixels from the unchanged model's; one evaluation for each window
    and prompt, and one more for each prompt.
    """
    seeds = painter.config.seeds[:1]
    every = [range(0), *windows]
    pictures = painter.pictures(every, seeds, "trying all", progress, trial=True, snug=True)
    pixels = pictures.float()
    return (pixels[1:] - pixels[:1]).square().flatten(1).mean(1).tolist()
