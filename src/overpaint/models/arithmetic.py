"""The arithmetic that edits are computed with, whatever blocks the caller is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from overpaint.models.model import Model


@contextmanager
def no_autocast(*devices: torch.device) -> Iterator[None]:
    """Inside, products are computed in the precision of their factors on each of ``devices``."""
    with ExitStack() as stack:
        for kind in {device.type for device in devices}:
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def exact(model: Model) -> Iterator[None]:
    """Inside, there is no autocast where ``model`` computes, no inference mode, and no gradient.

    Tensors made in inference mode could not be trained or changed in place later.
    """
    devices = (model.device, model.execution_device, torch.device("cpu"))
    with no_autocast(*devices), torch.inference_mode(False), torch.no_grad():
        yield
