"""The step model: a process reward model in TRL's form, trained on the agent's own attempts.

A token classifier of two labels on plain text, `<bos>`, the question, then each step and the blank
line that ends it; a step's label is read on that line's token (TRL's PRMTrainer with step_separator
"\\n\\n"). A step is good while the chain is right up to and with it: after the first mistake every
step is bad (as in ProcessBench).
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.laboratory import world
from benchmarks.laboratory.agent_data import Attempt, Questions, made_up
from benchmarks.laboratory.data import Examples, packed
from benchmarks.laboratory.roles import asked
from benchmarks.laboratory.vocabulary import BOS, CLOSE, ids
from testtime.compute.flops import Flops

BAD, GOOD = 1, 2
"""Kinds of a separator token; the labels are these less 1."""


def chain(written: Sequence[int]) -> list[list[int]]:
    """The steps of an attempt's thinking, without what ends them."""
    close, end = ids()[CLOSE], ids()[world.STEP]
    thinking = list(itertools.takewhile(lambda token: token != close, written))
    out: list[list[int]] = [[]]
    for token in thinking:
        if token == end:
            out.append([])
        else:
            out[-1].append(token)
    return out[:-1] if not out[-1] else out


def truth(start: int, functions: Sequence[int], written: Sequence[int]) -> tuple[bool, ...]:
    """Whether the chain is right up to and with each step that was written."""
    right = [
        [ids()[word] for word in (step[0], step[1:4], step[4])]
        for step in world.steps(start, functions)
    ]
    made = chain(written)
    good = [n < len(right) and step == right[n] for n, step in enumerate(made)]
    return tuple(itertools.accumulate(good, lambda a, b: a and b))


def example(one: Attempt) -> tuple[list[int], list[int]]:
    """(token ids, kinds) of an attempt's steps as the step model reads them."""
    words = asked(one.start, one.functions)
    tokens = [ids()[BOS], *(ids()[word] for word in words)]
    kinds = [0] * len(tokens)
    for step, good in zip(chain(one.written), one.steps, strict=True):
        tokens += [*step, ids()[world.STEP]]
        kinds += [0] * len(step) + [GOOD if good else BAD]
    return tokens, kinds


def _arrays(made: Sequence[tuple[list[int], list[int]]]) -> Examples:
    width = max(len(tokens) for tokens, _ in made)
    both = np.zeros((2, len(made), width), dtype=np.int64)
    for row, (tokens, kinds) in enumerate(made):
        both[0, row, : len(tokens)], both[1, row, : len(kinds)] = tokens, kinds
    return Examples(both[0], both[1])


def _stream(own: list[Attempt], tokens: int, seed: int) -> Iterator[Examples]:
    rng = random.Random(seed)
    usable = [one for one in own if one.steps]
    source = Questions(np.random.default_rng([seed, 1]))
    while True:
        shown = rng.sample(usable, min(1024, len(usable)))
        shown += [made_up(source, rng) for _ in range(1024)]
        found = packed([_arrays([example(one) for one in shown])], tokens)
        rng.shuffle(found)
        yield from found


def build(agent: Path) -> Any:
    """The agent's body under a fresh head of two labels."""
    from transformers import AutoModelForTokenClassification

    return AutoModelForTokenClassification.from_pretrained(
        agent, num_labels=2, id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1}
    )


def train(
    own: list[Attempt], agent: Path, out: Path, tokens: int, rate: float, seed: int = 1
) -> None:
    """Trains the step model on `tokens` tokens of steps from the agent's body, the rate falling to
    0; saves it.
    """
    import torch
    from torch.nn import functional

    from benchmarks.laboratory.vocabulary import build as tokenizer

    if (out / "model.safetensors").exists():
        return
    torch.manual_seed(seed)
    model = build(agent).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.1, fused=True
    )
    costs, begin = Flops.from_config(model.config.to_dict()), time.monotonic()
    seen, flops = 0, 0.0
    for one in _stream(own, 1024, seed):
        if seen >= tokens:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (seen + 1) / 20_000) * (1 - seen / tokens)
        kinds = torch.from_numpy(one.kinds)
        logits = model(input_ids=torch.from_numpy(one.tokens)).logits[kinds > 0]
        functional.cross_entropy(logits, kinds[kinds > 0] - 1).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lengths = (one.tokens != 0).sum(1)
        seen += int(lengths.sum())
        flops += 3 * float(costs.forward(0, lengths).sum())
    model.save_pretrained(out)
    tokenizer().save_pretrained(out)
    made = {"tokens": seen, "flops": flops, "seconds": time.monotonic() - begin}
    (out / "training.json").write_text(json.dumps(made))


def scores(model: Any, own: Sequence[Attempt], batch: int = 512) -> list[np.ndarray]:
    """P(good) of each step of each attempt, at the token that ends it."""
    import torch

    out = []
    for begin in range(0, len(own), batch):
        one = _arrays([example(a) for a in own[begin : begin + batch]])
        with torch.no_grad():
            good = model(input_ids=torch.from_numpy(one.tokens)).logits.softmax(-1)[..., 1].numpy()
        out += [row[kinds > 0] for row, kinds in zip(good, one.kinds, strict=True)]
    return out
