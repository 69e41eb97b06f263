"""What is around an edit in the space of prompts: what it shall reach, and what it shall not.

No judge and no case says so; both come from the edit and from captions that belong to the model.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch.nn.functional import normalize

from overpaint.errors import EditError
from overpaint.methods.common import SMALL, filled, fits, path_encoder, plain, whole_words, words_of
from overpaint.methods.refact_config import TEMPLATES
from overpaint.models.corpora import default_corpus, default_templates
from overpaint.models.model import Model
from overpaint.models.text import pooled
from overpaint.types import Edit

CAPTIONS = 400
"""How many captions of the corpus are looked at for their nearness alone."""


@dataclass(frozen=True)
class Surroundings:
    """Prompts that tell an edit's strength.

    ``positives``   prompts that the edit shall reach, ``meant`` what each shall read like.
    ``neighbours``  prompts near the source that shall read as they do.
    ``target``      what the source alone shall read like.
    """

    positives: tuple[str, ...]
    meant: tuple[str, ...]
    neighbours: tuple[str, ...]
    target: str


def surroundings(
    model: Model, edit: Edit, *, component: str | None = None, count: int = 12
) -> Surroundings:
    """The source in contexts and in captions, and twice ``count`` prompts that are near it.

    Positives: the model's templates (or the general ones) around source and target, and up to
    ``count`` captions of its corpus that contain the source, with the target in its place.
    Neighbours: what the source means today, where that is another prompt; ``count`` captions that
    differ from the source in one word; and ``count`` others; each the nearest to the source by
    their text feature, and without the subject the edit hangs on. A caption nearer to it than its
    own contexts are may well be the source in other words, and does not count. EditError for an
    edit that has no target prompt.
    """
    wanted = edit.target or edit.destination
    if edit.images:
        raise EditError(
            "a strength is chosen by a target prompt, got pictures; give the strength as a number"
        )
    captions = list(dict.fromkeys(default_corpus(model).captions))
    pairs = [(filled(t, edit.source), filled(t, wanted)) for t in _templates(model)]
    pairs += islice(_containing(captions, edit.source, wanted), count)
    reader = component or path_encoder(model)
    whole = [p for p in dict.fromkeys(pairs) if all(fits(model, t, reader) for t in p if t.strip())]
    pairs = whole or pairs[:1]
    positives, meant = zip(*pairs, strict=True)
    near = _neighbours(model, replace(edit, target=wanted), positives, captions, component, count)
    return Surroundings(positives, meant, near, wanted)


def one_word_apart(source: str, captions: Sequence[str]) -> list[str]:
    """Those of ``captions`` that are ``source`` with one other word in it: "a tulip" of "a rose".

    "a" and "an" are one word, and words that say nothing ("of", "photo") make no difference.
    """
    ours = _sequence(source)
    found = []
    for caption in captions:
        theirs = _sequence(caption)
        if len(theirs) != len(ours):
            continue
        swaps = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
        if len(swaps) == 1 and not SMALL & set(swaps[0]):
            found.append(caption)
    return found


def mentions(caption: str, words: set[str]) -> bool:
    """Whether every one of ``words`` begins a word of ``caption``, so that "roses" has "rose"."""
    there = words_of(caption)
    return bool(words) and all(any(t.startswith(w) for t in there) for w in words)


def mentions_all(caption: str, prompt: str) -> bool:
    """Whether ``caption`` mentions all that ``prompt`` is about."""
    return mentions(caption, words_of(prompt))


def _neighbours(
    model: Model,
    edit: Edit,
    positives: Sequence[str],
    captions: Sequence[str],
    component: str | None,
    count: int,
) -> tuple[str, ...]:
    ours = words_of(edit.subject or edit.source)
    theirs = words_of(edit.target) - words_of(edit.source)
    apart = [c for c in captions if not (mentions(c, ours) or mentions(c, theirs))]
    twins = one_word_apart(edit.source, apart)
    chosen = set(twins)
    rest = [c for c in random.Random(0).sample(apart, min(CAPTIONS, len(apart))) if c not in chosen]
    contexts = [p for p in positives if p != edit.source] or [edit.source]
    groups = [[edit.source], contexts, twins, rest]
    features = _features(model, [p for group in groups for p in group], component)
    source, around, *others = features.split([len(group) for group in groups])
    limit = float((around @ source[0]).mean())
    nearest = []
    for prompts, found in zip((twins, rest), others, strict=True):
        near = (found @ source[0]).tolist()
        ranked = sorted(zip(near, prompts, strict=True), key=lambda pair: (-pair[0], pair[1]))
        below = [prompt for nearness, prompt in ranked if nearness < limit]
        nearest.append((below or [p for _, p in reversed(ranked)])[:count])
    today = [edit.old] if edit.old.strip() and plain(edit.old) != plain(edit.source) else []
    found = [*today, *nearest[0], *nearest[1]]
    if not found:
        raise EditError(
            f"the captions that come with the model have nothing beside {edit.source!r}; give the "
            "strength as a number"
        )
    return tuple(dict.fromkeys(found))


@torch.no_grad()
def _features(model: Model, prompts: Sequence[str], component: str | None) -> torch.Tensor:
    """Unit text features ``[n, d]``, 64 prompts at a time."""
    parts = [prompts[i : i + 64] for i in range(0, len(prompts), 64)]
    return torch.cat([normalize(pooled(model, p, component).float(), dim=1) for p in parts])


def _templates(model: Model) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("{}", *(default_templates(model) or TEMPLATES))))


def _containing(captions: Sequence[str], source: str, target: str) -> list[tuple[str, str]]:
    """Longer captions with ``source`` in them, and the same with ``target`` in its place."""
    found = []
    for caption in captions:
        places = list(whole_words(source, caption))
        if len(places) == 1 and plain(caption) != plain(source):
            start, end = places[0].span()
            found.append((caption, caption[:start] + target + caption[end:]))
    return found


def _sequence(text: str) -> list[str]:
    words = re.findall(r"[^\W\d_]+(?:['’]s)?", text.casefold())
    return ["a" if word == "an" else word for word in words]
