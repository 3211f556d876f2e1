"""Collects the real mistakes of a weaker checkpoint, once, into a file that the ladder's recipe
reads.

The checkpoint solves training problems at temperature 1. A first pass that ends by itself and
differs from the right one is kept word for word: training continues it with "Wait", the second pass
and the right answer.

    python -m benchmarks.ladder.mistakes benchmarks/ladder/out/weak/weak/3000000
    benchmarks/ladder/mistakes.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

from benchmarks.ladder.data import vocabulary
from benchmarks.ladder.evaluate import generate
from benchmarks.ladder.items import trainable
from benchmarks.ladder.traces import TRACES, WAIT
from benchmarks.ladder.vocabulary import BOS, CLOSE, SPECIAL, THINK

FIRST_SEED = 2**33
"""Above every seed that `data.draw` takes."""


def collect(model: Any, task: str, wanted: int, batch: int = 256) -> list[dict[str, Any]]:
    """`wanted` mistakes at `task` (fewer where 8 batches do not give as many)."""
    table = vocabulary()
    names = {i: token for token, i in table.items()}
    found: list[dict[str, Any]] = []
    for number in range(8):
        seeds = range(FIRST_SEED + number * batch, FIRST_SEED + (number + 1) * batch)
        items = [(seed, made) for seed in seeds if (made := trainable(task, seed))]
        prompts = [
            [table[BOS], *(table[c] for c in made.prompt), table[THINK]] for _, made in items
        ]
        for (seed, made), row in zip(
            items, generate(model, prompts, 1.0, seed=number), strict=True
        ):
            tokens = [names[i] for i in row]
            ends = [tokens.index(mark) for mark in (WAIT, CLOSE) if mark in tokens]
            first = tokens[: min(ends)] if ends else []
            if (
                first
                and not set(first) & set(SPECIAL)
                and "".join(first) != TRACES[task](made.meta, False)
            ):
                found.append({"task": task, "seed": seed, "chain": "".join(first)})
        if len(found) >= wanted:
            break
    return found[:wanted]


def main() -> None:
    """Command line: the checkpoint, the file to write, how many mistakes a task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("file", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TRACES))
    parser.add_argument("--each", type=int, default=600)
    given = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(given.checkpoint).eval()
    with gzip.GzipFile(given.file, "wb", mtime=0) as out:
        for task in given.tasks:
            mistakes = collect(model, task, given.each)
            print(f"{task}: {len(mistakes)} mistakes")
            out.writelines((json.dumps(one) + "\n").encode() for one in mistakes)


if __name__ == "__main__":
    main()
