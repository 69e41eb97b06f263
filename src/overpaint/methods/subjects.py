"""Which token positions of a source prompt shall read like which of its target: by the subject.

For the closed forms that look at the subject alone; TIME looks at every word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import EditError
from overpaint.methods.common import counterpart, filled, fits
from overpaint.models.model import Model
from overpaint.models.text import last_subject_token, max_length
from overpaint.types import Edit


@dataclass(frozen=True)
class Pair:
    """A prompt and the one it shall read like, with the positions that correspond.

    ``here`` and ``there`` are equally long; position 0 is the start token.
    """

    source: str
    target: str
    here: tuple[int, ...]
    there: tuple[int, ...]


def subject_pairs(
    model: Model,
    edits: Sequence[Edit],
    templates: Sequence[str],
    *,
    onward: bool = False,
    bare: bool = False,
    component: str = "text_encoder",
) -> list[Pair]:
    """The last subject token of each edit's source in each template, and its partner's.

    The partner is the last token of :func:`counterpart` in the target, which stands in the same
    template, or alone with ``bare``. With ``onward`` every later position up to the last padding
    follows, pairing in order; the last position of the target repeats. An empty target stands
    for the start token. Templates that make a prompt too long are left out. PromptError when a
    subject is not in its prompt.
    """
    pairs = []
    for edit in edits:
        texts = [
            (filled(t, edit.source), filled("{}" if bare else t, edit.target)) for t in templates
        ]
        kept = [pair for pair in texts if all(fits(model, t, component) for t in pair if t.strip())]
        focus = counterpart(edit)
        for source, target in kept or [(edit.source, edit.target)]:
            here = last_subject_token(model, source, edit.subject or edit.source, component)
            there = 0
            if edit.target.strip():
                there = last_subject_token(model, target, focus, component)
            length = max_length(model, component) if onward else here + 1
            partners = tuple(
                min(there + i, max_length(model, component) - 1) for i in range(length - here)
            )
            pairs.append(
                Pair(
                    source,
                    target if edit.target.strip() else "",
                    tuple(range(here, length)),
                    partners,
                )
            )
    return pairs


def held(
    model: Model, prompts: Sequence[str], templates: Sequence[str], *, onward: bool
) -> list[Pair]:
    """Pairs that keep ``prompts`` as they are: each position reads like itself."""
    return [
        Pair(pair.source, pair.source, pair.here, pair.here)
        for prompt in prompts
        for pair in subject_pairs(model, [Edit(prompt, prompt)], templates, onward=onward)
    ]


def rows(pairs: Sequence[Pair], sources: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """``keys [n, d]`` and ``wanted [n, d]`` from all positions of the pairs' prompts.

    ``sources``, ``targets [len(pairs), L, d]``. EditError when a source reads as its target does.
    """
    keys, wanted = [], []
    for ours, theirs, pair in zip(sources, targets, pairs, strict=True):
        k, w = ours[list(pair.here)], theirs[list(pair.there)]
        if pair.source != pair.target and (k - w).norm() <= 1e-5 * k.norm():
            raise EditError(
                f"{pair.source!r} and {pair.target!r} read alike up to the subject's last token, "
                "which knows nothing of what follows it; choose another subject, or a target that "
                "differs before its end"
            )
        keys.append(k)
        wanted.append(w)
    return torch.cat(keys), torch.cat(wanted)
