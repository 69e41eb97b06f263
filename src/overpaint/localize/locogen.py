"""LocoGen: which adjacent layers that read the text control a visual attribute.

Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi, "On Mechanistic Knowledge
Localization in Text-to-Image Generative Models", section 5 and algorithm 1. The layers are those of
cross-attention, as in the paper, or the blocks of models with joint attention; what it means there
that a layer reads another prompt is said in :mod:`overpaint.localize.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from overpaint.errors import EditError, SiteError
from overpaint.localize.painter import Painter
from overpaint.localize.score import Kind
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress, Sampling

WIDEST = 5
"""The widest window the paper found necessary (SDXL, objects)."""


@dataclass(frozen=True)
class LocoGenConfig(Sampling):
    """How LocoGen searches.

    ``window``      m, how many layers a window has; None: the smallest that passes.
    ``widest``      the largest m to try then; None: 5, or all layers of a smaller model.
    ``threshold``   the CLIP-Score that the best window has to reach (at most for style and object,
        at least for fact), as in the paper; None: found from ``share``.
    ``share``       how much of the way from the clean model's score to the score with the target
        in every layer the best window has to go. Thresholds of other models do not carry over;
        this does.
    ``seeds``       what every window is painted from.
    ``keep_images``  whether to keep what every window painted.
    """

    window: int | None = None
    widest: int | None = None
    threshold: float | None = None
    share: float = 0.8
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    keep_images: bool = True

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        super().__post_init__()
        for name, value in (("window", self.window), ("widest", self.widest)):
            if value is not None and value < 1:
                raise EditError(f"expected {name} of at least one layer, got {value}")
        if not 0 < self.share <= 1:
            raise EditError(f"expected a share above 0 and up to 1, got {self.share}")
        if not self.seeds:
            raise EditError("expected at least one seed, got none")


def locogen(
    model: Model,
    clip: Clip,
    kind: str,
    originals: Sequence[str],
    targets: Sequence[str],
    config: LocoGenConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Localization:
    """The m adjacent layers that turn ``originals`` into ``targets`` when they read the latter.

    LocoGen, algorithm 1: every window of m layers reads ``targets``, all other layers read
    ``originals``, from the same noise; the negative branch of guidance is left alone. The window
    with the lowest mean CLIP-Score with the original prompt is taken for the kinds ``style`` and
    ``object``, for ``fact`` the one with the highest score with the target. ``info`` tells the
    scores of every m tried, of the clean model and of the target in every layer, and whether the
    threshold was ``passed``; when no m passes, the best window of the widest is returned.

    EditError for an unknown kind, PromptError for lists of different length, SiteError for a window
    wider than the model, ModelError where it is not known which layers read the text. Nothing in
    the model is changed.
    """
    config = config or LocoGenConfig()
    start = begin(model, clip, kind, originals, targets, config, progress=progress)
    painter, tried = start.painter, {}
    for width in start.widths:
        windows = windows_of(painter.depth, width)
        images, scores = painter.paint(windows, f"windows of {width}", progress)
        tried[str(width)] = scores
        best = winner(painter.rule, scores)
        if start.passed(scores[best]):
            break
    kept = images if config.keep_images else None
    return start.found(windows[best], scores, kept, tried=tried)


def windows_of(depth: int, width: int) -> list[range]:
    """Every window of ``width`` adjacent layers out of ``depth``, in forward order."""
    return [range(first, first + width) for first in range(depth - width + 1)]


def window_widths(depth: int, config: LocoGenConfig, attention: str) -> range:
    """The m to try, in order; SiteError when the model has fewer layers."""
    for name, value in (("window", config.window), ("widest", config.widest)):
        if value is not None and value > depth:
            raise SiteError(
                f"the model has {depth} {attention} layers, got {name} {value}; "
                f"choose at most {depth}"
            )
    if config.window is not None:
        return range(config.window, config.window + 1)
    return range(1, (config.widest or min(WIDEST, depth)) + 1)


def goal_score(rule: Kind, config: LocoGenConfig, clean: float, full: float) -> float:
    """The score that the best window has to reach.

    ``clean`` is the score of the model as it is, ``full`` that with the target in every layer.
    EditError when the smallest window is searched and the targets make no difference.
    """
    if config.threshold is not None:
        return config.threshold
    if config.window is None and rule.sign * (full - clean) <= 0:
        raise EditError(
            f"the target prompts do not move the score as for a {rule.name} even in all layers "
            f"({clean:.2f} to {full:.2f}), so no window can; change the prompts, or give a window "
            "or a threshold"
        )
    return clean + config.share * (full - clean)


def winner(rule: Kind, scores: Sequence[float]) -> int:
    """The first of the best scores."""
    return max(range(len(scores)), key=lambda j: rule.sign * scores[j])


def passes(rule: Kind, score: float, goal: float, clean: float) -> bool:
    """Whether ``score`` is as good as ``goal``, and better than the clean model's."""
    return rule.sign * (score - goal) >= 0 and rule.sign * (score - clean) > 0


@dataclass(frozen=True, eq=False)
class Start:
    """Prompts that are ready to be painted, the m to try, and the score that is to be reached.

    ``clean`` is the score of the model as it is, ``full`` that with the target in every layer,
    ``pictures [prompts, seeds, 3, H, W]`` are those of the former; None where they were not
    painted.
    """

    painter: Painter
    widths: range
    clean: float | None = None
    full: float | None = None
    goal: float | None = None
    pictures: torch.Tensor | None = None

    def passed(self, score: float) -> bool | None:
        """Whether a window with this score is good enough; None if nobody asked."""
        if self.goal is None or self.clean is None:
            return None
        return passes(self.painter.rule, score, self.goal, self.clean)

    def found(
        self,
        window: range,
        scores: Sequence[float],
        images: torch.Tensor | None = None,
        **info: object,
    ) -> Localization:
        """``window`` as the result; ``info`` is added to what was measured here."""
        painter, known = self.painter, {}
        if self.goal is not None:
            known = {"clean": self.clean, "full": self.full, "threshold": self.goal}
        return Localization(
            kind=painter.rule.name,
            layers=tuple(window),
            scores=tuple(scores),
            window=len(window),
            images=images,
            clean=None if images is None else self.pictures,
            info={
                "originals": list(painter.originals),
                "targets": list(painter.targets),
                "seeds": list(painter.config.seeds),
                "attention": painter.attention,
                **known,
                "passed": self.passed(scores[window.start]),
                **info,
                "evaluations": painter.evaluations,
            },
        )


def begin(
    model: Model,
    clip: Clip,
    kind: str,
    originals: Sequence[str],
    targets: Sequence[str],
    config: LocoGenConfig,
    *,
    ends: bool = True,
    progress: Progress | None = None,
) -> Start:
    """Encode the prompts; with ``ends`` paint them with no target and with it in every layer.

    EditError for an unknown kind, PromptError for lists of different length, SiteError for a window
    wider than the model.
    """
    painter = Painter(model, clip, kind, originals, targets, config)
    widths = window_widths(painter.depth, config, painter.attention)
    if not ends:
        return Start(painter, widths)
    whole = [range(0), range(painter.depth)]
    pictures, (clean, full) = painter.paint(whole, "the ends", progress)
    goal = goal_score(painter.rule, config, clean, full)
    return Start(painter, widths, clean, full, goal, pictures[0])
