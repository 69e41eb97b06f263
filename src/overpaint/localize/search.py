"""The search over windows of layers: its settings, its windows, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from overpaint.errors import EditError, SiteError
from overpaint.localize.score import Kind
from overpaint.types import Sampling

WIDEST = 5  # the widest window the paper found necessary (SDXL, objects)


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


def windows_of(depth: int, width: int) -> list[range]:
    """Every window of ``width`` adjacent layers out of ``depth``, in forward order."""
    return [range(first, first + width) for first in range(depth - width + 1)]


def window_widths(depth: int, config: LocoGenConfig) -> range:
    """The m to try, in order; SiteError when the model has fewer layers."""
    for name, value in (("window", config.window), ("widest", config.widest)):
        if value is not None and value > depth:
            raise SiteError(
                f"the model has {depth} cross-attention layers, got {name} {value}; "
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
