"""Drawing from a model with the plain generation loop of transformers, and reading what it wrote.

Enough for the recipes and for proving the roles; testtime's own engines and strategies measure the
models later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.laboratory.vocabulary import (
    CALL,
    CLOSE,
    END_CALL,
    END_RESULT,
    EOS,
    PAD,
    RESULT,
    ids,
)
from testtime.zoo import facts

LONGEST = 64
"""Tokens generated at most in one go: a chain of twelve hops has 51."""
BATCH = 512


def generate(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    temperature: float = 1.0,
    seed: int = 0,
    stops: Sequence[str] = (EOS,),
) -> list[list[int]]:
    """Token ids generated after each prompt, up to and with the first of `stops`; temperature 0 is
    greedy.
    """
    import torch

    ends = [ids()[stop] for stop in stops]
    how: dict[str, Any] = {"do_sample": False}
    if temperature:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    torch.manual_seed(seed)
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    out: list[list[int]] = [[] for _ in prompts]
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        width = max(len(prompts[i]) for i in rows)
        x = torch.tensor(
            [[ids()[PAD]] * (width - len(prompts[i])) + list(prompts[i]) for i in rows]
        )
        with torch.no_grad():
            made = model.generate(
                input_ids=x,
                attention_mask=(x != ids()[PAD]).long(),
                max_new_tokens=LONGEST,
                eos_token_id=ends,
                pad_token_id=ids()[PAD],
                **how,
            )
        for i, row in zip(rows, made[:, width:].tolist(), strict=True):
            cut = next((n + 1 for n, token in enumerate(row) if token in ends), len(row))
            out[i] = row[:cut]
    return out


def text(tokens: Sequence[int]) -> str:
    """Token ids as text, special tokens included."""
    names = {i: name for name, i in ids().items()}
    return "".join(names[i] for i in tokens)


def attempts(rows: Sequence[list[int]]) -> list[list[int]]:
    """What is shown as an attempt: all that was generated, without the end of sequence."""
    return [row[:-1] if row and row[-1] == ids()[EOS] else row for row in rows]


def answer(row: Sequence[int]) -> str:
    """The text after the thinking; empty where the model did not end."""
    close = ids()[CLOSE]
    if close not in row or row[-1] != ids()[EOS]:
        return ""
    return text(row[list(row).index(close) + 1 : -1])


def with_tool(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    temperature: float = 1.0,
    seed: int = 0,
    turns: int = 16,
) -> tuple[list[list[int]], list[int]]:
    """Generation with the look-up tool: (token ids after each prompt, results included; calls
    made).
    """
    rows, calls = [list(prompt) for prompt in prompts], [0] * len(prompts)
    open_ = list(range(len(prompts)))
    for turn in range(turns):
        made = generate(
            model,
            [rows[i] for i in open_],
            temperature=temperature,
            seed=seed * 1000 + turn,
            stops=(EOS, END_CALL),
        )
        going = []
        for i, new in zip(open_, made, strict=True):
            rows[i] += new
            if new and new[-1] == ids()[END_CALL] and ids()[CALL] in new:
                begin = len(new) - 1 - new[::-1].index(ids()[CALL])
                result = facts.lookup(text(new[begin + 1 : -1]))
                rows[i] += [ids()[RESULT], *(ids()[c] for c in result), ids()[END_RESULT]]
                calls[i] += 1
                going.append(i)
        open_ = going
        if not open_:
            break
    return [row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)], calls


def first_token(model: Any, prompts: Sequence[list[int]], names: Sequence[str]) -> np.ndarray:
    """Probabilities of the next token after each prompt, of each of `names`; shape (prompts,
    names).
    """
    import torch

    out = np.empty((len(prompts), len(names)))
    columns = [ids()[name] for name in names]
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        lengths = torch.tensor([len(prompts[i]) for i in rows])
        width = int(lengths.max())
        x = torch.tensor(
            [list(prompts[i]) + [ids()[PAD]] * (width - len(prompts[i])) for i in rows]
        )
        with torch.no_grad():
            states = model.model(input_ids=x, use_cache=False).last_hidden_state
            logits = model.lm_head(states[torch.arange(len(rows)), lengths - 1])
        out[rows] = logits.softmax(-1)[:, columns].numpy()
    return out
