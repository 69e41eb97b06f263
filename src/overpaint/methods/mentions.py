"""Where the captions of a corpus speak of what an edit is about: contexts that no template has."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from overpaint.methods.common import SMALL, whole_words, words_of
from overpaint.models.model import Model
from overpaint.models.tokens import prompt_tokens
from overpaint.types import Edit


@dataclass(frozen=True)
class Mention:
    """``caption`` speaks of edit number ``owner``; its subject ends before character ``end``."""

    owner: int
    caption: str
    end: int


def mentions(captions: Sequence[str], edits: Sequence[Edit], most: int) -> list[Mention]:
    """Up to ``most`` mentions of each edit's source in ``captions``, always the same ones.

    A mention has all words of the source in any order, in singular or plural, with at most one
    other among them: "arda's happy president" mentions "the president of arda". An edit whose
    target keeps the source's words only adds to them ("a rose", "a blue rose"); of it only the
    source word for word is a mention, since "a pink rose" says otherwise. What mentions two edits
    at the same place belongs to the one with more words.
    """
    shuffled = list(dict.fromkeys(captions))
    random.Random(0).shuffle(shuffled)
    split = [_split(caption) for caption in shuffled]
    known: dict[str, list[int]] = {}
    for number, words in enumerate(split):
        for form in {form for word in words for form in word.forms}:
            known.setdefault(form, []).append(number)
    claimed: dict[tuple[str, int], Mention] = {}
    for owner, edit in enumerate(edits):
        wanted = words_of(edit.source)
        places = [known.get(word, []) for word in wanted]
        for number in min(places, key=len, default=[]):
            end = _end(shuffled[number], split[number], edit, wanted)
            if end is None:
                continue
            found = Mention(owner, shuffled[number], end)
            other = claimed.get((found.caption, end))
            if other is None or len(words_of(edits[other.owner].source)) < len(wanted):
                claimed[found.caption, end] = found
    counts = [0] * len(edits)
    kept = []
    for found in claimed.values():
        counts[found.owner] += 1
        if counts[found.owner] <= most:
            kept.append(found)
    return kept


def position(model: Model, mention: Mention, component: str = "text_encoder") -> int:
    """Of the last token of the subject; position 0 is the start token.

    PromptError where the model does not read the caption to its end.
    """
    offsets = prompt_tokens(model, mention.caption, component).offsets
    return max(i for i, (first, last) in enumerate(offsets) if first < last and first < mention.end)


@dataclass(frozen=True)
class _Word:
    """A word of a caption, the singulars it may be the plural of, and where it ends."""

    text: str
    forms: frozenset[str]
    end: int


def _split(caption: str) -> list[_Word]:
    found = []
    for match in re.finditer(r"[^\W\d_]+", caption):
        text = match[0].casefold()
        forms = frozenset({text, text.removesuffix("s"), text.removesuffix("es")})
        found.append(_Word(text, forms, match.end()))
    return found


def _end(caption: str, words: Sequence[_Word], edit: Edit, wanted: set[str]) -> int | None:
    """Where the subject of the last mention of ``edit`` ends; None when there is none."""
    ends = [end for i in range(len(words)) if (end := _from(words[i:], edit, wanted)) is not None]
    if wanted <= words_of(edit.target):
        spans = [match.span() for match in whole_words(edit.source, caption)]
        ends = [end for end in ends if any(first < end <= last for first, last in spans)]
    return ends[-1] if ends else None


def _from(words: Sequence[_Word], edit: Edit, wanted: set[str]) -> int | None:
    """Where the subject ends in the mention that begins with the first of ``words``."""
    left, others, end = set(wanted), 0, None
    joining = set(re.findall(r"[^\W\d_]+", edit.source.casefold())) | {"s"}  # "arda's"
    subject = words_of(edit.subject or edit.source) or wanted
    for number, word in enumerate(words):
        own = left & word.forms
        if own:
            left -= own
            end = word.end if own & subject else end
        elif number == 0 or (word.text in SMALL and word.text not in joining):
            return None
        else:
            others += word.text not in joining
        if not left:
            return end
        if others > 1:
            return None
    return None
