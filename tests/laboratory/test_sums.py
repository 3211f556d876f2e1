"""The quickstart recipe's parts that decide what is learnt: right traces, masks, disjoint data,
resumable batches.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

pytest.importorskip("reasoning_gym")
pytest.importorskip("transformers")

from benchmarks.laboratory.sums import data, items, traces, vocabulary

TASKS = {"chain_sum": 1.0}
MIXTURE = data.Mixture(tasks=TASKS)


def plain(written: str) -> int:
    """The number that reversed digits with an optional closing sign stand for."""
    digits = written.rstrip("+-")
    return int(digits[::-1]) - (10 ** len(digits) if written.endswith("-") else 0)


def test_traces_end_in_the_answer() -> None:
    for seed in range(200):
        made = items.item("chain_sum", seed)
        assert plain(traces.chain_sum(made.meta)[-4:]) == int(made.gold)


def test_traces_word_for_word() -> None:
    assert traces.chain_sum({"expression": "12 + 5 - 30"}) == "+12=210++5=710+-30=789-"


def test_ids_are_the_tokenizers() -> None:
    tokenizer = vocabulary.build()
    text = "+12=210++5=710+-30=789-"
    assert data.ids(text) == tokenizer(text, add_special_tokens=False)["input_ids"]
    turns = [{"role": "user", "content": "36 - 27"}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    tokens, _ = data.example(
        items.Item("chain_sum", "36-27", "9", {"expression": "36 - 27"}), MIXTURE, random.Random(0)
    )
    assert tokenizer(prompt, add_special_tokens=False)["input_ids"] == tokens[:7]


def test_loss_only_where_something_should_be_learnt() -> None:
    made = items.Item("chain_sum", "12+5-30", "-13", {"expression": "12 + 5 - 30"})
    names = vocabulary.build().convert_ids_to_tokens

    def shown(mixture: data.Mixture) -> tuple[str, str]:
        tokens, loss = data.example(made, mixture, random.Random(3))
        kept = [name for name, flag in zip(names(tokens), loss, strict=True) if flag]
        return "".join(names(tokens)), "".join(kept)

    whole, learnt = shown(data.Mixture(tasks=TASKS, cut=0))
    assert whole == "<bos>12+5-30<think>" + learnt
    assert learnt == "+12=210++5=710+-30=789-</think>-13<eos>"
    whole, learnt = shown(data.Mixture(tasks=TASKS, cut=1, unthought=1))
    assert whole == "<bos>12+5-30<think></think>-13<eos>"
    assert learnt == "-13<eos>"


def test_training_keeps_off_the_evaluated_prompts() -> None:
    for task in TASKS:
        kept = items.evaluated(task)
        assert kept
        prompts = [made.prompt for seed in range(3000) if (made := items.trainable(task, seed))]
        assert not kept.intersection(prompts)


def test_batches_go_on_where_they_were() -> None:
    first = list(itertools.islice(data.batches(MIXTURE, 1, 2048), 8))
    later = next(data.batches(MIXTURE, 1, 2048, start=7))
    assert all(np.array_equal(a, b) for a, b in zip(first[7], later, strict=True))
    assert all(inputs.size <= 2048 and inputs.shape == mask.shape for inputs, mask in first)


def test_held_out_set_is_fixed() -> None:
    one, two = (data.held_out(MIXTURE, 30, 2048) for _ in range(2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, two, strict=True))
