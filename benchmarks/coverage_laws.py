"""Does what the laws say hold? Tests, gains, ceilings, bands, exchange rates and training runs, on
simulated data whose truth is known.

Curves: pools of nested budgets on 30 to 300 problems. A problem's success rate at every budget is
the same quantile of Beta(a, b) with a + b = .5 (nearly every problem is nearly always or nearly
never solved) around the truth, and a chain that is right stays right. Prints one line a truth and
size; run as

    python benchmarks/coverage_laws.py [curves] [exchange] [runs] [--sets 100]

Columns of curves: rejected, the share of pools in which the law that is true (or each, on average,
where none is) was rejected; ceiling, in which a ceiling below 1 was claimed; step, in which the
interval of the last step held its truth; band at 2 and 4 times the largest compute: the share in
which one was given, that held the truth, and its median width in points.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.special import betaincinv, ndtr

from testtime.estimators.intervals import bootstrap_weights
from testtime.laws.curves import Curve
from testtime.laws.fit import fit, shrunk_covariance
from testtime.laws.joint import exchange
from testtime.laws.law import Floats, sigmoid
from testtime.laws.published import BESIROGLU
from testtime.laws.study import CurveStudy, study_curve
from testtime.laws.training import HOFFMANN

BUDGETS = 2.0 ** np.arange(5, 12)
SPREAD = 0.5  # a + b of the beta distribution of success rates
RESAMPLES = 200
QUANTILES = (np.arange(4000) + 0.5) / 4000


def doublings(x: Floats) -> Floats:
    """From the middle budget, -3 to 3."""
    return np.log2(x / 256.0)


TRUTHS: dict[str, Callable[[Floats], Floats]] = {  # named as the law that is true, where one is
    "power": lambda x: 1 - 0.8 * (x / 32) ** -0.3,
    "logistic": lambda x: sigmoid(0.45 * doublings(x)),
    "logistic-plateau": lambda x: 0.75 * sigmoid(0.9 * doublings(x) + 0.6),
    "power-plateau": lambda x: 0.7 - 0.35 * (x / 64) ** -0.6,
    "logistic-floor": lambda x: 0.25 + 0.75 * sigmoid(0.7 * doublings(x) - 1),
    "two waves": lambda x: (
        0.1 + 0.35 * sigmoid(4 * (doublings(x) + 2)) + 0.4 * sigmoid(4 * (doublings(x) - 2))
    ),
    "chains end": lambda x: 0.15 + 0.6 * ndtr((doublings(x) - 0.5) / 1.2),
    "probit": lambda x: 0.1 + 0.85 * ndtr(doublings(x) / 3),
    "late rise": lambda x: 0.15 + 0.75 * sigmoid(1.3 * (doublings(x) - 2.5)),
}


def pool(
    rng: np.random.Generator, truth: Floats, problems: int, samples: int
) -> tuple[Floats, Floats]:
    """(tokens, accuracy) of each problem at each budget, each (problems, budgets)."""
    quantile, luck = rng.random(problems), rng.random((problems, samples))
    rates = [betaincinv(m * SPREAD, (1 - m) * SPREAD, QUANTILES) for m in truth]
    rate = np.stack([np.interp(quantile, QUANTILES, r) for r in rates], axis=1)
    accuracy = (luck[:, :, None] < rate[:, None, :]).mean(axis=1)
    noise = rng.standard_normal((problems, 1)) + rng.standard_normal((problems, samples))
    length = np.exp(0.3 * noise - 0.09).mean(axis=1)
    return BUDGETS[: len(truth)] * length[:, None], accuracy


def curve(tokens: Floats, accuracy: Floats, seed: int) -> Curve:
    problems = len(tokens)
    weights = bootstrap_weights(problems, RESAMPLES, seed) / problems
    drawn = (weights @ tokens, weights @ accuracy)
    lo, hi = np.quantile(drawn[1], [0.02, 0.98], axis=0)
    names = tuple(f"budget {b:g}" for b in BUDGETS[: tokens.shape[1]])
    return Curve(
        "model", "budgets", "mean", "tokens", tokens.mean(axis=0), accuracy.mean(axis=0), lo, hi,
        names, shrunk_covariance(drawn[1], problems), drawn, (tokens, accuracy),
    )  # fmt: skip


def judge(study: CurveStudy, name: str) -> dict[str, float]:
    """What of one study holds."""
    truth = TRUTHS[name]
    rejected = [f.rejected for f in study.fits if f.law.name == name]
    step = float(np.diff(truth(BUDGETS[-2:]))[0])
    result = {
        "rejected": float(np.mean(rejected or [f.rejected for f in study.fits])),
        "none": float(all(f.rejected for f in study.fits)),
        "ceiling": float(study.plateau.ceiling.startswith("a ceiling at")),
        "step": float(study.plateau.lo <= step <= study.plateau.hi),
        "step width": study.plateau.hi - study.plateau.lo,
    }
    band = study.band(study.curve.x[-1] * np.array([2.0, 4.0]))
    for i, times in enumerate((2, 4)):
        if band is not None:
            right = float(truth(BUDGETS[-1:] * times)[0])
            result[f"holds {times}"] = float(band[0][i] <= right <= band[1][i])
            result[f"width {times}"] = float(band[1][i] - band[0][i])
    return result


def curves(sets: int, sizes: tuple[tuple[int, int], ...], names: list[str]) -> None:
    print(
        f"{'truth':<18}{'P':>4}{'S':>3}{'rejected':>9}{'none':>6}{'ceiling':>8}{'step':>6}{'width':>7}"
        f"{'given':>7}{'2x':>6}{'width':>7}{'4x':>6}{'width':>7}"
    )
    for problems, samples in sizes:
        for name in names:
            rows = []
            for seed in range(sets):
                rng = np.random.default_rng([seed, problems, samples])
                tokens, accuracy = pool(rng, TRUTHS[name](BUDGETS), problems, samples)
                rows.append(judge(study_curve(curve(tokens, accuracy, seed)), name))

            def share(key: str, rows: list[dict[str, float]] = rows) -> float:
                known = [r[key] for r in rows if key in r]
                return 100 * float(np.mean(known)) if known else float("nan")

            given = 100 * np.mean(["holds 2" in r for r in rows])
            print(
                f"{name:<18}{problems:>4}{samples:>3}{share('rejected'):>9.1f}{share('none'):>6.0f}"
                f"{share('ceiling'):>8.1f}{share('step'):>6.1f}{share('step width'):>7.1f}{given:>7.0f}"
                f"{share('holds 2'):>6.1f}{share('width 2'):>7.1f}{share('holds 4'):>6.1f}"
                f"{share('width 4'):>7.1f}",
                flush=True,
            )


def rates(rng: np.random.Generator, models: int, problems: int, scatter: float) -> list[Curve]:
    """Curves of models on the same problems, whose log-odds grow by .3 with log training compute and
    by .25 with log test compute, and scatter.
    """
    train = np.linspace(-4, 4, models) + rng.uniform(-0.3, 0.3, models)
    quantile, luck = rng.random(problems), rng.random((models, problems, 4))
    lines = []
    for m in range(models):
        odds = 0.3 * train[m] + scatter * rng.standard_normal() + 0.25 * np.log(BUDGETS / 256)
        mean = sigmoid(odds)[:, None]
        rate = betaincinv(mean * SPREAD, (1 - mean) * SPREAD, quantile)
        accuracy = (luck[m] < rate[..., None]).mean(axis=-1).T
        tokens = np.tile(BUDGETS, (problems, 1))
        x, y = tokens.mean(axis=0), accuracy.mean(axis=0)
        covariance = shrunk_covariance(
            bootstrap_weights(problems, 100, m) @ accuracy / problems, problems
        )
        names = ("",) * len(BUDGETS)
        lines.append(
            Curve(f"{train[m]:.6f}", "budgets", "mean", "flops", x, y, y, y, names, covariance, None,
                  (tokens, accuracy))
        )  # fmt: skip
    return lines


def exchanges(sets: int) -> None:
    print(
        f"\nexchange rate: {'models':>8}{'P':>5}{'scatter':>9}{'holds':>7}{'median width of log10':>24}"
    )
    for models, problems, scatter in ((5, 30, 0.4), (6, 100, 0.4), (8, 300, 0.4), (6, 100, 0.0)):
        holds, widths = [], []
        for seed in range(sets):
            lines = rates(np.random.default_rng([3, seed]), models, problems, scatter)
            rate = exchange(
                lines, {c.model: float(np.exp(float(c.model))) for c in lines}, resamples=200
            )
            holds.append(rate.lo <= 10 ** (0.3 / 0.25) <= rate.hi)
            with np.errstate(divide="ignore"):
                widths.append(float(np.log10(rate.hi) - np.log10(rate.lo)))
        print(
            f"{models:>23}{problems:>5}{scatter:>9.1f}{100 * np.mean(holds):>7.1f}{np.median(widths):>24.2f}",
            flush=True,
        )


def runs(sets: int) -> None:
    """20 training runs x 10 checkpoints around Besiroglu's law; a run errs by 1 %, a checkpoint by
    .3 %.
    """
    right = np.array([BESIROGLU.values[name] for name in HOFFMANN.names])
    right = np.append(right, right[4] / (right[3] + right[4]))
    print(f"\n{'training runs':<34}" + "".join(f"{name:>8}" for name in (*HOFFMANN.names, "a")))
    for label, student in (("normal errors", 0), ("Student's errors, 3 degrees", 3)):
        holds, rows_hold, widths = [], [], []
        for seed in range(sets):
            rng = np.random.default_rng([4, seed])
            size = np.exp(rng.uniform(np.log(3e7), np.log(5e9), 20))
            top = 20 * size * np.exp(0.5 * rng.standard_normal(20))
            N, D = (
                v.ravel()
                for v in np.broadcast_arrays(size[:, None], top[:, None] * np.linspace(0.1, 1, 10))
            )
            err = rng.standard_t(student, 20) if student else rng.standard_normal(20)
            loss = BESIROGLU(N=N, D=D) * np.exp(
                0.01 * np.repeat(err, 10) + 0.003 * rng.standard_normal(200)
            )
            for unit, kept in ((N, holds), (None, rows_hold)):
                if unit is None and seed % 4:
                    continue
                law = fit(
                    HOFFMANN,
                    {"N": N, "D": D},
                    loss,
                    delta=1e-3,
                    runs=unit,
                    resamples=RESAMPLES,
                    seed=seed,
                )
                assert law.replicates is not None
                drawn = np.column_stack(
                    [law.replicates, law.replicates[:, 4] / law.replicates[:, 3:].sum(axis=1)]
                )
                lo, hi = law.percentiles(drawn)
                kept.append((lo <= right) & (right <= hi))
                if unit is not None:
                    widths.append(hi - lo)
        for kind, kept in (("runs resampled", holds), ("rows resampled (as before)", rows_hold)):
            print(
                f"{label.split()[0] + ', ' + kind:<34}"
                + "".join(f"{100 * v:>8.1f}" for v in np.mean(kept, axis=0))
            )
        print(
            f"{'median width':<34}" + "".join(f"{v:>8.3g}" for v in np.median(widths, axis=0)),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["curves", "exchange", "runs"])
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--truths", nargs="*", default=list(TRUTHS))
    parser.add_argument("--sizes", nargs="*", default=["30x4", "100x4", "300x16"])
    options = parser.parse_args()
    start = time.perf_counter()
    if "curves" in options.parts:
        sizes = tuple((int(p), int(s)) for p, s in (size.split("x") for size in options.sizes))
        curves(options.sets, sizes, options.truths)
    if "exchange" in options.parts:
        exchanges(options.sets)
    if "runs" in options.parts:
        runs(options.sets)
    error = 100 * np.sqrt(0.05 * 0.95 / options.sets)
    print(f"\n{options.sets} data sets a line: Monte Carlo error {error:.1f} points at 95 %")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
