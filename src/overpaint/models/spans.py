"""Where in a prompt its subject stands, and which tokens of two prompts mean the same.

Both work on the characters of the prompt, through the offsets that the tokenizer reports, so they
do not depend on how BPE cuts a word.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from overpaint.errors import PromptError
from overpaint.models.model import Model
from overpaint.models.tokens import encoding, max_length

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\uff07`\u00b4"), "'")
_ARTICLES: dict[str, str] = {"an</w>": "a</w>", "\u2581an": "\u2581a"}


def subject_span(model: Model, prompt: str, subject: str, component: str = "text_encoder") -> range:
    """Token positions of ``subject`` in ``prompt``; the start token is position 0.

    Case, runs of white space, and the kind of apostrophe or Unicode composition make no
    difference; a subject matches whole words only ("rose" is not in "roses", but "canada" is in
    "canada's"). Of several occurrences the last one counts: it has read all the others.
    PromptError when there is none.
    """
    first, last = _find(prompt, subject)
    offsets = encoding(model, prompt, component).offsets
    inside = [i for i, (a, b) in enumerate(offsets) if a < b and a < last and b > first]
    if not inside:
        raise PromptError(f"The tokenizer drops the subject {subject!r} of {prompt!r}.")
    return range(inside[0], inside[-1] + 1)


def last_subject_token(
    model: Model, prompt: str, subject: str, component: str = "text_encoder"
) -> int:
    """Position of the last token of ``subject`` in ``prompt``, see :func:`subject_span`."""
    return subject_span(model, prompt, subject, component)[-1]


def align(
    model: Model, source: str, destination: str, component: str = "text_encoder"
) -> list[int]:
    """For each of the ``L`` source positions, the destination position that means the same.

    TIME, section 3 (methods.md): each source word takes the next equal word of the destination,
    "a" and "an" count as equal, words that only the destination has are skipped; end and padding
    pair in order, and the last position repeats. PromptError names the word that finds no partner.
    """
    length = max_length(model, component)
    ours, theirs = (encoding(model, prompt, component) for prompt in (source, destination))
    target = iter(_words(theirs))
    pairs = [0] * length
    for words, positions in _words(ours):
        match = next((there for other, there in target if other == words), None)
        if match is None:
            word = source[ours.offsets[positions[0]][0] : ours.offsets[positions[-1]][1]]
            raise PromptError(
                f"Cannot align {source!r} with {destination!r}: {word!r} has no partner. The "
                "destination must contain the words of the source in their order."
            )
        for here, there in zip(positions, match, strict=True):
            pairs[here] = there
    shift = len(theirs.ids) - len(ours.ids)
    for here in range(len(ours.ids) - 1, length):
        pairs[here] = min(here + shift, length - 1)
    return pairs


def _words(tokens: Any) -> list[tuple[list[str], list[int]]]:
    """Each word as its tokens and their positions; start and end tokens are left out."""
    words: dict[int, tuple[list[str], list[int]]] = {}
    for position, word in enumerate(tokens.word_ids):
        if word is None:
            continue
        token: str = tokens.tokens[position]
        pieces, positions = words.setdefault(word, ([], []))
        pieces.append(_ARTICLES.get(token, token))
        positions.append(position)
    return list(words.values())


def _find(prompt: str, subject: str) -> tuple[int, int]:
    """Character range ``[first, last)`` of the last occurrence of ``subject`` in ``prompt``."""
    text, places = _fold(prompt)
    wanted, _ = _fold(subject.strip())
    if not wanted:
        raise PromptError("The subject is empty; name a part of the prompt.")
    start = text.rfind(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not _inside_word(text, start) and not _inside_word(text, end):
            return places[start], places[end - 1] + 1
        start = text.rfind(wanted, 0, end - 1)
    raise PromptError(f"The subject {subject!r} is not in the prompt {prompt!r}; they must agree.")


def _inside_word(text: str, cut: int) -> bool:
    """Whether ``text`` has a letter or digit on both sides of ``cut``."""
    return 0 < cut < len(text) and _is_word(text[cut - 1]) and _is_word(text[cut])


def _is_word(character: str) -> bool:
    return character.isalnum() or bool(unicodedata.combining(character))


def _fold(text: str) -> tuple[str, list[int]]:
    """``text`` without the differences that do not count, and where each character came from."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isspace():
            plain = "" if folded and folded[-1] == " " else " "
        else:
            plain = unicodedata.normalize("NFD", character.translate(_APOSTROPHES)).casefold()
            plain = unicodedata.normalize("NFD", plain)
        folded += plain
        places.extend([place] * len(plain))
    return "".join(folded), places
