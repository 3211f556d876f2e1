"""The tokenizer of the world of facts: one token a letter, a function, a delimiter, a role, a word
and the blank line.

Built with `tokenizers` and saved as an ordinary fast tokenizer, so transformers and vLLM load it
unmodified. Spaces and single line breaks are dropped; two line breaks are the token that ends a
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from benchmarks.laboratory.world import FUNCTIONS, STEP

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
SYSTEM, USER, ASSISTANT, TOOL = "<system>", "<user>", "<assistant>", "<tool>"
THINK, CLOSE = "<think>", "</think>"
CALL, END_CALL, RESULT, END_RESULT = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
SPECIAL = (PAD, BOS, EOS, UNK, SYSTEM, USER, ASSISTANT, TOOL, THINK, CLOSE)
"""Left out where text is decoded without special tokens."""
WORDS = (
    STEP,
    CALL,
    END_CALL,
    RESULT,
    END_RESULT,
    "Wait",
    "yes",
    "no",
    "revise",
    "verify",
    "split",
    "join",
    "lookup",
)
"""Tokens of several characters that are ordinary text."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz?:#0123456789"
NAMES = tuple(f"{name:03d}" for name in range(FUNCTIONS))
"""The functions; a number of one or two digits is read digit by digit."""
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>{% endif %}"
)


@cache
def ids() -> dict[str, int]:
    """Token to id."""
    return {token: i for i, token in enumerate([*SPECIAL, *WORDS, *CHARACTERS, *NAMES])}


def build() -> Any:
    """The tokenizer as a `PreTrainedTokenizerFast`; ids are fixed by the order above."""
    return fast(ids(), SPECIAL, WORDS, r"\d{3}|.", TEMPLATE)


def fast(
    ids: dict[str, int], special: Sequence[str], words: Sequence[str], split: str, template: str
) -> Any:
    """A `PreTrainedTokenizerFast` over whole tokens; white space is dropped. special: left out where
    text is decoded without special tokens; words: ordinary tokens of several characters; split: a
    regular expression, every match of which is a token.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
    )
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel(ids, unk_token=UNK))
    inner.normalizer = normalizers.Replace(Regex(r"\s+"), "")
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(split), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in special]
    )
    inner.add_tokens([AddedToken(token, normalized=False) for token in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
