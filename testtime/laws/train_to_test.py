"""The cheapest way to an accuracy, training and all its queries paid: a law of model size, training
tokens and samples (Roberts et al. 2026), and the search over what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testtime.errors import UserError
from testtime.laws.fit import fit
from testtime.laws.law import Floats, Parameter, Term, power_sum
from testtime.laws.pretraining import column, numbers
from testtime.laws.result import Fit

if TYPE_CHECKING:
    import pandas as pd

SCALES, EXPONENTS = (1.0, 1e3, 1e6), (0.1, 0.3, 0.7)

TRAIN_TO_TEST = power_sum(
    "train-to-test",
    [
        Term("A", (("N", "alpha"),)),
        Term("B", (("D", "beta"),)),
        Term("G", (("k", "gamma"),)),
        Term("E"),
    ],
    [
        Parameter("A", "positive", SCALES),
        Parameter("B", "positive", SCALES),
        Parameter("G", "positive", (0.1, 1.0, 10.0)),
        Parameter("E", "positive", (0.01, 0.3, 1.0)),
        Parameter("alpha", "free", EXPONENTS),
        Parameter("beta", "free", EXPONENTS),
        Parameter("gamma", "free", EXPONENTS),
    ],
    ["N", "D", "k"],
    "L",
    "Roberts et al. 2026: E + A/N^alpha + B/D^beta + G/k^gamma, L = -log pass@k",
)


@dataclass(frozen=True)
class Cheapest:
    """N parameters trained on D tokens, k samples a query, for `flops` in all, each with an
    interval (lo, hi) that holds the noise of the runs; unreached: share of resamples in which
    nothing that was measured reaches the target.
    """

    law: Fit
    target: float
    queries: float
    best: dict[str, float]
    interval: dict[str, tuple[float, float]]
    unreached: float

    def report(self) -> str:
        lines = [
            self.law.report(),
            "",
            f"cheapest way to {self.target:g}, {self.queries:g} queries:",
        ]
        for name, value in self.best.items():
            lo, hi = self.interval[name]
            lines.append(f"  {name:<8}{value:>12.4g}   [{lo:.4g}, {hi:.4g}]")
        if self.unreached > 0:
            lines.append(f"  not reached in {100 * self.unreached:.0f} % of the resamples")
        return "\n".join(lines)


def cheapest(
    table: pd.DataFrame,
    target: float,
    queries: float,
    *,
    tokens: float = 1000.0,
    resamples: int = 500,
    seed: int = 0,
) -> Cheapest:
    """Fit the law to a table of N, D, k and accuracy (pass@k, or loss = -log pass@k), and search
    the ranges of N, D and k that the table holds for the least 6 N D + queries 2 N tokens k.

    tokens: a sample's. Rows of one model (column `run`, else N and D) are resampled together.
    Raises UserError for columns that are absent, and where the law reaches the target nowhere in
    the ranges that were measured: beyond them nothing is claimed.
    """
    if not (0 < target < 1 and queries > 0 and tokens > 0):
        raise UserError("cheapest: a target within (0, 1), and queries and tokens above 0")
    data = {}
    for name in ("N", "D", "k"):
        found = column(table, name)
        if found is None:
            raise UserError(f"cheapest: needs a column {name}; the table has {list(table.columns)}")
        data[name] = numbers(table, found, "cheapest")
    if "accuracy" in table:
        accuracy = numbers(table, "accuracy", "cheapest")
        if not np.all((accuracy > 0) & (accuracy < 1)):
            raise UserError("cheapest: accuracies lie within (0, 1); leave out rows at 0 or 1")
        loss = -np.log(accuracy)
    else:
        found = column(table, "loss")
        if found is None:
            raise UserError("cheapest: needs a column accuracy, or loss (-log accuracy)")
        loss = numbers(table, found, "cheapest")
    size = data["N"].astype(str)
    run = table["run"].astype(str) if "run" in table else np.char.add(size, data["D"].astype(str))
    law = fit(TRAIN_TO_TEST, data, loss, runs=run, resamples=resamples, seed=seed)
    assert law.replicates is not None
    drawn = _search(np.vstack([law.values, law.replicates]), data, target, queries, tokens)
    if not np.isfinite(drawn[0, -1]):
        top = {name: float(values.max()) for name, values in data.items()}
        high = float(np.exp(-law.predict(**top)))
        raise UserError(
            f"cheapest: {target:g} is not reached within what was measured (the law's highest "
            f"there is {high:.4f}); nothing is extrapolated"
        )
    names = ("N", "D", "k", "flops")
    reached = np.isfinite(drawn[1:, -1])
    lo, hi = law.percentiles(drawn[1:][reached])
    if (~reached).mean() > 0.025:
        hi[-1] = np.inf
    interval = dict(zip(names, zip(lo.tolist(), hi.tolist(), strict=True), strict=True))
    best = dict(zip(names, drawn[0].tolist(), strict=True))
    return Cheapest(law, target, queries, best, interval, float((~reached).mean()))


def _search(
    values: Floats, data: dict[str, Floats], target: float, queries: float, tokens: float
) -> Floats:
    """Cheapest (N, D, k, flops) of each row of parameters (rows, 7): (rows, 4), infinite FLOPs
    where the target is not reached. D is solved for; N runs over 400 sizes, k over powers of two.
    """
    N = np.geomspace(data["N"].min(), data["N"].max(), 400)
    low, high = data["D"].min(), data["D"].max()
    best = np.full((len(values), 4), np.inf)
    A, B, G, E, alpha, beta, gamma = (v[:, None] for v in values.T)
    k = float(data["k"].min())
    while k <= data["k"].max():
        with np.errstate(all="ignore"):
            left = -np.log(target) - E - G / k**gamma - A / N**alpha
            D = np.where(left > 0, (B / np.maximum(left, 1e-300)) ** (1 / beta), np.inf)
            D = np.maximum(D, low)
            flops = np.where(high >= D, 6 * N * D + queries * 2 * N * tokens * k, np.inf)
        at, rows = flops.argmin(axis=1), np.arange(len(values))
        found = np.column_stack([N[at], D[rows, at], np.full(len(at), k), flops[rows, at]])
        best = np.where((found[:, 3] < best[:, 3])[:, None], found, best)
        k *= 2
    return best
