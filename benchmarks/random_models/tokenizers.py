"""Small tokenizers with the classes, the special tokens and the vocabulary layout of the originals.

Each function returns a new tokenizer. All return offsets and accept any text; characters outside
the vocabulary become bytes or, for T5 and BERT, the unknown token. ``length`` is the tokenizer's
``model_max_length``.
"""

from __future__ import annotations

from typing import Any

from random_models import vocabularies as vocabulary


def clip_tokenizer(
    *, pad_token: str = "<|endoftext|>", length: int = 77, full: bool = False
) -> Any:
    """A ``CLIPTokenizer``: bytes, word-final bytes, merges, start token, end token.

    Args:
        pad_token: ``"!"`` in SD2 and in the second tokenizer of SDXL, the end token elsewhere.
        length: ``model_max_length``, including the start and the end token.
        full: Use CLIP's original vocabulary of 49408 tokens if the package ``open_clip``, which
            contains it, is installed; the small vocabulary otherwise.
    """
    from transformers import CLIPTokenizer

    merges = (vocabulary.real_clip_merges() if full else None) or vocabulary.clip_merges()
    letters = vocabulary.printable_bytes()
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *vocabulary.joined(merges)]
    vocab = vocabulary.numbered([*pieces, "<|startoftext|>", "<|endoftext|>"])
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad_token, model_max_length=length)


def t5_tokenizer(*, length: int = 512) -> Any:
    """A ``T5TokenizerFast``: pad, end, unknown token, unigrams, 100 sentinels; no byte fallback."""
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *vocabulary.unigrams()]
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    return T5TokenizerFast(vocab=pieces, model_max_length=length)


def bert_tokenizer(*, length: int = 77) -> Any:
    """A ``BertTokenizer``: whole words, and single characters for the rest."""
    from transformers import BertTokenizer

    letters = sorted({letter for word in vocabulary.words() for letter in word})
    pieces = [*letters, *(f"##{letter}" for letter in letters), *vocabulary.words()]
    vocab = vocabulary.numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])
    return BertTokenizer(vocab=vocab, model_max_length=length)


def llama_tokenizer(*, length: int = 256) -> Any:
    """A ``LlamaTokenizerFast`` configured as in AuraFlow: no start token, but an end token."""
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
    """A ``GemmaTokenizerFast``: a start token, no end token."""
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
    """A ``Qwen2TokenizerFast``: bytes, merges, special tokens.

    Its chat template is ChatML. As in Qwen 3, ``enable_thinking=False`` adds an empty thinking
    block to the generation prompt.
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
    """A ``PreTrainedTokenizerFast`` as in Llama 3: a start token, no padding token."""
    return _byte_tokenizer(
        "<|begin_of_text|>",
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        model_max_length=length,
    )


def mistral_tokenizer(*, length: int = 512) -> Any:
    """A ``PreTrainedTokenizerFast`` as in Mistral Small, padded on the left.

    Its chat template accepts a message's content as a string or as a list of parts, of which it
    uses those of type ``"text"``.
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
    """The vocabulary: special tokens, bytes, characters, merged characters."""
    made = vocabulary.joined(vocabulary.word_merges())
    return vocabulary.numbered(
        [*special, *vocabulary.fallback_bytes(), *vocabulary.letters(), *made]
    )


def _byte_tokenizer(start: str, *marks: str, **settings: Any) -> Any:
    """A byte-level BPE tokenizer that puts the token ``start`` before every text.

    ``marks`` are further special tokens. Special tokens come first in the vocabulary.
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
