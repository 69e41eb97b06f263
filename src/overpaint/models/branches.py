"""Which rows of the denoiser's batch belong to the conditional branch of guidance.

Pipelines run the two branches in one call of the denoiser (negative rows first, or last) or in two
calls, or have one branch only. No order is assumed here: a call's text is compared with the text
that the pipeline was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from overpaint.errors import ModelError, PromptError
from overpaint.models.conditioning import NEGATIVE, Conditioning
from overpaint.models.model import Model


class Branch:
    """The conditional rows of the call of the denoiser that is being computed.

    Attributes:
        size: ``b``, pictures that are generated at once.
        groups: For each set of conditional rows in the call, its first row; empty in a call of the
            negative branch. A set is ``b`` rows, in the order of the pictures.
        calls: Calls so far that had conditional rows.
    """

    def __init__(self, given: Conditioning) -> None:
        """PromptError where the branches could not be told apart."""
        self.size = len(given)
        self.groups: tuple[int, ...] = ()
        self.calls = 0
        self._texts = {
            name: [*_unpadded(text, _mask_of(given, text))]
            for name, text in token_tensors(given).items()
        }
        self._known: list[tuple[Any, tuple[int, ...]]] = []
        for name, texts in self._texts.items():
            negative = given.tensors.get(NEGATIVE + name)
            if negative is not None and all(map(_same, negative, texts)):
                raise PromptError(
                    "The prompt and the negative prompt are the same, so guidance has no "
                    "direction; change one of them."
                )

    def rows(self, places: Sequence[int] | None = None) -> list[int]:
        """Rows of the call that belong to the pictures ``places`` (all of them by default)."""
        chosen = range(self.size) if places is None else places
        return [first + place for first in self.groups for place in chosen]

    def enter(self, values: Any) -> None:
        """Look at the arguments of a call."""
        self.groups = next((g for text in _texts_in(values) if (g := self._match(text))), ())
        self.calls += bool(self.groups)

    def _match(self, text: Any) -> tuple[int, ...]:
        for known, groups in self._known:
            if known is text:
                return groups
        found: tuple[int, ...] = ()
        if len(text) % self.size == 0:
            starts = range(0, len(text), self.size)
            found = tuple(s for s in starts if self._equal(text[s : s + self.size]))
        # Pipelines pass the same tensor at every step; a comparison would wait for the device.
        self._known = [*self._known[-3:], (text, found)]
        return found

    def _equal(self, rows: Any) -> bool:
        """Whether ``rows`` are our texts."""
        return any(all(map(_same, rows, texts)) for texts in self._texts.values())


@contextmanager
def conditional_branch(model: Model, given: Conditioning) -> Iterator[Branch]:
    """Inside, know the conditional rows of each call of the denoiser.

    Args:
        model: The model.
        given: The ``b`` prompts that the pipeline generates at once.

    Raises:
        ModelError: If no call of the denoiser had the texts of ``given``.
        PromptError: If a prompt equals the negative prompt.
    """
    branch = Branch(given)

    def before(_module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        branch.enter([args, kwargs])

    handle = model.denoiser.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield branch
    finally:
        handle.remove()
    if not branch.calls:
        raise ModelError(
            f"The pipeline of {model.name} changes the prompts' embeddings before the denoiser "
            "reads them, so the layers that read them cannot be localized."
        )


def token_tensors(given: Conditioning) -> dict[str, Tensor]:
    """What a conditioning says of each token: the positive tensors ``[n, L, d]``."""
    return {
        name: tensor
        for name, tensor in given.positive.tensors.items()
        if tensor.dim() >= 3 and tensor.is_floating_point()
    }


def _mask_of(given: Conditioning, text: Tensor) -> Tensor | None:
    """The mask ``[n, L]`` of a text ``[n, L, d]``, where there is one."""
    masks = (value for name, value in given.positive.tensors.items() if "mask" in name)
    return next((mask for mask in masks if mask.shape == text.shape[:2]), None)


def _unpadded(text: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
    """Each row of a text without what the mask leaves out after its last token."""
    for number, row in enumerate(text):
        kept = None if mask is None else mask[number].nonzero()
        yield row if kept is None or not len(kept) else row[: int(kept[-1]) + 1]


def _same(row: Tensor, text: Tensor) -> bool:
    """Whether ``row [l, d]`` is ``text [L, d]``, perhaps with padding after it."""
    if row.shape[1:] != text.shape[1:] or len(row) < len(text):
        return False
    return torch.equal(row[: len(text)], text.to(row))


def _texts_in(values: Any) -> Iterator[Any]:
    """Tensors ``[B, L, d]`` and lists of ``B`` tensors ``[l, d]`` among arguments, nested ones too.

    Time and picture are no texts but may come along: they are not equal to any text.
    """
    if isinstance(values, Tensor):
        if values.dim() >= 3 and values.is_floating_point():
            yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _texts_in(value)
    elif isinstance(values, list | tuple):
        if values and all(isinstance(v, Tensor) and v.dim() == 2 for v in values):
            yield values
        for value in values:
            yield from _texts_in(value)
