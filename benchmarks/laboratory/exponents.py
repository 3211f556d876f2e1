"""The ladder's exponents beside the published ones, from `ladder.csv` alone.

    python -m benchmarks.laboratory.exponents

Three routes to the compute-optimal size: Hoffmann's form and Kaplan's joint one, fitted to all runs,
and the minima of the losses at equal training compute (IsoFLOP; Hoffmann et al. 2022, approach 2).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.laboratory.law import HUBER, lawful, read
from testtime import zoo
from testtime.laws import published
from testtime.laws.fit import fit
from testtime.laws.result import Fit
from testtime.laws.training import HOFFMANN, KAPLAN_ND

RESAMPLES = 200
ISOFLOPS = 5
"""Compute budgets that are compared."""
KAPLAN_OPTIMUM = 0.73
"""Kaplan et al. 2020, eq. 1.7: the compute-optimal N grows as C^0.73."""


def law(rows: pd.DataFrame, form: Any = HOFFMANN, seed: int = 0) -> Fit:
    """The law of all runs; its errors resample runs, which share a model, with all their
    checkpoints.
    """
    runs = np.sort(rows["run"].unique())
    drawn = np.random.default_rng(seed).multinomial(
        len(runs), np.full(len(runs), 1 / len(runs)), size=RESAMPLES
    )
    weights = drawn[:, np.searchsorted(runs, rows["run"])].astype(np.float64)
    inputs = {"N": rows["N"].to_numpy(float), "D": rows["D"].to_numpy(float)}
    return fit(form, inputs, rows["loss"].to_numpy(float), delta=HUBER, row_weights=weights)


def isoflop(rows: pd.DataFrame, compute: float) -> pd.DataFrame:
    """Loss of each rung at this compute (6ND), by a straight line in log loss over log compute
    between its token counts; columns N and loss, rungs that were not trained there left out.
    """
    mean = rows.groupby(["N", "D"], as_index=False)["loss"].mean()
    out = []
    for n, part in mean.groupby("N"):
        at = np.log(6 * n * part["D"].to_numpy(float))
        if at[0] <= np.log(compute) <= at[-1]:
            out.append((n, float(np.exp(np.interp(np.log(compute), at, np.log(part["loss"]))))))
    return pd.DataFrame(out, columns=["N", "loss"])


def parabola(curve: pd.DataFrame) -> tuple[Callable[[np.ndarray], np.ndarray], float | None]:
    """An IsoFLOP curve as a parabola of log loss in log N, and the N at its minimum; None where it
    has none between the smallest and the largest.
    """
    x = np.log(curve["N"].to_numpy(float))
    bend = np.polyfit(x, np.log(curve["loss"]), 2)
    best = -bend[1] / (2 * bend[0]) if bend[0] > 0 else np.inf
    inside = x[0] <= best <= x[-1]
    return lambda n: np.exp(np.polyval(bend, np.log(n))), float(np.exp(best)) if inside else None


def budgets(rows: pd.DataFrame) -> np.ndarray:
    """ISOFLOPS computes at which at least three rungs can be compared."""
    c = 6 * rows["N"].to_numpy(float) * rows["D"].to_numpy(float)
    grid = np.geomspace(c.min(), c.max(), 200)
    usable = grid[[len(isoflop(rows, float(one))) >= 3 for one in grid]]
    return np.geomspace(usable[0], usable[-1], ISOFLOPS)


def exponents(rows: pd.DataFrame) -> str:
    """The measured exponents beside the published ones, as a table of text."""
    found, joint = law(lawful(rows)), law(lawful(rows), KAPLAN_ND)
    drawn = {name: found.replicates[:, k] for k, name in enumerate(found.law.names)}
    a = drawn["beta"] / (drawn["alpha"] + drawn["beta"])
    p = found.params

    def told(value: float, values: np.ndarray) -> str:
        lo, hi = np.nanquantile(values, [0.025, 0.975])
        return f"{value:.3f} [{lo:.3f}, {hi:.3f}]"

    lines = ["| | loss in N | loss in D | compute-optimal N in C |", "| --- | --- | --- | --- |"]
    n, d = (one.values["alpha"] for one in (published.KAPLAN_N, published.KAPLAN_D))
    lines.append(f"| Kaplan et al. 2020 | {n} | {d} | {KAPLAN_OPTIMUM} |")
    for one in (published.HOFFMANN_TEX, published.BESIROGLU):
        n, d = one.values["alpha"], one.values["beta"]
        lines.append(f"| {one.source.partition(',')[0]} | {n:.3f} | {d:.3f} | {d / (n + d):.3f} |")
    ours = [told(p["alpha"], drawn["alpha"]), told(p["beta"], drawn["beta"])]
    lines.append(
        f"| the ladder, Hoffmann's form | {' | '.join(ours)} "
        f"| {told(p['beta'] / (p['alpha'] + p['beta']), a)} |"
    )
    k, kdrawn = joint.params, dict(zip(joint.law.names, joint.replicates.T, strict=True))
    theirs = " | ".join(told(k[name], kdrawn[name]) for name in ("alphaN", "alphaD"))
    lines.append(f"| the ladder, Kaplan's joint form | {theirs} | |")
    best = [
        (c, n) for c in budgets(rows) if (n := parabola(isoflop(rows, float(c)))[1]) is not None
    ]
    if len(best) >= 3:
        slope, _ = np.polyfit(*np.log(np.array(best)).T, 1)
        lines.append(f"| the ladder, {len(best)} IsoFLOP minima | | | {slope:.3f} |")
    residuals = [float(np.sqrt(np.mean(f.residuals**2))) for f in (found, joint)]
    lines.append("")
    lines.append(
        f"E = {p['E']:.4g} nats; residuals in log loss {residuals[0]:.3f} (Hoffmann), "
        f"{residuals[1]:.3f} (Kaplan)"
    )
    return "\n".join(lines)


def main() -> None:
    """Command line: the ladder's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladder", type=Path, default=zoo.ROOT / "ladder" / "ladder.csv")
    print(exponents(read(parser.parse_args().ladder)))


if __name__ == "__main__":
    main()
