"""Which rows of a source prompt are to read like which of its target: by the subject.

For the closed forms that look at the subject alone; TIME looks at every word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import EditError
from overpaint.methods.common import counterpart, filled, fits
from overpaint.models.families import Segment, TextPath
from overpaint.models.model import Model
from overpaint.models.text import empty_prompt, last_subject_token, prompt_tokens, read_rows
from overpaint.types import Edit


@dataclass(frozen=True)
class Pair:
    """A prompt and the one it is to read like, with the rows that correspond.

    ``here`` and ``there`` are equally long. Pooled text has one row, 0.
    """

    source: str
    target: str
    here: tuple[int, ...]
    there: tuple[int, ...]


def subject_pairs(
    model: Model,
    edits: Sequence[Edit],
    templates: Sequence[str],
    path: TextPath,
    *,
    padding: bool = False,
    bare: bool = False,
) -> list[Pair]:
    """The last subject token of each edit's source in each template, and its partner's.

    The partner is the last token of :func:`counterpart` in the target, which stands in the same
    template, or alone with ``bare``. With ``padding`` every later row up to the last padding
    follows, pairing in order; the last row of the target repeats. An empty target stands for the
    token before the prompt, in CLIP the start token. Templates that make a prompt too long are
    left out. On the pooled path a prompt has a single row.

    Raises:
        PromptError: If a subject is not in its prompt.
    """
    pairs = []
    components = [segment.component for segment in path.segments]
    for edit in edits:
        texts = [
            (filled(t, edit.source), filled("{}" if bare else t, edit.target)) for t in templates
        ]
        kept = [
            pair
            for pair in texts
            if all(fits(model, t, c) for t in pair for c in components if t.strip())
        ]
        focus = counterpart(edit)
        for source, filled_target in kept or [(edit.source, edit.target)]:
            target = filled_target if edit.target.strip() else ""
            if not path.segments:
                pairs.append(Pair(source, target, (0,), (0,)))
            for segment in path.segments:
                here, there = _rows(model, edit, source, target, focus, segment, padding)
                pairs.append(Pair(source, target, here, there))
    return pairs


def _rows(
    model: Model,
    edit: Edit,
    source: str,
    target: str,
    focus: str,
    segment: Segment,
    padding: bool,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    component = segment.component
    here = last_subject_token(model, source, edit.subject or edit.source, component)
    read = prompt_tokens(model, target, component) if target else empty_prompt(model, component)
    there = last_subject_token(model, target, focus, component) if target else read.start_row
    stop = prompt_tokens(model, source, component).length if padding else here + 1
    last = read.length - 1
    ours = range(here, stop)
    partners = [min(there + i, last) for i in range(len(ours))]
    return (
        tuple(segment.offset + row for row in ours),
        tuple(segment.offset + row for row in partners),
    )


def held(
    model: Model,
    prompts: Sequence[str],
    templates: Sequence[str],
    path: TextPath,
    *,
    padding: bool,
) -> list[Pair]:
    """Pairs that keep ``prompts`` as they are: each row reads like itself."""
    return [
        Pair(pair.source, pair.source, pair.here, pair.here)
        for prompt in prompts
        for pair in subject_pairs(model, [Edit(prompt, prompt)], templates, path, padding=padding)
    ]


def rows(model: Model, path: TextPath, pairs: Sequence[Pair]) -> list[tuple[Tensor, Tensor]]:
    """``keys [n, d]`` and ``wanted [n, d]`` of all rows of the pairs, for each group of sites.

    Raises:
        EditError: If a source reads as its target does.
    """
    sources = [(pair.source, pair.here) for pair in pairs]
    targets = [(pair.target, pair.there) for pair in pairs]
    count = sum(len(pair.here) for pair in pairs)
    found = []
    for states in read_rows(model, path, [*sources, *targets]):
        keys, wanted = states.split([count, count])
        refuse_alike(pairs, keys, wanted)
        found.append((keys, wanted))
    return found


def refuse_alike(pairs: Sequence[Pair], keys: Tensor, wanted: Tensor) -> None:
    """Raise EditError if a pair's rows of ``keys [n, d]`` and ``wanted [n, d]`` are the same."""
    moved = (keys - wanted).square().sum(1).double().cpu()
    size = keys.square().sum(1).double().cpu()
    sizes = [len(pair.here) for pair in pairs]
    parts = zip(pairs, moved.split(sizes), size.split(sizes), strict=True)
    for pair, move, norm in parts:
        if pair.source != pair.target and torch.sum(move) <= 1e-10 * torch.sum(norm):
            raise EditError(
                f"{pair.source!r} and {pair.target!r} read alike up to the subject's last token, "
                "which knows nothing of what follows it; choose another subject, or a target that "
                "differs before its end"
            )
