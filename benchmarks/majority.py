"""How fast the exact majority vote is, beside Monte Carlo on the same pools, and how far off Monte
Carlo is.

    python benchmarks/majority.py [--problems 500] [--samples 256] [--answers 4,8,16]

All k that are powers of two. "forced" computes exactly whatever the cost; "auto" is what the cells
use.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from testtime.estimators.majority import majority_at_k


def pool(problems: int, samples: int, answers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers of unequal popularity, the right one anywhere among them, a twentieth of the samples
    silent.
    """
    rng = np.random.default_rng(seed)
    key = np.stack(
        [
            rng.choice(answers, size=samples, p=rng.dirichlet(np.full(answers, 0.5)))
            for _ in range(problems)
        ]
    )
    key[rng.random(key.shape) < 0.05] = -1
    return (key == 0).astype(float), key


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument(
        "--answers",
        default="4,8,16",
        help="distinct answers a problem, several separated by commas",
    )
    args = parser.parse_args()
    ks = [1 << i for i in range(args.samples.bit_length()) if 1 << i <= args.samples]
    print(f"{args.problems} problems x {args.samples} samples, k = {ks}")
    for answers in map(int, args.answers.split(",")):
        score, key = pool(args.problems, args.samples, answers, seed=answers)
        found, seconds = {}, {}
        for method in ("auto", "exact", "montecarlo"):
            start = time.process_time()
            found[method] = majority_at_k(score, key, ks, method=method)
            seconds[method] = time.process_time() - start
        counted = found["montecarlo"]
        off = np.abs(counted.value.mean(axis=0) - found["exact"].value.mean(axis=0)).max()
        error = (np.sqrt((counted.mc_error**2).sum(axis=0)) / args.problems).max()
        print(
            f"{answers:3d} answers: auto {seconds['auto']:.2f} s (exact: {found['auto'].exact}), "
            f"exact {seconds['exact']:.2f} s, Monte Carlo (128 orders) "
            f"{seconds['montecarlo']:.2f} s; "
            f"exact / Monte Carlo {seconds['exact'] / seconds['montecarlo']:.2f}; "
            f"Monte Carlo off by {off:.1e} at most (standard error {error:.1e})"
        )


if __name__ == "__main__":
    main()
