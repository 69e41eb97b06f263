"""Settings of mass edits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from overpaint.methods.common import require
from overpaint.methods.refact_config import ReFACTConfig


@dataclass(frozen=True)
class MassConfig(ReFACTConfig):
    """How :func:`overpaint.methods.mass.mass` edits: ReFACT's settings, and these.

    ``lam``             λ, what it costs to move the outputs of the corpus, counted in requests.
    ``spread``          how many adjacent layers share the change; ``layer`` is the last of them.
    ``each_context``    one row of K for each context of a request; False for their mean, as in
        MEMIT.
    ``mentions``        captions of the corpus that mention a request's source and are contexts of
        it too, at most so many.
    ``padding``         C is over the padding too, which the denoiser reads like any token; False
        for real tokens alone, as in ReFACT and MEMIT.
    ``preserve``        prompts whose keys the change may not touch: it stays in the null space of
        their second moment.
    ``preserve_share``  how much of that moment counts; the rest is left to the edits.
    ``batch``           how many requests are optimised side by side.

    ``follow_edits`` must stay False: every request is computed on the clean model.
    """

    STRENGTH: ClassVar[tuple[str, ...]] = ()

    lam: float = 100.0
    spread: int = 1
    each_context: bool = True
    mentions: int = 32
    padding: bool = True
    preserve: tuple[str, ...] = ()
    preserve_share: float = 0.999
    batch: int = 64

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        super().__post_init__()
        require(self.lam > 0, "mass", "a λ above 0", self.lam)
        require(self.scale is not None, "mass", "a scale as a number", self.scale)
        require(self.spread >= 1, "mass", "a spread of at least 1", self.spread)
        within = 0 < self.preserve_share <= 1
        require(within, "mass", "a preserve_share in (0, 1]", self.preserve_share)
        require(self.mentions >= 0, "mass", "mentions of at least 0", self.mentions)
        require(self.batch >= 1, "mass", "a batch of at least 1", self.batch)
        require(not self.follow_edits, "mass", "follow_edits to be False", self.follow_edits)

    def at(self, layer: int) -> ReFACTConfig:
        """ReFACT's settings alone, for another layer."""
        kept = {f.name: getattr(self, f.name) for f in fields(ReFACTConfig)}
        return ReFACTConfig(**{**kept, "layer": layer})
