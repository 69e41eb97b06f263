"""What the exhaustive and the fast search begin with, and how both say what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from overpaint.localize.painter import Painter
from overpaint.localize.search import LocoGenConfig, goal_score, passes, window_widths
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress


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
    widths = window_widths(painter.depth, config)
    if not ends:
        return Start(painter, widths)
    whole = [range(0), range(painter.depth)]
    pictures, (clean, full) = painter.paint(whole, "the ends", progress)
    goal = goal_score(painter.rule, config, clean, full)
    return Start(painter, widths, clean, full, goal, pictures[0])
