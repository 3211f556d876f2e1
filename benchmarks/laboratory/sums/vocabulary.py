"""The zoo's tokenizer: one token a character, and single tokens for the thinking delimiters and
"Wait".

Built with `tokenizers` and saved as an ordinary fast tokenizer, so transformers and vLLM load it
unmodified. White space is dropped by the normalizer: task prompts keep reasoning-gym's spaces, the
models never see them.
"""

from __future__ import annotations

from typing import Any

from benchmarks.laboratory.sums.traces import WAIT

PAD, BOS, EOS, UNK, THINK, CLOSE = SPECIAL = (
    "<pad>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<think>",
    "</think>",
)
CHARACTERS = "0123456789+-*=,;[]"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<think>{% endif %}"
)


def build() -> Any:
    """The tokenizer as a `PreTrainedTokenizerFast`; ids are fixed by the order above."""
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

    tokens = [*SPECIAL, WAIT, *CHARACTERS]
    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=UNK))
    inner.normalizer = normalizers.Replace(Regex(r"\s+"), "")
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in SPECIAL]
    )
    inner.add_tokens([AddedToken(WAIT, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
