"""Do the claims of a report hold on thirty problems? Simulations of every kind of claim, as tables.

    python benchmarks/coverage.py [data sets a row, default 2000]

Problems differ as those of a contest do: most are solved nearly always or nearly never. A problem's
success rate is a draw from Beta(a, b) with a + b = .5 (fitted to OTIS Mock AIME), or from a mixture
as named. At growing budgets it is the same quantile of distributions with growing means, and a
chain that is right stays right, so cells go together as nested budgets make them. The truth is
known exactly, each data set is judged by the functions that `testtime cells` and `compare` call,
and each figure stands with its Monte Carlo error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy.special import betaincinv, comb, expit

from testtime.estimators.best import standing
from testtime.estimators.crossover import crossovers
from testtime.estimators.doubling import doublings
from testtime.estimators.frontier import recommend
from testtime.estimators.grid import Grid, Replicates
from testtime.estimators.intervals import (
    DIFFERENCE,
    Reach,
    SHARE,
    bootstrap_weights,
    bounded_interval,
    student_quantile,
)
from testtime.estimators.models import differences

Rates = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
SPREAD = 0.5  # a + b of the difficulty
PROBLEMS, SAMPLES = (30, 100, 300), (4, 16)
RESAMPLES = 1000
QUANTILES = (np.arange(4000) + 0.5) / 4000


def beta(mean: float, quantile: np.ndarray) -> np.ndarray:
    """Success rates at quantiles of the difficulty with that mean."""
    return betaincinv(SPREAD * mean, SPREAD * (1 - mean), quantile)


def families() -> Iterator[tuple[str, float, Rates]]:
    """Distributions of the success rate over problems: name, mean, and draws of it."""
    for mean in (0.02, 0.05, 0.2, 0.5, 0.8, 0.9, 0.94, 0.97, 0.98):
        yield f"Beta, mean {mean:g}", mean, lambda r, s, m=mean: r.beta(SPREAD * m, SPREAD * (1 - m), s)
    at = np.array([0.02, 0.5, 0.98])
    for share in ((0.3, 0.4, 0.3), (0.1, 0.1, 0.8), (0.02, 0.06, 0.92), (0.9, 0.06, 0.04)):
        draw = lambda r, s, w=share: r.choice(at, s, p=w)  # noqa: E731
        yield f".02, .5, .98 with weights {share}", float(np.dot(at, share)), draw
    for right in (0.88, 0.92, 0.95, 0.98):
        yield f"0 or 1, mean {right}", right, lambda r, s, q=right: (r.random(s) < q).astype(float)
    grid = np.random.default_rng(0).normal(size=10**6)
    for middle, spread in ((0, 3), (3, 3), (5, 3), (4, 1)):
        draw = lambda r, s, m=middle, d=spread: expit(m + d * r.normal(size=s))  # noqa: E731
        mean = float(expit(middle + spread * grid).mean())
        yield f"logit-normal {middle} +- {spread}", mean, draw
    for name, level in (("95 % alike at .9, 5 % at 0", 0.9), ("95 % alike at 1, 5 % at 0", 1.0)):
        yield name, 0.95 * level, lambda r, s, v=level: np.where(r.random(s) < 0.05, 0.0, v)


def told(name: str, hits: np.ndarray, more: str = "") -> None:
    rate = float(np.mean(hits))
    error = np.sqrt(max(rate * (1 - rate), 1e-9) / len(hits))
    print(f"  {name:<58} {100 * rate:5.1f} % +- {100 * error:.1f}  {more}")


def interval_row(name: str, x: np.ndarray, truth: float, reach: Reach) -> None:
    """Coverage and width of intervals of means of x, (data sets, problems)."""
    problems = x.shape[1]
    mean, variance = x.mean(axis=1), x.var(axis=1) / problems
    lo, hi = bounded_interval(mean, variance, problems, reach=reach)
    half = student_quantile(0.975, problems - 1) * np.sqrt(variance * problems / (problems - 1))
    plain = (mean - half <= truth + 1e-9) & (truth - 1e-9 <= mean + half)
    wide = f"half-width {(hi - lo).mean() / 2:.3f}, x{(hi - lo).mean() / 2 / half.mean():.2f} of t's"
    wide += f" (t alone {100 * plain.mean():.1f} %)"
    told(name, (lo <= truth + 1e-9) & (truth - 1e-9 <= hi), wide)


def accuracies(sets: int) -> None:
    print("\nOne accuracy: its 95 % interval holds the truth")
    for problems in PROBLEMS:
        for samples in SAMPLES:
            print(f" {problems} problems x {samples} samples")
            for name, mean, draw in families():
                rng = np.random.default_rng([1, problems, samples])
                x = rng.binomial(samples, draw(rng, (sets, problems))) / samples
                interval_row(f"{name} (accuracy {mean:.3f})", x, mean, SHARE)


def paired(sets: int) -> None:
    print("\nA paired difference: its own 95 % interval holds the truth")
    for problems in PROBLEMS:
        for samples in SAMPLES:
            print(f" {problems} problems x {samples} samples")
            for low, high in ((0.3, 0.5), (0.5, 0.52), (0.9, 0.95), (0.02, 0.1)):
                for nested in (True, False):
                    rng = np.random.default_rng([2, problems, samples])
                    # interpolated: inverting the beta integral a million times takes minutes
                    quantile = rng.random((sets, problems))
                    a, b = (np.interp(quantile, QUANTILES, beta(m, QUANTILES)) for m in (high, low))
                    if nested:
                        first = rng.binomial(samples, b)
                        gained = np.clip((a - b) / np.maximum(1 - b, 1e-12), 0, 1)
                        x = rng.binomial(samples - first, gained) / samples
                    else:
                        x = (rng.binomial(samples, a) - rng.binomial(samples, b)) / samples
                    kind = "two budgets of one pool" if nested else "two models"
                    interval_row(f"{kind}, {low:g} and {high:g}", x, high - low, DIFFERENCE)
            for share in (0.05, 0.1):
                rng = np.random.default_rng([3, problems])
                x = (rng.random((sets, problems)) < share).astype(float)
                interval_row(f"{share:.0%} of problems turn from 0 to 1", x, share, DIFFERENCE)


def best_of(samples: int) -> tuple[list[int], np.ndarray]:
    """Sample counts, and by the number of right samples the chance that one of n is right."""
    counts = [n for n in (1, 2, 4, 8, 16) if n <= samples]
    right = np.arange(samples + 1)
    return counts, np.stack(
        [1 - comb(samples - right, n) / comb(samples, n) for n in counts], axis=1
    )


def drawn(value: np.ndarray, cells: list[tuple[str, str, int, int, str]], cost: np.ndarray, seed: int) -> Replicates:
    """Replicates of a grid whose values, (problems, cells), are given."""
    table = pd.DataFrame(cells, columns=["model", "setting", "budget", "n", "selector"])
    problems = np.arange(len(value)).astype(object)
    unit = {name: np.tile(cost, (len(value), 1)) for name in ("tokens", "thinking_tokens")}
    grid = Grid(
        cells=table,
        problems=problems,
        strata=np.zeros(len(value), dtype=np.int64),
        value=value,
        mc_error=np.zeros(len(cells)),
        prefill="once",
        _unit=unit,
        _pool=np.arange(len(cells)),
    )
    return Replicates(grid, bootstrap_weights(len(value), RESAMPLES, seed))


def pools(rng: np.random.Generator, rates: np.ndarray, samples: int, model: str) -> tuple[np.ndarray, list[tuple[str, str, int, int, str]]]:
    """Cells of nested budgets: rates (problems, budgets) -> values and names. A verifier that knows
    the truth picks among n, so values need no votes."""
    counts, table = best_of(samples)
    luck = rng.random((len(rates), samples, 1))
    right = (luck < rates[:, None, :]).sum(axis=1)
    value = table[right].reshape(len(rates), -1)
    names = [(model, "", 2**b, n, "best:truth") for b in range(rates.shape[1]) for n in counts]
    return value, names


def null_rates(rng: np.random.Generator, problems: int) -> np.ndarray:
    """Six budgets at which doubling the length is worth exactly what doubling n is."""
    base = rng.beta(0.1, 0.4, problems)
    return 1 - (1 - base[:, None]) ** (2.0 ** np.arange(6))


def curve(rng: np.random.Generator, problems: int, means: tuple[float, ...]) -> np.ndarray:
    quantile = rng.random(problems)
    return np.stack([beta(m, quantile) for m in means], axis=1)


LAW = (0.15, 0.25, 0.4, 0.55, 0.65, 0.68)
FLAT = (0.3, 0.4, 0.5, 0.55, 0.6, 0.62, 0.64, 0.65)


def many(sets: int) -> None:
    print("\nMany at once: tables without any difference that name some winner")
    for problems in PROBLEMS:
        for samples in SAMPLES:
            start, path, twins, raw = [], [], [], []
            for seed in range(sets):
                rng = np.random.default_rng([4, problems, samples, seed])
                value, names = pools(rng, null_rates(rng, problems), samples, "m")
                each = np.array([2.0**b for _, _, b, _, _ in names])
                sample = drawn(value, names, np.log2(each) + 1, seed)
                table = doublings(sample)
                start.append((table["better"] != "undecided").any())
                raw.append(((table["difference_lo"] > 0) | (table["difference_hi"] < 0)).any())
                path.append(crossovers(sample)[["longer_from", "longer_to"]].notna().any(axis=None))
                quantile = curve(rng, problems, FLAT)
                two = [pools(rng, quantile, samples, m) for m in "ab"]
                both = drawn(
                    np.hstack([v for v, _ in two]),
                    [name for _, names in two for name in names],
                    np.ones(2 * len(two[0][1])),
                    seed,
                )
                twins.append((differences(both)["better"] != "undecided").any())
            where = f"{problems} problems x {samples} samples"
            told(f"{where}: longer or more, {len(table)} starts", np.array(start), f"own intervals {100 * np.mean(raw):.1f} %")
            told(f"{where}: some crossover printed", np.array(path))
            told(f"{where}: two identical models, {len(differences(both))} rows", np.array(twins))


def power(sets: int) -> None:
    print("\nMany at once: starts that truly differ by over 2 points and are named, right side")
    for samples in SAMPLES:
        counts, table = best_of(samples)
        q = QUANTILES
        likely = np.stack([beta(m, q) for m in LAW], axis=1)
        exact = np.stack([1 - (1 - likely) ** n for n in counts], axis=2).mean(axis=0)
        truth = (exact[1:, :-1] - exact[:-1, 1:]).ravel()
        for problems in PROBLEMS:
            named, alone, wrong = [], [], []
            for seed in range(sets):
                rng = np.random.default_rng([5, problems, samples, seed])
                value, names = pools(rng, curve(rng, problems, LAW), samples, "m")
                found = doublings(drawn(value, names, np.array([float(b) for _, _, b, _, _ in names]), seed))
                sign = np.select([found["better"] == "longer", found["better"] == "more"], [1, -1], 0)
                own = np.select([found["difference_lo"] > 0, found["difference_hi"] < 0], [1, -1], 0)
                clear = np.abs(truth) > 0.02
                named.append((sign[clear] == np.sign(truth[clear])).sum())
                alone.append((own[clear] == np.sign(truth[clear])).sum())
                wrong.append((sign * np.sign(truth) < 0).any())
            print(
                f"  {problems} problems x {samples} samples: of {clear.sum()} named {np.mean(named):.1f}, "
                f"by own intervals {np.mean(alone):.1f}; a wrong side in {100 * np.mean(wrong):.1f} %"
            )


def best(sets: int) -> None:
    print("\nThe best: the set of settings that may be the best holds it; 'within the margin' is true")
    scenes = {
        "budgets of one pool, plateau": (LAW[:4] + (0.62, 0.65, 0.655, 0.66), True),
        "twelve settings, .5 to .6": (tuple(np.linspace(0.5, 0.6, 12)), False),
        "cheap ones .5 to 2 points below": ((0.3, 0.58, 0.585, 0.59, 0.595, 0.6), False),
        "cheap ones within a point": ((0.3, 0.4, 0.592, 0.596, 0.598, 0.6), True),
    }
    for problems in (*PROBLEMS, 1000, 3000):
        for samples in SAMPLES:
            said: dict[float, list[bool]] = {0.01: [], 0.03: []}
            runs = 0
            for name, (means, nested) in scenes.items():
                held, size = [], []
                repeats = sets if problems <= 300 else sets // 4
                for seed in range(repeats):
                    rng = np.random.default_rng([6, problems, samples, seed])
                    rates = curve(rng, problems, means)
                    luck = rng.random((problems, samples, 1 if nested else len(means)))
                    value = (luck < rates[:, None, :]).mean(axis=1)
                    names = [("m", "", i, 1, "mean") for i in range(len(means))]
                    sample = drawn(value, names, np.arange(1.0, len(means) + 1), seed)
                    among = standing(sample, np.ones(len(means), dtype=bool))
                    assert among is not None
                    held.append(bool(among.best[int(np.argmax(means))]))
                    size.append(among.best.sum())
                    for margin, true in said.items():
                        row = recommend(sample, tolerance=margin).iloc[1]
                        if row["told"]:
                            true.append(max(means) - means[int(row["budget"])] <= margin + 1e-9)
                    runs += 1
                where = f"{problems} x {samples}: {name}"
                told(where, np.array(held), f"mean size {np.mean(size):.1f} of {len(means)}")
            for margin, true in said.items():
                share = f"{100 * len(true) / runs:.1f} % of runs"
                if true:
                    told(f"{problems} x {samples}: within {100 * margin:g} points, true when said", np.array(true), f"said in {share}")
                else:
                    print(f"  {problems} x {samples}: within {100 * margin:g} points: never said")


def main(sets: int) -> None:
    print(f"{sets} data sets a row (a tenth where grids are resampled), nominal 95 %")
    for part, share in ((accuracies, 1), (paired, 1), (many, 10), (power, 40), (best, 20)):
        start = time.perf_counter()
        part(max(sets // share, 10))
        print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
