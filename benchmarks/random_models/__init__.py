"""Tiny diffusers pipelines with random weights, one or more per model family.

They have the classes, the layout and the tokenizer types of the originals, for tests and timings
that cannot use pretrained weights::

    pipeline = random_models.build("SD1")
    pipeline(prompt="a red rose", **random_models.call_arguments("SD1")).images[0]

The images are noise, but they depend on the prompt.
"""

from random_models import dits, llm_dits, t5_unets, unets  # noqa: F401  (imported for registration)
from random_models.registry import RECIPES, build, call_arguments, settle

NAMES: tuple[str, ...] = tuple(sorted(RECIPES, key=str.lower))
"""Names that :func:`build` accepts."""

__all__ = ["NAMES", "build", "call_arguments", "settle"]
