"""Do the claims of a report hold on thirty problems? Every kind of claim, simulated, as a table.

    python benchmarks/coverage.py [data sets, default 2000]

Problems differ as those of a contest do: most are solved nearly always or nearly never. A problem's
success rate is a draw from Beta(a, b) with a + b = .5 (as on OTIS Mock AIME), or from a mixture as
named. At growing budgets it is the same quantile of distributions with growing means, and a chain
that is right stays right, so cells go together as nested budgets make them. The truth is known
exactly, each data set is judged by the functions that `testtime cells` and `compare` call.

Columns are problems x samples. Grids that are resampled get a tenth of the data sets or fewer; the
Monte Carlo error stands in each title. About ten minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import cache

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
    SHARE,
    Reach,
    bootstrap_weights,
    bounded_interval,
    student_quantile,
)
from testtime.estimators.models import differences

Random = np.random.Generator
Rates = Callable[[Random, tuple[int, int]], np.ndarray]
Names = list[tuple[str, str, int, int, str]]
SPREAD = 0.5  # a + b of the difficulty
SIZES = [(problems, samples) for problems in (30, 100, 300) for samples in (4, 16)]
LARGE = [*SIZES, (1000, 4), (1000, 16)]
RESAMPLES = 500
QUANTILES = (np.arange(4000) + 0.5) / 4000
LAW = (0.15, 0.25, 0.4, 0.55, 0.65, 0.68)
FLAT = (0.3, 0.4, 0.5, 0.55, 0.6, 0.62, 0.64, 0.65)


def beta(mean: float, quantile: np.ndarray) -> np.ndarray:
    """Success rates at quantiles of the difficulty with that mean; interpolated, because inverting
    the beta integral a million times takes minutes.
    """
    return np.interp(quantile, QUANTILES, _inverted(mean))


@cache
def _inverted(mean: float) -> np.ndarray:
    return betaincinv(SPREAD * mean, SPREAD * (1 - mean), QUANTILES)


def families() -> Iterator[tuple[str, float, Rates]]:
    """Distributions of the success rate over problems: name, mean, and draws of it."""
    for mean in (0.02, 0.05, 0.2, 0.5, 0.8, 0.9, 0.94, 0.97, 0.98):
        ends = SPREAD * mean, SPREAD * (1 - mean)
        yield f"Beta, mean {mean:g}", mean, lambda r, s, e=ends: r.beta(*e, s)
    at = np.array([0.02, 0.5, 0.98])
    for share in ((0.3, 0.4, 0.3), (0.1, 0.1, 0.8), (0.02, 0.06, 0.92), (0.9, 0.06, 0.04)):
        name = f".02, .5, .98: {', '.join(f'{100 * w:.0f}' for w in share)} %"
        yield name, float(np.dot(at, share)), lambda r, s, w=share: r.choice(at, s, p=w)
    for right in (0.88, 0.92, 0.95, 0.98):
        yield f"0 or 1, mean {right}", right, lambda r, s, q=right: (r.random(s) < q).astype(float)
    normal = np.random.default_rng(0).normal(size=10**6)
    for middle, wide in ((0, 3), (3, 3), (5, 3), (4, 1)):
        mean = float(expit(middle + wide * normal).mean())
        yield (
            f"logit-normal {middle} +- {wide}",
            mean,
            lambda r, s, m=middle, d=wide: expit(m + d * r.normal(size=s)),
        )
    for level in (0.9, 1.0):
        name = f"95 % alike at {level:g}, 5 % at 0"
        yield name, 0.95 * level, lambda r, s, v=level: np.where(r.random(s) < 0.05, 0.0, v)


def show(title: str, sets: int, rows: dict[str, list[str]]) -> None:
    """A table with a column a size."""
    print(f"\n{title} ({sets} data sets, +- {100 * np.sqrt(0.05 * 0.95 / sets):.1f} at 95 %)")
    columns = max(map(len, rows.values()))
    print(" " * 42 + "".join(f"{f'{p} x {s}':>17}" for p, s in LARGE[:columns]))
    for name, entries in rows.items():
        print(f"{name:<42}" + "".join(f"{entry:>17}" for entry in entries))


def held(x: np.ndarray, truth: float, reach: Reach) -> str:
    """Coverage, half-width and its ratio to plain t's, of intervals of means of x, (data sets,
    problems).
    """
    problems = x.shape[1]
    mean, variance = x.mean(axis=1), x.var(axis=1) / problems
    lo, hi = bounded_interval(mean, variance, problems, reach=reach)
    plain = student_quantile(0.975, problems - 1) * np.sqrt(variance * problems / (problems - 1))
    covers = (lo <= truth + 1e-9) & (truth - 1e-9 <= hi)
    half = (hi - lo).mean() / 2
    return f"{100 * covers.mean():.1f} {half:.3f} {half / plain.mean():.2f}"


def accuracies(sets: int) -> None:
    rows: dict[str, list[str]] = {}
    for name, mean, draw in families():
        for problems, samples in SIZES:
            rng = np.random.default_rng([1, problems, samples])
            x = rng.binomial(samples, draw(rng, (sets, problems))) / samples
            rows.setdefault(f"{name} ({mean:.3f})", []).append(held(x, mean, SHARE))
    show("One accuracy: % of intervals that hold it, half-width, over plain t's", sets, rows)


def paired(sets: int) -> None:
    rows: dict[str, list[str]] = {}
    for problems, samples in SIZES:
        rng = np.random.default_rng([2, problems, samples])
        shape = sets, problems
        for low, high in ((0.3, 0.5), (0.5, 0.52), (0.9, 0.95), (0.02, 0.1)):
            quantile = rng.random(shape)
            a, b = beta(high, quantile), beta(low, quantile)
            first = rng.binomial(samples, b)
            gained = np.clip((a - b) / np.maximum(1 - b, 1e-12), 0, 1)
            drawn = {
                "two budgets": rng.binomial(samples - first, gained) / samples,
                "two models": (rng.binomial(samples, a) - rng.binomial(samples, b)) / samples,
            }
            for kind, x in drawn.items():
                entry = held(x, high - low, DIFFERENCE)
                rows.setdefault(f"{kind}, {low:g} and {high:g}", []).append(entry)
        for share in (0.05, 0.1):
            x = (rng.random(shape) < share).astype(float)
            entry = held(x, share, DIFFERENCE)
            rows.setdefault(f"{share:.0%} of problems turn from 0 to 1", []).append(entry)
    show("One paired difference: the same", sets, rows)


def counts(samples: int) -> list[int]:
    return [n for n in (1, 2, 4, 8, 16) if n <= samples]


def resampled(value: np.ndarray, names: Names, cost: np.ndarray, seed: int) -> Replicates:
    """Replicates of a grid whose values, (problems, cells), are given."""
    grid = Grid(
        cells=pd.DataFrame(names, columns=["model", "setting", "budget", "n", "selector"]),
        problems=np.arange(len(value)).astype(object),
        strata=np.zeros(len(value), dtype=np.int64),
        value=value,
        mc_error=np.zeros(len(names)),
        prefill="once",
        _unit={c: np.tile(cost, (len(value), 1)) for c in ("tokens", "thinking_tokens")},
        _pool=np.arange(len(names)),
    )
    return Replicates(grid, bootstrap_weights(len(value), RESAMPLES, seed))


def pool(rng: Random, rates: np.ndarray, samples: int, model: str) -> tuple[np.ndarray, Names]:
    """Values (problems, cells) and names of nested budgets; rates: (problems, budgets). A verifier
    that knows the truth picks among n, so values need no votes.
    """
    right = (rng.random((len(rates), samples, 1)) < rates[:, None, :]).sum(axis=1)
    k = np.arange(samples + 1)
    one = [1 - comb(samples - k, n) / comb(samples, n) for n in counts(samples)]
    budgets = range(rates.shape[1])
    names = [(model, "", 2**b, n, "best:truth") for b in budgets for n in counts(samples)]
    return np.stack(one, axis=1)[right].reshape(len(rates), -1), names


def curve(rng: Random, problems: int, means: tuple[float, ...]) -> np.ndarray:
    quantile = rng.random(problems)
    return np.stack([beta(mean, quantile) for mean in means], axis=1)


def many(sets: int) -> None:
    """Six budgets at which doubling the length is worth exactly what doubling n is; and two models
    that are one.
    """
    rows: dict[str, list[str]] = {}
    for problems, samples in SIZES:
        seen = []
        for seed in range(sets):
            rng = np.random.default_rng([4, problems, samples, seed])
            base = rng.beta(0.1, 0.4, problems)
            rates = 1 - (1 - base[:, None]) ** (2.0 ** np.arange(6))
            value, names = pool(rng, rates, samples, "m")
            cost = 1 + np.log2([float(name[2]) for name in names])
            sample = resampled(value, names, cost, seed)
            start, path = doublings(sample), crossovers(sample)
            rates = curve(rng, problems, FLAT)
            (a, first), (b, second) = (pool(rng, rates, samples, model) for model in "ab")
            both = np.hstack([a, b])
            two = differences(resampled(both, first + second, np.ones(both.shape[1]), seed))
            own = (start["difference_lo"] > 0) | (start["difference_hi"] < 0)
            seen.append(
                {
                    "some start named longer or more": (start["better"] != "undecided").any(),
                    "  some start clear by its own interval": own.any(),
                    "some crossover printed": path[["longer_from", "longer_to"]]
                    .notna()
                    .any(axis=None),
                    "some row of two equal models a winner": (two["better"] != "undecided").any(),
                    "  some row clear by its own interval": (
                        (two["lo"] > 0) | (two["hi"] < 0)
                    ).any(),
                }
            )
        for name, share in pd.DataFrame(seen).mean().items():
            rows.setdefault(str(name), []).append(f"{100 * share:.1f}")
        rows.setdefault("(starts, rows)", []).append(f"{len(start)}, {len(two)}")
    show("Many at once, nothing to find: % of tables with", sets, rows)


def power(sets: int) -> None:
    rows: dict[str, list[str]] = {}
    for problems, samples in SIZES:
        likely = np.stack([beta(mean, QUANTILES) for mean in LAW], axis=1)
        exact = np.stack([1 - (1 - likely) ** n for n in counts(samples)], axis=2).mean(axis=0)
        truth = (exact[1:, :-1] - exact[:-1, 1:]).ravel()
        clear, found = np.abs(truth) > 0.02, []
        for seed in range(sets):
            rng = np.random.default_rng([5, problems, samples, seed])
            value, names = pool(rng, curve(rng, problems, LAW), samples, "m")
            cost = np.array([float(name[2]) for name in names])
            t = doublings(resampled(value, names, cost, seed))
            sign = np.select([t["better"] == "longer", t["better"] == "more"], [1, -1], 0)
            own = np.select([t["difference_lo"] > 0, t["difference_hi"] < 0], [1, -1], 0)
            right = [(s[clear] == np.sign(truth[clear])).sum() for s in (sign, own)]
            found.append([*right, 100 * (sign * np.sign(truth) < 0).any()])
        named, alone, wrong = np.mean(found, axis=0)
        rows.setdefault("truly better by over 2 points", []).append(str(clear.sum()))
        rows.setdefault("of them named, on the right side", []).append(f"{named:.1f}")
        rows.setdefault("of them clear by their own interval", []).append(f"{alone:.1f}")
        rows.setdefault("% of tables with a wrong side", []).append(f"{wrong:.1f}")
    show("Many at once, something to find: starts", sets, rows)


SCENES = {
    "budgets up to a plateau": ((*LAW[:4], 0.62, 0.65, 0.655, 0.66), True),
    "twelve settings, .5 to .6": (tuple(np.linspace(0.5, 0.6, 12)), False),
    "some 0 to 4 points below": (None, False),
}


def best(sets: int) -> None:
    rows: dict[str, list[str]] = {}
    said: dict[str, list[str]] = {}
    for problems, samples in LARGE:
        claims: dict[float, list[bool]] = {0.01: [], 0.03: []}
        for name, (fixed, nested) in SCENES.items():
            kept = []
            for seed in range(sets):
                rng = np.random.default_rng([6, problems, samples, seed])
                means = fixed or (0.4, *(0.6 - rng.uniform(0, 0.04, 3)), 0.6)
                rates = curve(rng, problems, means)
                luck = rng.random((problems, samples, 1 if nested else len(means)))
                value = (luck < rates[:, None, :]).mean(axis=1)
                names: Names = [("m", "", i, 1, "mean") for i in range(len(means))]
                sample = resampled(value, names, np.arange(1.0, len(means) + 1), seed)
                among = standing(sample, np.ones(len(means), dtype=bool))
                assert among is not None
                kept.append([100 * among.best[int(np.argmax(means))], among.best.sum()])
                for margin, true in claims.items():
                    row = recommend(sample, tolerance=margin).iloc[1]
                    if row["told"]:
                        true.append(max(means) - means[int(row["budget"])] <= margin)
            share, size = np.mean(kept, axis=0)
            rows.setdefault(f"{name}: % held, size", []).append(
                f"{share:.1f} {size:.1f}/{len(means)}"
            )
        for margin, true in claims.items():
            share = 100 * len(true) / (sets * len(SCENES))
            entry = f"{100 * np.mean(true):.1f} {share:.0f}" if true else "- 0"
            said.setdefault(f"within {100 * margin:g}: % true when said, % said", []).append(entry)
    show("The set of settings that may be the best", sets, rows)
    show("'Cheapest within n points of the best', all scenes", sets * len(SCENES), said)


def main(sets: int) -> None:
    for part, share in ((accuracies, 1), (paired, 1), (many, 10), (power, 40), (best, 20)):
        start = time.perf_counter()
        part(max(sets // share, 10))
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
