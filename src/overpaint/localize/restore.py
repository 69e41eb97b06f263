"""Corrupt a subject, and put single components back to what they are in the clean run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

from overpaint.models.components import Component, token_embedding
from overpaint.models.hooks import Change, replace
from overpaint.models.model import Model
from overpaint.models.text import subject_span


@contextmanager
def corrupted(
    model: Model, prompt: str, subject: str, seed: int, noise: float, *, first: int = 0
) -> Iterator[None]:
    """Inside, the subject's token embeddings have noise in every text encoder.

    For batches of ``prompt`` alone; rows before ``first`` are left as they are. The noise depends
    on ``seed`` and is the same in every row; its standard deviation is ``noise`` times that of the
    encoder's token embeddings.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    with ExitStack() as stack:
        for component in model.text_encoders:
            table = token_embedding(model, component)
            span = subject_span(model, prompt, subject, component)
            weight: torch.Tensor = table.weight  # type: ignore[assignment]
            drawn = torch.randn(len(span), weight.shape[1], generator=generator)
            drawn = drawn * noise * float(weight.float().std())

            def change(x: torch.Tensor, span: range = span, drawn: torch.Tensor = drawn):
                x = x.clone()
                x[first:, list(span)] += drawn.to(x)
                return x

            stack.enter_context(replace(table, change))
        yield


@contextmanager
def restoring(rows: Sequence[Component | None]) -> Iterator[None]:
    """Inside, row i of a batch takes component ``rows[i]``'s output from row 0 of its branch."""
    with ExitStack() as stack:
        for part in {part for part in rows if part is not None}:
            own = [i for i, other in enumerate(rows) if other is part]
            stack.enter_context(replace(part.module, _copied_rows(own, len(rows))))
        yield


def _copied_rows(own: list[int], batch: int) -> Change:
    def change(output: torch.Tensor) -> torch.Tensor:
        branches = output.clone().unflatten(0, (-1, batch))
        branches[:, own] = branches[:, :1]
        return branches.flatten(0, 1)

    return change


def copied_tokens(own: Sequence[tuple[int, int]]) -> Change:
    """Row r takes its output at a token from row 0, for each ``(r, token)`` of ``own``."""
    rows, places = (list(column) for column in zip(*own, strict=True))

    def change(output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[rows, places] = output[0, places]
        return output

    return change
