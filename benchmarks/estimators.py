"""How long do the estimators take on a large pool?

500 problems x 256 samples x 8 budgets: pass@k and majority@k at every k up to 256, with intervals
from 2,000 bootstrap resamples, from a scores table to a cells table; and the exact vote at all
powers of two for one budget. Prints CPU and wall seconds:

    python benchmarks/estimators.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from testtime.estimators import majority_at_k
from testtime.estimators.cells import cells

PROBLEMS, SAMPLES, BUDGETS, ANSWERS = 500, 256, 8, 12


def pool(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and keys of one budget: answer 0 is right, the last is no vote."""
    key = np.empty((PROBLEMS, SAMPLES), dtype=np.int64)
    for problem, right in enumerate(rng.beta(1, 1, PROBLEMS)):
        others = rng.dirichlet(np.full(ANSWERS, 0.3)) * (1 - right)
        key[problem] = rng.choice(ANSWERS + 1, size=SAMPLES, p=np.concatenate([[right], others]))
    key[key == ANSWERS] = -1
    return (key == 0).astype(float), key


def timed(name: str, action: Callable[[], object]) -> object:
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    print(
        f"{name:<58} CPU {time.process_time() - cpu:6.2f} s, wall "
        f"{time.perf_counter() - wall:6.2f} s"
    )
    return result


def main() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for budget in range(BUDGETS):
        score, key = pool(rng)
        parts.append(
            pd.DataFrame(
                {
                    "problem_id": np.repeat([f"p{i}" for i in range(PROBLEMS)], SAMPLES),
                    "sample": np.tile(np.arange(SAMPLES), PROBLEMS),
                    "budget": 2**budget,
                    "score": score.ravel(),
                    "answer_key": np.where(key < 0, None, key.astype(str)).ravel(),
                    "thinking_tokens": 100,
                    "flops": 1e9,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    print(f"{PROBLEMS} problems x {SAMPLES} samples x {BUDGETS} budgets, {len(table):,} rows")
    powers = [1 << i for i in range(9)]
    timed(
        "exact majority@k, k = 1, 2, 4 .. 256, one budget",
        lambda: majority_at_k(score, key, powers, method="exact"),
    )
    every = timed(
        "cells: oracle and majority at k = 1 .. 256, all budgets",
        lambda: cells(table, range(1, SAMPLES + 1), ["oracle", "majority"]),
    )
    print(f"{len(every)} cells; largest Monte Carlo error of a cell {every['mc_error'].max():.4f}")


if __name__ == "__main__":
    main()
