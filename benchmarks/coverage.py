"""Do nominal 95 % intervals hold the truth 95 % of the time?

Simulated pools whose population values are known exactly: 200 problems x 32 samples at 8 doubling
budgets, accuracy from .2 to .8 along a power law in error without a ceiling. A problem's success
rate at every budget is the same quantile of a beta distribution whose mean is the law, and a chain
that is right stays right, so cells are as correlated as nested budgets make them. Tokens vary
between problems and samples around the budget. Prints one line an interval; run as

    python benchmarks/coverage.py [data sets, default 1000]
"""

from __future__ import annotations

import sys
import time
from itertools import product
from math import factorial

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from testtime.estimators import paired_difference
from testtime.estimators.cells import interval, replicates
from testtime.estimators.intervals import DIFFERENCE, bounded_interval
from testtime.laws import fit
from testtime.laws import test_compute as accuracy
from testtime.laws.fit import shrunk_covariance

PROBLEMS, SAMPLES, VOTES, RESAMPLES = 200, 32, 8, 1000
BUDGETS = 2.0 ** np.arange(5, 13)
EXPONENT = np.log(4) / np.log(BUDGETS[-1] / BUDGETS[0])
TRUE = 1 - 0.8 * (BUDGETS / BUDGETS[0]) ** -EXPONENT
CONCENTRATION = 2.0
WRONG = np.array([0.6, 0.3, 0.1])  # how the wrong answers split
VOTED = 4  # index of the budget whose votes are checked
QUANTILES = (np.arange(20000) + 0.5) / 20000
RATES = np.stack([betaincinv(a * CONCENTRATION, (1 - a) * CONCENTRATION, QUANTILES) for a in TRUE])


def true_vote(rate: np.ndarray) -> float:
    """Population value of the vote of VOTES, over the exact multinomial of four answers."""
    total = np.zeros_like(rate)
    for counts in product(range(VOTES + 1), repeat=4):
        if sum(counts) != VOTES or counts[0] < max(counts):
            continue
        ways = factorial(VOTES) / np.prod([factorial(c) for c in counts])
        wrong = np.prod(WRONG ** np.array(counts[1:]))
        share = 1 / sum(c == counts[0] for c in counts)
        total += share * ways * wrong * rate ** counts[0] * (1 - rate) ** (VOTES - counts[0])
    return float(total.mean())


def data_set(rng: np.random.Generator) -> pd.DataFrame:
    quantile = rng.random(PROBLEMS)
    luck = rng.random((PROBLEMS, SAMPLES))
    wrong = rng.choice(3, size=luck.shape, p=WRONG) + 1
    length = np.exp(
        0.3 * rng.standard_normal((PROBLEMS, 1)) + 0.3 * rng.standard_normal(luck.shape) - 0.09
    )
    parts = []
    for budget, rates in zip(BUDGETS, RATES, strict=True):
        right = luck < np.interp(quantile, QUANTILES, rates)[:, None]
        parts.append(
            {
                "problem_id": np.repeat(np.arange(PROBLEMS), SAMPLES),
                "sample": np.tile(np.arange(SAMPLES), PROBLEMS),
                "budget": np.full(luck.size, budget),
                "score": right.ravel().astype(float),
                "answer_key": np.where(right, 0, wrong).ravel(),
                "thinking_tokens": (budget * length).ravel(),
            }
        )
    return pd.DataFrame({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})


def holds(lo: float, hi: float, truth: float) -> bool:
    return bool(lo <= truth <= hi)


def one(seed: int, vote: float) -> dict[str, bool]:
    """Whether each interval of one simulated data set holds its truth."""
    table = data_set(np.random.default_rng([1, seed]))
    singles = replicates(table, [1], ["mean"], resamples=RESAMPLES, seed=seed)
    votes = replicates(
        table[table["budget"] == BUDGETS[VOTED]],
        [VOTES],
        ["majority"],
        resamples=RESAMPLES,
        seed=seed,
    )
    lo, hi = interval(singles.grid, singles.value)
    vote_lo, vote_hi = interval(votes.grid, votes.value)
    per_problem = singles.grid.value
    pair = paired_difference(per_problem[:, VOTED + 1], per_problem[:, VOTED])
    drawn, apart = (x[:, [VOTED + 1]] - x[:, [VOTED]] for x in (singles.value, per_problem))
    gap_lo, gap_hi = bounded_interval(drawn, apart, PROBLEMS, reach=DIFFERENCE)
    tokens = singles.grid.means(singles.grid.cost("tokens"))
    law = accuracy.power(accuracy.reference(tokens))
    fitted = fit(
        law,
        {"x": tokens},
        singles.grid.means(per_problem),
        covariance=shrunk_covariance(singles.value, PROBLEMS),
        replicates=({"x": singles.cost("tokens")}, singles.value),
    ).interval()["exponent"]
    step = TRUE[VOTED + 1] - TRUE[VOTED]
    return {
        "pass@1, lowest budget": holds(lo[0], hi[0], TRUE[0]),
        "pass@1, middle budget": holds(lo[VOTED], hi[VOTED], TRUE[VOTED]),
        "pass@1, highest budget": holds(lo[-1], hi[-1], TRUE[-1]),
        f"majority@{VOTES}": holds(vote_lo[0], vote_hi[0], vote),
        "paired difference (normal)": holds(pair.lo, pair.hi, step),
        "paired difference (bootstrap)": holds(gap_lo[0], gap_hi[0], step),
        "exponent of the law": holds(*fitted, EXPONENT),
    }


def main(sets: int) -> None:
    start = time.perf_counter()
    vote = true_vote(RATES[VOTED])
    results = pd.DataFrame([one(seed, vote) for seed in range(sets)])
    print(
        f"{sets} data sets, {PROBLEMS} problems x {SAMPLES} samples x {len(BUDGETS)} budgets, "
        f"nominal 95 %"
    )
    print(
        f"true majority@{VOTES} {vote:.4f}, true exponent {EXPONENT:.4f}; "
        f"{time.perf_counter() - start:.0f} s"
    )
    for name, rate in results.mean().items():
        error = np.sqrt(rate * (1 - rate) / sets)
        print(f"{name:<30} {100 * rate:6.1f} %  +- {100 * error:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
