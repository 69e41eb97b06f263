"""Diffusion pipelines with random weights: the true classes and layouts at a tiny size.

One model per family, for tests and for timings; no pretrained weights are needed::

    pipeline = random_models.build("SD1")
    pipeline("a red rose", **random_models.call_arguments("SD1")).images[0]

Their pictures mean nothing, but they depend on every word of the prompt.
"""

from random_models import dits, llm_dits, t5_unets, unets  # noqa: F401  (each registers its models)
from random_models.registry import RECIPES, build, call_arguments, settle

NAMES: tuple[str, ...] = tuple(RECIPES)
"""What :func:`build` builds."""

__all__ = ["NAMES", "build", "call_arguments", "settle"]
