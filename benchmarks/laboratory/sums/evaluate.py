"""How good a checkpoint is: held-out loss with its standard error, and accuracy after full
thinking.

The plain generation loop of transformers is enough here; testtime's own sampler measures the ladder
later.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.laboratory.sums.data import Mixture, held_out, vocabulary
from benchmarks.laboratory.sums.items import item
from benchmarks.laboratory.sums.vocabulary import BOS, CLOSE, EOS, PAD, THINK

LONGEST = 240
"""Tokens generated at most."""


def loss(model: Any, mixture: Mixture, count: int, tokens: int) -> tuple[float, float]:
    """(nats per token on thinking and answer tokens, standard error); sequences are the independent
    units.
    """
    import torch
    from torch.nn import functional

    sums, weights = [], []
    with torch.no_grad():
        for inputs, mask in held_out(mixture, count, tokens):
            x, w = torch.from_numpy(inputs), torch.from_numpy(mask)[:, 1:]
            logits = model(input_ids=x[:, :-1], use_cache=False).logits
            each = functional.cross_entropy(
                logits.flatten(0, 1).float(), x[:, 1:].flatten(), reduction="none"
            ).view(w.shape)
            sums.append((each * w).sum(1))
            weights.append(w.sum(1))
    s, n = torch.cat(sums).double().numpy(), torch.cat(weights).double().numpy()
    mean = float(s.sum() / n.sum())
    return mean, float(np.sqrt(((s - mean * n) ** 2).sum()) / n.sum())


def generate(
    model: Any, prompts: list[list[int]], temperature: float, seed: int = 0
) -> list[list[int]]:
    """Token ids generated after each prompt, cut after end-of-sequence; temperature 0 is greedy."""
    import torch

    table = vocabulary()
    width = max(map(len, prompts))
    x = torch.tensor([[table[PAD]] * (width - len(p)) + p for p in prompts])
    torch.manual_seed(seed)
    how: dict[str, Any] = {"do_sample": False}
    if temperature:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0}
    with torch.no_grad():
        made = model.generate(
            input_ids=x,
            attention_mask=(x != table[PAD]).long(),
            max_new_tokens=LONGEST,
            eos_token_id=table[EOS],
            pad_token_id=table[PAD],
            **how,
        )
    rows = made[:, width:].tolist()
    return [row[: row.index(table[EOS]) + 1] if table[EOS] in row else row for row in rows]


def accuracy(
    model: Any,
    tasks: list[str],
    count: int,
    temperature: float = 0.0,
    samples: int = 1,
    close: bool = False,
) -> dict[str, np.ndarray]:
    """Per task, scores of shape (count, samples) on the items that testtime evaluates; under
    "task/answers" the texts.

    close: thinking is closed at once (budget 0).
    """
    table = vocabulary()
    names = {i: token for token, i in table.items()}
    out = {}
    for task in tasks:
        items = [item(task, seed) for seed in range(count) for _ in range(samples)]
        tail = [table[THINK]] + [table[CLOSE]] * close
        prompts = [[table[BOS], *(table[c] for c in one.prompt), *tail] for one in items]
        answers = []
        for start in range(0, len(prompts), 256):
            for row in generate(model, prompts[start : start + 256], temperature, seed=start):
                row = [table[CLOSE], *row] if close else row
                at = row.index(table[CLOSE]) if table[CLOSE] in row else len(row)
                answers.append(
                    "".join(names[i] for i in row[at + 1 : -1]) if row[-1] == table[EOS] else ""
                )
        right = [answer == one.gold for answer, one in zip(answers, items, strict=True)]
        out[task] = np.array(right).reshape(count, samples)
        out[task + "/answers"] = np.array(answers, dtype=object).reshape(count, samples)
    return out
