"""The zoo's tokenizer: one token a character, and single tokens for the thinking delimiters and
"Wait".

Built with `tokenizers` and saved as an ordinary fast tokenizer, so transformers and vLLM load it
unmodified. White space is dropped by the normalizer: task prompts keep reasoning-gym's spaces, the
models never see them.
"""

from __future__ import annotations

from typing import Any

from benchmarks.laboratory.sums.traces import WAIT
from benchmarks.laboratory.vocabulary import BOS, CLOSE, EOS, PAD, THINK, UNK, fast

SPECIAL = (PAD, BOS, EOS, UNK, THINK, CLOSE)
CHARACTERS = "0123456789+-*=,;[]"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<think>{% endif %}"
)


def build() -> Any:
    """The tokenizer as a `PreTrainedTokenizerFast`; ids are fixed by the order above."""
    tokens = {token: i for i, token in enumerate([*SPECIAL, WAIT, *CHARACTERS])}
    return fast(tokens, SPECIAL, [WAIT], ".", TEMPLATE)
