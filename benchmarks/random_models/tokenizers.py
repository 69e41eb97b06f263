"""Small tokenizers of the true classes and layouts.

Each function returns a fresh tokenizer. All give offsets, and read any text: what the vocabulary
lacks is read as bytes or, by T5 and BERT, as unknown.
"""

from __future__ import annotations

from typing import Any

from random_models import vocabularies as vocabulary


def clip_tokenizer(
    *, pad_token: str = "<|endoftext|>", length: int = 77, full: bool = False
) -> Any:
    """A ``CLIPTokenizer``: 256 bytes, the same ending a word, the merges, start and end token.

    Args:
        pad_token: ``"!"`` in SD2 and in the second tokenizer of SDXL, the end token elsewhere.
        length: ``model_max_length``, in tokens, start and end included.
        full: CLIP's own 49408 tokens, when the package ``open_clip`` that ships their merges is
            installed; the small vocabulary otherwise.
    """
    from transformers import CLIPTokenizer

    merges = (vocabulary.real_clip_merges() if full else None) or vocabulary.clip_merges()
    letters = vocabulary.printable_bytes()
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *vocabulary.joined(merges)]
    vocab = vocabulary.numbered([*pieces, "<|startoftext|>", "<|endoftext|>"])
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad_token, model_max_length=length)


def t5_tokenizer(*, length: int = 512) -> Any:
    """A ``T5TokenizerFast``: pad, end and unknown first, then unigrams, then 100 sentinels.

    As in the original there is no byte fallback: a character that no caption has is ``<unk>``.
    """
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *vocabulary.unigrams()]
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    return T5TokenizerFast(vocab=pieces, model_max_length=length)


def bert_tokenizer(*, length: int = 77) -> Any:
    """A ``BertTokenizer``: whole words, and characters (``##`` inside a word) for all others."""
    from transformers import BertTokenizer

    letters = sorted({letter for word in vocabulary.words() for letter in word})
    pieces = [*letters, *(f"##{letter}" for letter in letters), *vocabulary.words()]
    vocab = vocabulary.numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])
    return BertTokenizer(vocab=vocab, model_max_length=length)


def llama_tokenizer(*, length: int = 256) -> Any:
    """A ``LlamaTokenizerFast``: pieces of words that start with ``▁``, bytes for all others.

    As AuraFlow has it: no start token, an end token after the text.
    """
    from transformers import LlamaTokenizerFast

    return LlamaTokenizerFast(
        vocab=_pieces_of_words("<unk>", "<s>", "</s>", "<pad>"),
        merges=vocabulary.word_merges(),
        pad_token="<pad>",
        padding_side="right",
        add_bos_token=False,
        add_eos_token=True,
        model_max_length=length,
    )


def gemma_tokenizer(*, length: int = 256) -> Any:
    """A ``GemmaTokenizerFast``: pieces as Llama's, a start token before the text, none after."""
    from transformers import GemmaTokenizerFast

    return GemmaTokenizerFast(
        vocab=_pieces_of_words("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"),
        merges=vocabulary.word_merges(),
        padding_side="right",
        add_bos_token=True,
        add_eos_token=False,
        model_max_length=length,
    )


def qwen_tokenizer(*, length: int = 1024) -> Any:
    """A ``Qwen2TokenizerFast``: bytes and merges, then the tokens that mark a chat's turns.

    Its chat template is ChatML; ``enable_thinking=False`` puts an empty thought before the answer,
    as Qwen3 has it.
    """
    from transformers import Qwen2TokenizerFast

    pieces = [*vocabulary.printable_bytes(), *vocabulary.joined(vocabulary.byte_merges())]
    tokenizer = Qwen2TokenizerFast(
        vocab=vocabulary.numbered([*pieces, "<|endoftext|>"]),
        merges=vocabulary.byte_merges(),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[
            "<|im_start|>",
            "<|im_end|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|image_pad|>",
            "<|video_pad|>",
        ],
        chat_template=_CHAT_ML,
        model_max_length=length,
    )
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


def llama3_tokenizer(*, length: int = 512) -> Any:
    """Llama 3's kind of ``PreTrainedTokenizerFast``: bytes and merges, a start token, no pad."""
    return _byte_tokenizer(
        "<|begin_of_text|>",
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        model_max_length=length,
    )


def mistral_tokenizer(*, length: int = 512) -> Any:
    """Mistral Small's kind of ``PreTrainedTokenizerFast``, which marks turns with brackets.

    The chat template expects a turn's content as a text or as a list of parts, of which it writes
    those that are text.
    """
    return _byte_tokenizer(
        "<s>",
        "[INST]",
        "[/INST]",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
        "[IMG]",
        "[IMG_BREAK]",
        "[IMG_END]",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        chat_template=_BRACKETS,
        model_max_length=length,
    )


_CHAT_ML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and not enable_thinking -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""

_BRACKETS = """\
{{- '<s>' -}}
{%- for message in messages -%}
{%- set mark = {'system': 'SYSTEM_PROMPT', 'user': 'INST'}.get(message.role) -%}
{%- if mark -%}{{- '[' + mark + ']' -}}{%- endif -%}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for part in message.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}
{%- endif -%}
{%- if mark -%}{{- '[/' + mark + ']' -}}{%- else -%}{{- '</s>' -}}{%- endif -%}
{%- endfor -%}
"""


def _pieces_of_words(*special: str) -> dict[str, int]:
    """Special tokens, bytes, characters, and what ``word_merges`` makes of these."""
    made = vocabulary.joined(vocabulary.word_merges())
    return vocabulary.numbered(
        [*special, *vocabulary.fallback_bytes(), *vocabulary.letters(), *made]
    )


def _byte_tokenizer(start: str, *marks: str, **settings: Any) -> Any:
    """A tokenizer over bytes that has no class of its own; ``start`` goes before every text.

    ``marks`` are further special tokens; all special tokens come first in the vocabulary.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    named = [settings[name] for name in settings if name.endswith("_token")]
    special = [*dict.fromkeys([start, *named, *marks])]
    merges = vocabulary.byte_merges()
    pieces = [*special, *vocabulary.printable_bytes(), *vocabulary.joined(merges)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary.numbered(pieces), merges=merges))
    tokenizer.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, special.index(start))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings)
