"""What an edit did, in numbers: pure functions of similarities; encoders stay outside."""

from overpaint.metrics.editing import (
    chosen,
    efficacy,
    f1,
    generality,
    harmonic,
    specificity,
)
from overpaint.metrics.gender import gender_gap, gender_repetitions, gender_share
from overpaint.metrics.intervals import bootstrap, over_seeds

__all__ = [
    "bootstrap",
    "chosen",
    "efficacy",
    "f1",
    "gender_gap",
    "gender_repetitions",
    "gender_share",
    "generality",
    "harmonic",
    "over_seeds",
    "specificity",
]
