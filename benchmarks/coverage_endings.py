"""Does the law of chains that end earn its place? Pools whose truth is known, along the requested
budget.

Chains are log-normal and longer on harder problems, which are also solved less often. "drift": of
one problem, longer chains are right less often; "late": what is cut is seldom right until late;
"seldom": nothing ever is right more than half the time. Prints for each kind and number of problems
what every law misses the dearer third of the budgets by (median, in points), how often it ranks
first, how often it is rejected, and how often its band holds the truth at the points and at 2 and 4
times the largest budget; run as

    python benchmarks/coverage_endings.py [--sets 40] [--sizes 30x8 100x8]
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from testtime.estimators.intervals import bootstrap_weights
from testtime.laws.curves import Curve
from testtime.laws.fit import shrunk_covariance
from testtime.laws.law import Floats, sigmoid
from testtime.laws.study import study_curve

BUDGETS = 2.0 ** np.arange(4, 11)
BEYOND = BUDGETS[-1] * np.array([2.0, 4.0])
MEDIAN, RESAMPLES = 200.0, 60
KINDS = {  # log-odds of chains that end, by length; of chains that are cut, by budget
    "plain": ((2.0, 0.0), (-1.0, 1.0)),
    "drift": ((1.5, -1.0), (-1.0, 1.0)),
    "late": ((2.0, 0.0), (-2.5, 2.0)),
    "seldom": ((0.0, -0.5), (-2.0, 0.5)),
}


def pool(
    seed: int, problems: int, samples: int, kind: str = "plain", budgets: Floats = BUDGETS
) -> tuple[Floats, Floats]:
    """(thinking tokens, scores), each (problems, samples, budgets)."""
    rng = np.random.default_rng([seed, problems])
    ended, cut = KINDS[kind]
    hard = rng.standard_normal((problems, 1, 1))
    normal = 0.5 * hard + 0.6 * rng.standard_normal((problems, samples, 1))
    length, luck = np.ceil(MEDIAN * np.exp(normal)), rng.random((problems, samples, 1))
    natural = sigmoid(ended[0] + ended[1] * normal - 1.5 * hard)
    forced = sigmoid(cut[0] + cut[1] * np.log(budgets / MEDIAN) - 1.5 * hard)
    right = luck < np.where(length <= budgets, natural, forced)
    return np.minimum(length, budgets), right.astype(np.float64)


def curve(tokens: Floats, scores: Floats, seed: int) -> Curve:
    y, problems = scores.mean(axis=1), len(scores)
    drawn = bootstrap_weights(problems, 200, seed) @ y / problems
    lo, hi = np.quantile(drawn, [0.025, 0.975], axis=0)
    names = tuple(f"budget {b:g}" for b in BUDGETS)
    again = np.broadcast_to(BUDGETS, (RESAMPLES, len(BUDGETS))), drawn[:RESAMPLES]
    each = np.broadcast_to(BUDGETS, y.shape), y
    return Curve(
        "model", "budgets", "mean", "budget", BUDGETS, y.mean(axis=0), lo, hi, names,
        shrunk_covariance(drawn, problems), again, each, spent=tokens.mean(axis=(0, 1)),
    )  # fmt: skip


def judge(kind: str, problems: int, samples: int, sets: int) -> None:
    where = np.append(BUDGETS, BEYOND)
    truth = pool(10**6, 20_000, 4, kind, where)[1].mean(axis=(0, 1))
    rows: defaultdict[str, list[list[float]]] = defaultdict(list)
    for seed in range(sets):
        study = study_curve(curve(*pool(seed, problems, samples, kind), seed))
        for law in study.fits:
            lo, hi = law.band(x=where)
            held = (lo <= truth) & (truth <= hi)
            told = [100 * law.heldout, law is study.best, law.rejected, held[:-2].mean()]
            rows[law.law.name].append([*told, *held[-2:]])
    print(f"\n{kind}, {problems} x {samples}, accuracy {truth[0]:.2f} to {truth[-3]:.2f}")
    print(f"{'':<18}{'held out':>9}{'first':>7}{'rejected':>9}{'holds':>7}{'2x':>6}{'4x':>6}")
    for name, values in sorted(rows.items(), key=lambda row: np.median([v[0] for v in row[1]])):
        first, *rest = 100 * np.mean(values, axis=0)[1:]
        shares = "".join(f"{v:>{w}.0f}" for v, w in zip(rest, (9, 7, 6, 6), strict=True))
        print(
            f"{name:<18}{np.median([v[0] for v in values]):>9.1f}{first:>7.0f}{shares}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--sizes", nargs="*", default=["30x8", "100x8"])
    options = parser.parse_args()
    for size in options.sizes:
        problems, samples = map(int, size.split("x"))
        for kind in KINDS:
            judge(kind, problems, samples, options.sets)


if __name__ == "__main__":
    main()
