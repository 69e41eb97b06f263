"""LocoGen: which adjacent cross-attention layers control a visual attribute.

Basu, Rezaei, Kattakinda, Morariu, Zhao, Rossi, Manjunatha, Feizi, "On Mechanistic Knowledge
Localization in Text-to-Image Generative Models", section 5 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from overpaint.localize.search import LocoGenConfig, windows_of, winner
from overpaint.localize.start import begin
from overpaint.models.clip import Clip
from overpaint.models.model import Model
from overpaint.types import Localization, Progress


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

    LocoGen, algorithm 1: every window of m layers gets the embeddings of ``targets``, all other
    layers those of ``originals``, from the same noise; the unconditional branch is left alone. The
    window with the lowest mean CLIP-Score with the original prompt is taken for the kinds ``style``
    and ``object``, for ``fact`` the one with the highest score with the target. ``info`` tells the
    scores of every m tried, of the clean model and of the target in every layer, and whether the
    threshold was ``passed``; when no m passes, the best window of the widest is returned.

    EditError for an unknown kind, PromptError for lists of different length, SiteError for a window
    wider than the model. Nothing in the model is changed.
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
