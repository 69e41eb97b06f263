"""What diffusers and torch raise inside a pipeline, as an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from overpaint.errors import ConfigError, ModelError
from overpaint.models.loaders import first_line, networks
from overpaint.models.model import Model
from overpaint.types import Sampling

_RAISED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
_SETTINGS = ("height", "num_inference_steps", "timesteps")


class Raised(Exception):
    """Carries an exception of the caller's own code, such as a callback's, past the pipeline."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def explained(model: Model, doing: str, sampling: Sampling | None = None) -> Iterator[None]:
    """Around a call of a pipeline: its exceptions become errors that name the pipeline.

    Running out of memory is left as it is, for callers that try again with smaller batches.

    Args:
        model: The model whose pipeline is called.
        doing: What it is called for, e.g. ``"encode prompts"``.
        sampling: The settings it is called with, if any.

    Raises:
        ConfigError: If it is a setting that the pipeline or the scheduler does not take.
        ModelError: If it is anything else.
    """
    try:
        yield
    except Raised as raised:
        raise raised.error from None
    except torch.OutOfMemoryError:
        raise
    except _RAISED as error:
        line = first_line(error)
        if isinstance(error, ValueError) and any(name in line for name in _SETTINGS):
            what = "a size" if "height" in line else "a number of steps"
            raise ConfigError(f"expected {what} that the pipeline can make: {line}") from error
        if sampling is not None and sampling.scheduler:
            raise ConfigError(
                f"expected a scheduler that the pipeline of {model.name} can use, got "
                f"{sampling.scheduler}: {line}"
            ) from error
        title = type(model.pipeline).__name__
        raise ModelError(f"The {title} cannot {doing}: {line} {_remedy(model)}") from error


def _remedy(model: Model) -> str:
    """What to try: text encoders left out and number formats that differ are usual reasons."""
    missing = [name for name in model.family.encoders if name not in model.text_encoders]
    if missing:
        return f"It comes without its {' and '.join(missing)}; load it with all text encoders."
    formats = {
        name: str(network.dtype).removeprefix("torch.")
        for name, network in networks(model.pipeline).items()
        if isinstance(getattr(network, "dtype", None), torch.dtype)
    }
    if len(set(formats.values())) > 1:
        said = ", ".join(f"{name} {form}" for name, form in formats.items())
        return f"Its networks are in different number formats ({said}); pipeline.to() makes one."
    return "Check that the pipeline works by itself: pipeline(prompt)."
