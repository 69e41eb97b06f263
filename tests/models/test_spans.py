"""Subjects and alignments, on whatever people type."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from overpaint.errors import PromptError
from overpaint.models.model import Model
from overpaint.models.text import (
    align,
    end_rows,
    last_subject_token,
    max_length,
    prompt_tokens,
    subject_span,
    tokenize,
)

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def text_of(model: Model, prompt: str, span: range) -> str:
    """What the tokens of ``span`` say, decoded."""
    ids = model.pipeline.tokenizer(prompt).input_ids
    return model.pipeline.tokenizer.decode(ids[span.start : span.stop]).strip()


def spelled(text: str) -> str:
    """The letters alone, for comparing what BPE's decoder spaces differently."""
    return text.lower().replace(" ", "").replace("\u2019", "'")


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("the president of arda", "the president of arda"),
        ("the president of arda", "arda"),
        ("a photo of the president of arda, smiling", "the president of arda"),
        ("(the president of arda)", "president of arda"),
        ("The President of ARDA.", "the president of arda"),
        ("arda's president in the park", "arda's president"),
        ("arda's president", "arda"),
        ("canada's prime minister at night", "canada's prime minister"),
        ("  a   rose\tin the park ", "a rose"),
        ("a kitten and a cat", "cat"),
        ("a rose", " a rose "),
    ],
)
def test_span_says_the_subject(toybox: Model, prompt: str, subject: str) -> None:
    span = subject_span(toybox, prompt, subject)
    assert spelled(text_of(toybox, prompt, span)) == spelled(subject)
    assert last_subject_token(toybox, prompt, subject) == span[-1]


def test_span_of_the_whole_prompt_lies_between_start_and_end(toybox: Model) -> None:
    prompt = "the president of arda"
    end = int(tokenize(toybox, [prompt]).end[0])
    assert subject_span(toybox, prompt, prompt) == range(1, end)


def test_of_several_occurrences_the_last_counts(toybox: Model) -> None:
    once = subject_span(toybox, "a rose", "rose")
    assert len(once) == 1
    assert subject_span(toybox, "a rose and a rose", "rose") == range(5, 6)
    # An occurrence inside another word is none.
    assert subject_span(toybox, "a cat and a caterpillar", "cat") == subject_span(
        toybox, "a cat and a dog", "cat"
    )


def test_kinds_of_apostrophes_and_composition_are_equal(toybox: Model) -> None:
    straight = subject_span(toybox, "a photo of arda's president", "arda's president")
    curly = subject_span(toybox, "a photo of arda\u2019s president", "arda's president")
    assert curly.start == straight.start
    assert spelled(text_of(toybox, "a photo of arda\u2019s president", curly)).endswith("president")
    for prompt in ("a caf\u00e9 at night", "a cafe\u0301 at night"):
        for subject in ("caf\u00e9", "cafe\u0301", "CAF\u00c9"):
            span = subject_span(toybox, prompt, subject)
            assert span.start == 2
            rest = subject_span(toybox, prompt, "at night")
            assert rest.start == span.stop


@pytest.mark.parametrize(
    ("prompt", "subject", "words"),
    [
        ("a rose", "tulip", "'tulip' is not in the prompt 'a rose'"),
        ("two roses", "rose", "'rose' is not in the prompt"),
        ("a rose", "", "subject is empty"),
        ("a rose", "  ", "subject is empty"),
        ("", "rose", "prompt is empty"),
    ],
)
def test_missing_subject_is_a_prompt_error(
    toybox: Model, prompt: str, subject: str, words: str
) -> None:
    with pytest.raises(PromptError, match=words):
        subject_span(toybox, prompt, subject)


words = st.text("abcdefgrst", min_size=1, max_size=7)
phrases = st.lists(words, min_size=1, max_size=4).map(" ".join)
marks = st.sampled_from(["", ",", ".", "!", " -", "'s", "\u2019s", ")", ":"])


@SETTINGS
@given(before=st.one_of(st.just(""), phrases), subject=phrases, mark=marks, after=phrases)
def test_last_token_does_not_depend_on_what_follows(
    toybox: Model, before: str, subject: str, mark: str, after: str
) -> None:
    prompt = f"{before} {subject}{mark} {after}".strip()
    assume(f" {subject} " not in f" {after} ")
    assume(not f" {after} ".startswith(" s "))
    assume(len(toybox.pipeline.tokenizer(prompt).input_ids) <= 32)
    try:
        span = subject_span(toybox, prompt, subject)
    except PromptError:
        pytest.fail(f"{subject!r} was not found in {prompt!r}")
    alone = toybox.pipeline.tokenizer(subject, add_special_tokens=False).input_ids
    ids = toybox.pipeline.tokenizer(prompt).input_ids
    assert ids[span.start : span.stop] == alone


@SETTINGS
@given(
    prompt=phrases,
    change=st.sampled_from([str.upper, str.title, lambda s: s.replace(" ", "  "), "{}!".format]),
)
def test_case_space_and_punctuation_do_not_move_the_span(toybox: Model, prompt, change) -> None:
    assume(len(toybox.pipeline.tokenizer(prompt).input_ids) < 32)
    plain = subject_span(toybox, prompt, prompt)
    assert subject_span(toybox, change(prompt), prompt) == plain


@SETTINGS
@given(prompt=st.text(min_size=1, max_size=12), data=st.data())
def test_any_text_gives_a_span_or_a_prompt_error(toybox: Model, prompt: str, data) -> None:
    start = data.draw(st.integers(0, len(prompt) - 1))
    stop = data.draw(st.integers(start + 1, len(prompt)))
    try:
        span = subject_span(toybox, prompt, prompt[start:stop])
    except PromptError:
        return
    end = int(tokenize(toybox, [prompt]).end[0])
    assert 1 <= span.start < span.stop <= end


def test_alignment_of_equal_prompts_is_the_identity(toybox: Model) -> None:
    assert align(toybox, "a rose", "a rose") == (list(range(32)), list(range(32)))


def test_alignment_skips_what_only_the_destination_says(toybox: Model) -> None:
    source, destination = "a rose", "a red rose"
    rows, pairs = align(toybox, source, destination)
    assert rows == list(range(32))
    # start, a, rose, end, then padding in order; the last position repeats.
    assert pairs == [0, 1, 3, *range(4, 32), 31]
    ours = tokenize(toybox, [source]).ids[0]
    theirs = tokenize(toybox, [destination]).ids[0]
    assert ours.tolist() == theirs[pairs].tolist()


def test_alignment_of_an_office_with_its_new_holder(toybox: Model) -> None:
    source, destination = "the president of arda", "ada vale as the president of arda"
    rows, pairs = align(toybox, source, destination)
    ours = tokenize(toybox, [source])
    theirs = tokenize(toybox, [destination])
    assert rows == list(range(32))
    assert ours.ids[0].tolist() == theirs.ids[0][pairs].tolist()
    assert pairs[int(ours.end)] == int(theirs.end)


def test_alignment_to_a_shorter_prompt_stays_in_the_padding(toybox: Model) -> None:
    rows, pairs = align(toybox, "an apple", "a apple")
    assert pairs[:3] == [0, 1, 2]
    assert len(pairs) == len(rows) == max_length(toybox) == 32


def test_end_and_padding_pair_in_order(toybox: Model) -> None:
    short, long = (prompt_tokens(toybox, prompt) for prompt in ("a rose", "a blue rose at night"))
    assert end_rows(short, long) == (list(range(3, 32)), [*range(6, 32), 31, 31, 31])
    assert end_rows(long, short) == (list(range(6, 32)), list(range(3, 29)))


@pytest.mark.parametrize("count", [29, 30, 31, 40])
def test_a_subject_that_is_cut_off_is_a_prompt_error(toybox: Model, count: int) -> None:
    """Toybox reads 30 tokens of a prompt; what comes after them is as the pipeline reads it."""
    prompt = f"{'blue ' * count}rose"
    if count < 30:
        assert subject_span(toybox, prompt, "rose") == range(count + 1, count + 2)
        assert subject_span(toybox, f"{prompt} and a cat", "rose") == range(count + 1, count + 2)
        return
    says = f"has {count + 3} tokens and text_encoder reads 32, so that the subject 'rose'"
    with pytest.raises(PromptError, match=says):
        subject_span(toybox, prompt, "rose")


def test_a_subject_of_which_half_is_cut_off_is_a_prompt_error(toybox: Model) -> None:
    prompt = f"{'blue ' * 29}red rose"
    with pytest.raises(PromptError, match="subject 'red rose' is cut off"):
        subject_span(toybox, prompt, "red rose")
    assert subject_span(toybox, prompt, "red") == range(30, 31)


def test_of_several_occurrences_the_last_that_is_read_counts(toybox: Model) -> None:
    prompt = f"a rose and a rose {'red ' * 30}rose"
    assert subject_span(toybox, prompt, "rose") == range(5, 6)
    assert subject_span(toybox, prompt, "red") == range(30, 31)


def test_a_partner_that_is_cut_off_is_none(toybox: Model) -> None:
    with pytest.raises(
        PromptError, match=r"'rose' has no partner.* reads the first 32 tokens only"
    ):
        align(toybox, "a rose", f"a {'red ' * 29}rose")


def test_words_that_never_match_are_named(toybox: Model) -> None:
    with pytest.raises(PromptError, match="'orange' has no partner") as caught:
        align(toybox, "an orange rose", "a blue rose")
    assert "'an orange rose'" in str(caught.value)
    assert "'a blue rose'" in str(caught.value)


@SETTINGS
@given(kept=st.lists(words, min_size=1, max_size=4), data=st.data())
def test_alignment_pairs_equal_tokens_in_order(toybox: Model, kept: list[str], data) -> None:
    longer = list(kept)
    for word in data.draw(st.lists(words, max_size=3)):
        longer.insert(data.draw(st.integers(0, len(longer))), word)
    source, destination = " ".join(kept), " ".join(longer)
    assume(len(toybox.pipeline.tokenizer(destination).input_ids) <= 32)
    articles = {"an": "a"}
    rows, pairs = align(toybox, source, destination)
    ours = tokenize(toybox, [source])
    theirs = tokenize(toybox, [destination])
    end = int(ours.end)
    assert rows == list(range(32))
    assert pairs == sorted(pairs)
    assert len(set(pairs[: end + 1])) == end + 1
    for here, there in enumerate(pairs):
        mine, other = (
            toybox.pipeline.tokenizer.decode([int(t)]).strip()
            for t in (ours.ids[0, here], theirs.ids[0, there])
        )
        assert articles.get(mine, mine) == articles.get(other, other)
