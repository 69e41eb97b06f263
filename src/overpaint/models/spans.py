"""Where in a prompt its subject stands, and which tokens of two prompts mean the same.

Both work on the characters of the prompt, through the offsets that the tokenizer reports, so they
do not depend on how a tokenizer cuts a word. Positions are rows of what the text encoder gives.
"""

from __future__ import annotations

import unicodedata

from overpaint.errors import PromptError
from overpaint.models.model import Model
from overpaint.models.tokens import (
    PromptTokens,
    as_read,
    is_cut,
    max_length,
    prompt_tokens,
    token_count,
)

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\uff07`\u00b4"), "'")


def subject_span(model: Model, prompt: str, subject: str, component: str = "text_encoder") -> range:
    """Rows of ``subject`` in ``prompt``; CLIP's start token is row 0.

    Case, runs of white space, and the kind of apostrophe or Unicode composition make no
    difference; a subject matches whole words only ("rose" is not in "roses", but "canada" is in
    "canada's"). Of several occurrences the last one that the text encoder reads counts: it has read
    all the others.

    Raises:
        PromptError: If the subject is not in the prompt, or is cut off because the prompt is longer
            than the text encoder reads.
    """
    read = prompt_tokens(model, prompt, component)
    places = _find(read.prompt, as_read(model, subject, component))
    if not places:
        raise PromptError(
            f"The subject {subject!r} is not in the prompt {prompt!r}; they must agree."
        )
    cut = is_cut(model, prompt, component)
    stop = max((b for _, b in read.offsets), default=0) if cut else len(read.prompt)
    for first, last in places:
        inside = [i for i, (a, b) in enumerate(read.offsets) if a < b and a < last and b > first]
        if inside and last <= stop:
            return range(read.first + inside[0], read.first + inside[-1] + 1)
    if not cut:
        raise PromptError(f"The tokenizer drops the subject {subject!r} of {prompt!r}.")
    count, limit = token_count(model, prompt, component), max_length(model, component)
    limit += model.family.dropped(model, component)
    raise PromptError(
        f"The prompt has {count} tokens and {component} reads {limit}, so that the subject "
        f"{subject!r} is cut off; shorten the prompt: {prompt!r}"
    )


def last_subject_token(
    model: Model, prompt: str, subject: str, component: str = "text_encoder"
) -> int:
    """Row of the last token of ``subject`` in ``prompt``, see :func:`subject_span`."""
    return subject_span(model, prompt, subject, component)[-1]


def align(
    model: Model, source: str, destination: str, component: str = "text_encoder"
) -> tuple[list[int], list[int]]:
    """Rows of the source, and for each the row of the destination that means the same.

    TIME, section 3: each source word takes the next equal word of the destination, "a" and "an"
    count as equal, words that only the destination has are skipped; end and padding pair in order,
    and the last row repeats.

    Raises:
        PromptError: If a word of the source has no partner; the message names it.
    """
    ours, theirs = (prompt_tokens(model, prompt, component) for prompt in (source, destination))
    # What comes before the prompt (CLIP's start token, a chat template) is the same in both.
    start = min(
        next((i for i, w in enumerate(t.words) if w is not None), 0) for t in (ours, theirs)
    )
    pairs = {ours.first + i: theirs.first + i for i in range(start)}
    target = iter(_words(theirs))
    for words, positions in _words(ours):
        match = next((there for other, there in target if other == words), None)
        if match is None:
            word = ours.prompt[ours.offsets[positions[0]][0] : ours.offsets[positions[-1]][1]]
            raise PromptError(
                f"Cannot align {source!r} with {destination!r}: {word.strip()!r} has no partner. "
                "The destination must contain the words of the source in their order"
                f"{_cut_note(model, destination, component)}."
            )
        pairs |= {
            ours.first + here: theirs.first + there
            for here, there in zip(positions, match, strict=True)
        }
    here, there = end_rows(ours, theirs)
    pairs |= zip(here, there, strict=True)
    kept = [(row, partner) for row, partner in sorted(pairs.items()) if min(row, partner) >= 0]
    return [row for row, _ in kept], [partner for _, partner in kept]


def end_rows(ours: PromptTokens, theirs: PromptTokens) -> tuple[list[int], list[int]]:
    """The end and padding rows of one prompt and their partners in the other."""
    here = list(range(ours.end_row, ours.length))
    return here, [min(theirs.end_row + i, theirs.length - 1) for i in range(len(here))]


def _words(read: PromptTokens) -> list[tuple[list[str], list[int]]]:
    """Each word of the prompt as its tokens and their positions."""
    words: dict[int, tuple[list[str], list[int]]] = {}
    for position, word in enumerate(read.words):
        if word is None:
            continue
        pieces, positions = words.setdefault(word, ([], []))
        pieces.append(_plain(read.tokens[position]))
        positions.append(position)
    return list(words.values())


def _plain(token: str) -> str:
    """A token without the marks for a leading space; "an" is "a"."""
    bare = token.lstrip("\u2581\u0120 ")
    return {"an</w>": "a</w>", "an": "a"}.get(bare, bare)


def _cut_note(model: Model, prompt: str, component: str) -> str:
    """What to add to a message about ``prompt`` if its end is cut off."""
    if not is_cut(model, prompt, component):
        return ""
    return f", and {component} reads the first {max_length(model, component)} tokens only"


def _find(prompt: str, subject: str) -> list[tuple[int, int]]:
    """Character ranges ``[first, last)`` of ``subject`` in ``prompt``, the last one first."""
    text, places = _fold(prompt)
    wanted, _ = _fold(subject.strip())
    if not wanted:
        raise PromptError("The subject is empty; name a part of the prompt.")
    found = []
    start = text.rfind(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not _inside_word(text, start) and not _inside_word(text, end):
            found.append((places[start], places[end - 1] + 1))
        start = text.rfind(wanted, 0, end - 1)
    return found


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
