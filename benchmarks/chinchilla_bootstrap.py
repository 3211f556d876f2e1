"""How much faster is the batched fit than a loop of scipy's BFGS, on the same 4,000 bootstrap
resamples?

Both minimise Huber's loss (delta 1e-3) of Hoffmann's law on log residuals, from the fit to all
points, by its analytic gradient. Runs on a table of training runs with columns `Model Size`, `Training FLOP` and `loss`
(Epoch AI's 245 points; the first five rows are dropped, as there), or on 240 simulated runs when
none is given:

    python benchmarks/chinchilla_bootstrap.py [RUNS.csv] [--loop 4000]

--loop: how many of the resamples the loop really fits (its time is scaled up); every objective of
those is compared.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import huber

from testtime.laws import fit
from testtime.laws.published import BESIROGLU
from testtime.laws.solver import Problem
from testtime.laws.solver import minimise as batched
from testtime.laws.training import HOFFMANN

DELTA, RESAMPLES = 1e-3, 4000


def runs(path: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if path is None:
        rng = np.random.default_rng(0)
        N, D = (
            np.exp(rng.uniform(np.log(5e7), np.log(1e10), 240)),
            np.exp(rng.uniform(np.log(1e9), np.log(3e11), 240)),
        )
        return N, D, BESIROGLU(N=N, D=D) * np.exp(0.006 * rng.standard_t(3, 240))
    table = pd.read_csv(path).iloc[5:]
    N, C = table["Model Size"].to_numpy(), table["Training FLOP"].to_numpy()
    return N, C / (6 * N), table["loss"].to_numpy()


def loop(
    N: np.ndarray, D: np.ndarray, loss: np.ndarray, draws: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """scipy's BFGS, one resample after another: the objective reached by each."""
    reached = []
    for drawn in draws:
        n, d, y = np.log(N[drawn]), np.log(D[drawn]), np.log(loss[drawn])

        def objective(p: np.ndarray, n=n, d=d, y=y) -> tuple[float, np.ndarray]:
            a, b, e, alpha, beta = p
            terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
            total = np.logaddexp.reduce(terms)
            residual = total - y
            slope = np.clip(residual, -DELTA, DELTA)  # of Huber's loss
            by_size, by_tokens, rest = np.exp(terms - total) * slope
            sums = by_size.sum(), by_tokens.sum(), rest.sum()
            gradient = np.array([*sums, -(by_size @ n), -(by_tokens @ d)])
            return huber(DELTA, residual).sum(), gradient

        reached.append(minimize(objective, start, method="BFGS", jac=True).fun)
    return np.array(reached)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="?")
    parser.add_argument("--loop", type=int, default=RESAMPLES)
    options = parser.parse_args()
    N, D, loss = runs(options.runs)
    best = fit(HOFFMANN, {"N": N, "D": D}, loss, delta=DELTA)
    start = HOFFMANN.internal(best.values)
    draws = np.random.RandomState(42).choice(len(N), (RESAMPLES, len(N)))
    weights = np.stack([np.bincount(d, minlength=len(N)) for d in draws]).astype(float)
    clock = time.process_time()
    found = batched(
        Problem(HOFFMANN, [N, D], np.log(loss), weights=weights, delta=DELTA),
        np.tile(start, (RESAMPLES, 1)),
    )
    ours = time.process_time() - clock
    clock = time.process_time()
    theirs = loop(N, D, loss, draws[: options.loop], start)
    slow = (time.process_time() - clock) * RESAMPLES / options.loop
    worst = (found.objective[: options.loop] - theirs).max()
    se = HOFFMANN.natural(found.theta).std(axis=0)
    print(
        f"{len(N)} runs, {RESAMPLES} resamples; converged {found.converged.mean():.4f}; CPU seconds"
    )
    print(
        f"batched {ours:.2f} s, loop of BFGS {slow:.1f} s ({options.loop} fitted): "
        f"{slow / ours:.0f} times faster"
    )
    print(f"our objective less BFGS's: at most {worst:.3g} (allowed 1e-9)")
    print(
        "standard errors "
        + ", ".join(f"{name} {value:.5g}" for name, value in zip(HOFFMANN.names, se, strict=True))
    )


if __name__ == "__main__":
    main()
