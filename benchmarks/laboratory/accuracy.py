"""Accuracy at fixed thinking of every checkpoint of the ladder, beside its training compute and
loss.

    python -m benchmarks.laboratory.accuracy

Chains are drawn at temperature 1; a budget keeps the first b tokens of each (the closing one
counted), closes it, and takes the probability of the right letter: the expectation over the answer,
with less noise than a drawn one. Checkpoints that the file already has are left as they are.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.laboratory import roles, sample, world
from benchmarks.laboratory.recipe import HERE
from benchmarks.laboratory.vocabulary import CLOSE, ids
from testtime import tasks

BUDGETS = (0, 4, 8, 25)
"""No thinking, one step, two steps, and all steps of six functions with the closing."""
CHAINS = 2


def accuracies(
    model: Any, asked: list[tuple[int, list[int]]], seed: int = 0
) -> dict[int, np.ndarray]:
    """Budget to the probability of the right answer, each (questions, CHAINS)."""
    close = ids()[CLOSE]
    rows = [q for q in asked for _ in range(CHAINS)]
    prompts = [roles.solve(s, f, 0).tokens[:-3] for s, f in rows]
    chains = sample.generate(model, prompts, seed=seed, stops=(CLOSE,))
    gold = [ids()[world.letter(world.states(s, f)[-1])] for s, f in rows]
    letters = [world.letter(x) for x in range(world.LETTERS)]
    first = ids()["a"]
    out = {}
    for budget in BUDGETS:
        kept = [[token for token in chain[:budget] if token != close] for chain in chains]
        closed = [[*prompt, *chain, close] for prompt, chain in zip(prompts, kept, strict=True)]
        chances = sample.first_token(model, closed, letters)
        out[budget] = chances[np.arange(len(rows)), np.array(gold) - first].reshape(
            len(asked), CHAINS
        )
    return out


def main() -> None:
    """Command line: the ladder's output folder, the file, and how many questions of the task
    `facts`.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "out" / "ladder")
    parser.add_argument("--file", type=Path, default=HERE / "accuracy.csv")
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    asked = [world.parse(p.question) for p in tasks.load("facts", limit=given.questions).problems]
    known: list[dict[str, Any]] = []
    if given.file.exists():
        with given.file.open(newline="") as file:
            known = list(csv.DictReader(file))
    done = {(row["run"], row["target"]) for row in known}
    for found in sorted(given.out.glob("*/*/*/measured.json")):
        row = json.loads(found.read_text())
        if (row["run"], str(row["target"])) in done:
            continue
        model = AutoModelForCausalLM.from_pretrained(found.parent).eval()
        for budget, chances in accuracies(model, asked).items():
            mean, error = chances.mean(), chances.mean(1).std(ddof=1) / len(asked) ** 0.5
            kept = {
                key: row[key]
                for key in ("run", "rung", "seed", "target", "parameters", "flops", "loss")
            }
            known.append({**kept, "budget": budget, "accuracy": float(mean), "se": float(error)})
        with given.file.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(known[0]))
            writer.writeheader()
            writer.writerows(known)


if __name__ == "__main__":
    main()
