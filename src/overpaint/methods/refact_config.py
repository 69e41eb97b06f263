"""Settings of ReFACT and the contexts it averages over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

from overpaint.methods.common import require, require_templates
from overpaint.models.corpora import default_templates
from overpaint.models.model import Model
from overpaint.models.moments import Corpus

TEMPLATES = (
    "{}",
    "a photo of {}",
    "an image of {}",
    "a picture of {}",
    "a painting of {}",
    "a portrait of {}",
    "a photograph of {}",
    "a drawing of {}",
    "a sketch of {}",
    "a news image of {}",
    "a close view of {}",
    "{} in a photo",
    "{} in a painting",
)
"""One plain prompt and a dozen contexts around it."""


@dataclass(frozen=True)
class ReFACTConfig:
    """How :func:`overpaint.methods.refact.refact` edits. Defaults are the paper's (appendix A).

    ``layer``          of the text encoder, from 0; the paper takes 9 for attributes, 7 for roles
        and appearances.
    ``steps``, ``learning_rate``, ``stop``  of Adam on v*; it rests once the mean probability of
        the target passes ``stop``.
    ``contrast``       N: target, source and N - 2 captions that share no word with the edit.
    ``contrastive``    False for the direct loss (eq. 2): only the distance to the target.
    ``cosine``         cosine distance, times ``cosine_scale`` (CLIP's own), in place of L2.
    ``weight_decay``   of ‖δ‖ / ‖m₀‖²; the paper does not say how much.
    ``radius``         δ stays in a ball of ``radius`` times a reference norm; infinite for none.
    ``stream_share``   the reference norm is ‖m₀‖ for 0, that of the whole residual stream at the
        subject token for 1, and between them in between.
    ``scale``          δ is made so many times as long once it is found; None for a length chosen
        from text (:mod:`overpaint.methods.strength`).
    ``covariance_weight``  1 for C of the corpus (most specific), 0 for C = I (generalises most),
        or between them.
    ``templates``      contexts; "{}" stands for the source prompt. Those that make it too long for
        the model are left out. None for those that come with the model, or else ``TEMPLATES``.
    ``match_contexts`` True to steer each context towards the target *in that context* ("a sketch
        of" the source towards "a sketch of" the target), where the paper steers all of them
        towards the bare target. Keeps what the context adds.
    ``corpus``         captions for C and for contrast; None for those that come with the model,
        or else everyday ones.
    ``follow_edits``   of several edits, compute C and the anchors of each on the model as edited
        so far; False (default) takes those of the clean model.
    ``component``      which text encoder; empty for every CLIP that the model has, each by itself.
    ``cache_dir``      where second moments are kept; None for the user's cache folder.
    """

    STRENGTH: ClassVar[tuple[str, ...]] = ("scale",)

    layer: int = 9
    steps: int = 100
    learning_rate: float = 0.05
    stop: float = 0.99
    contrast: int = 20
    contrastive: bool = True
    cosine: bool = False
    cosine_scale: float = 100.0
    weight_decay: float = 0.01
    radius: float = 4.0
    stream_share: float = 0.0
    scale: float | None = 1.0
    covariance_weight: float = 1.0
    templates: tuple[str, ...] | None = None
    match_contexts: bool = False
    corpus: Corpus | None = None
    follow_edits: bool = False
    component: str = ""
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        name = "ReFACT"
        require(self.steps >= 1, name, "steps of at least 1", self.steps)
        require(self.learning_rate > 0, name, "a learning_rate above 0", self.learning_rate)
        require(0 < self.stop <= 1, name, "a stop in (0, 1]", self.stop)
        require(self.contrast >= 2, name, "a contrast of at least 2", self.contrast)
        require(self.cosine_scale > 0, name, "a cosine_scale above 0", self.cosine_scale)
        require(self.weight_decay >= 0, name, "a weight_decay of at least 0", self.weight_decay)
        require(self.radius > 0, name, "a radius above 0", self.radius)
        require(self.scale is None or self.scale > 0, name, "a scale above 0", self.scale)
        within = 0 <= self.stream_share <= 1
        require(within, name, "a stream_share in [0, 1]", self.stream_share)
        within = 0 <= self.covariance_weight <= 1
        require(within, name, "a covariance_weight in [0, 1]", self.covariance_weight)
        if self.templates is not None:
            require_templates(name, self.templates)


_Config = TypeVar("_Config", bound=ReFACTConfig)


def for_model(model: Model, config: _Config) -> _Config:
    """``config`` with the templates that come with ``model`` where it names none."""
    if config.templates is not None:
        return config
    return replace(config, templates=default_templates(model) or TEMPLATES)


def weighed(config: ReFACTConfig) -> tuple[str, ...]:
    """The templates that count in key and loss."""
    return TEMPLATES if config.templates is None else config.templates


def contexts(config: ReFACTConfig) -> tuple[str, ...]:
    """The templates, the plain prompt first whether it is among them or not."""
    return tuple(dict.fromkeys(["{}", *weighed(config)]))
