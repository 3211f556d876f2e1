"""The ladder in one figure and its exponents in one table, from `ladder.csv` and `accuracy.csv`
alone.

    python -m benchmarks.laboratory.figures docs/laboratory.png

Panels: loss against tokens and against parameters with Hoffmann's law, loss at equal training
compute (IsoFLOP, each rung's losses joined in log compute), accuracy at fixed thinking against
training compute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.laboratory.law import HUBER, LEAST, lawful, read
from benchmarks.laboratory.recipe import HERE
from testtime import zoo
from testtime.laws import published
from testtime.laws.fit import fit
from testtime.laws.result import Fit
from testtime.laws.training import HOFFMANN, KAPLAN_ND

RESAMPLES = 200
ISOFLOPS = 5
"""Compute budgets of the IsoFLOP panel."""
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


def minimum(curve: pd.DataFrame) -> float | None:
    """The N at the minimum of a parabola through an IsoFLOP curve in log N; None where it has none
    inside.
    """
    if len(curve) < 3:
        return None
    x = np.log(curve["N"].to_numpy(float))
    a, b, _ = np.polyfit(x, np.log(curve["loss"]), 2)
    best = -b / (2 * a) if a > 0 else np.inf
    return float(np.exp(best)) if x[0] <= best <= x[-1] else None


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
        lines.append(f"| {one.source} | {n:.3f} | {d:.3f} | {d / (n + d):.3f} |")
    ours = [told(p["alpha"], drawn["alpha"]), told(p["beta"], drawn["beta"])]
    lines.append(
        f"| the ladder, Hoffmann's form | {' | '.join(ours)} "
        f"| {told(p['beta'] / (p['alpha'] + p['beta']), a)} |"
    )
    k, kdrawn = joint.params, dict(zip(joint.law.names, joint.replicates.T, strict=True))
    theirs = " | ".join(told(k[name], kdrawn[name]) for name in ("alphaN", "alphaD"))
    lines.append(f"| the ladder, Kaplan's joint form | {theirs} | |")
    best = [(c, n) for c in budgets(rows) if (n := minimum(isoflop(rows, float(c)))) is not None]
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


def draw(rows: pd.DataFrame, accuracy: pd.DataFrame, path: Path) -> None:
    """The figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def named(axes: Any, x: float, y: float, words: str, colour: Any) -> None:
        axes.annotate(words, (x, y), xytext=(5, 0), textcoords="offset points", color=colour,
                      fontsize=8, va="center")  # fmt: skip

    found = law(lawful(rows))
    figure, ((left, right), (iso, acc)) = plt.subplots(
        2, 2, figsize=(11, 8.5), constrained_layout=True
    )
    colours = plt.get_cmap("viridis")
    sizes, counts = np.sort(rows["N"].unique()), np.sort(rows["D"].unique())
    fine_d, fine_n = np.geomspace(LEAST, counts[-1], 60), np.geomspace(sizes[0], sizes[-1], 60)
    for k, n in enumerate(sizes):
        part, colour = rows[rows["N"] == n], colours(k / len(sizes))
        left.plot(part["D"], part["loss"], "o", color=colour, markersize=4)
        left.plot(fine_d, found.predict(N=np.full(60, n), D=fine_d), color=colour, linewidth=1)
        last = part.loc[part["D"].idxmax()]
        named(left, last["D"], last["loss"], f"{n / 1e3:,.0f}k", colour)
    for k, d in enumerate(counts):
        part, colour = rows[rows["D"] == d], colours(k / len(counts))
        right.plot(part["N"], part["loss"], "o", color=colour, markersize=4)
        if d >= LEAST:
            drawn = found.predict(N=fine_n, D=np.full(60, d))
            right.plot(fine_n, drawn, color=colour, linewidth=1)
        last = part.loc[part["N"].idxmax()]
        named(right, last["N"], last["loss"], f"{d / 1e6:g}M", colour)
    for k, c in enumerate(budgets(rows)):
        curve, colour = isoflop(rows, float(c)), colours(k / ISOFLOPS)
        iso.plot(curve["N"], curve["loss"], "o-", color=colour, markersize=4, linewidth=1)
        named(iso, curve["N"].iloc[-1], curve["loss"].iloc[-1], f"{c:.1e} FLOPs", colour)
        if (best := minimum(curve)) is not None:
            iso.axvline(best, color=colour, linewidth=0.8, linestyle=":")
    for k, (budget, part) in enumerate(accuracy.groupby("budget")):
        colour = colours(k / accuracy["budget"].nunique())
        for _, run in part[part["seed"] == 1].groupby("run"):
            acc.plot(run["flops"], run["accuracy"], ".-", color=colour, markersize=5, linewidth=0.7)
        top = part.loc[part["flops"].idxmax()]
        named(acc, top["flops"], top["accuracy"], f"{budget} tokens", colour)
    size, loss = "parameters without embeddings", "held-out loss, nats a fact"
    words = [
        (left, "training tokens", loss, "Loss against tokens, a line a size (Hoffmann's law)"),
        (right, size, loss, "Loss against size, a line a token count (the same law)"),
        (iso, size, loss, "Equal training compute; dotted: the minimum"),
        (
            acc,
            "training FLOPs",
            "accuracy of one sample",
            "Accuracy at fixed thinking, a line a rung",
        ),
    ]
    for axes, x, y, title in words:
        axes.set(xscale="log", xlabel=x, ylabel=y)
        axes.set_title(title, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
        if axes is not acc:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
            axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
            axes.yaxis.set_major_locator(
                matplotlib.ticker.FixedLocator([0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3])
            )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Command line: the two tables and the figure's file; prints the exponents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--ladder", type=Path, default=zoo.ROOT / "ladder" / "ladder.csv")
    parser.add_argument("--accuracy", type=Path, default=HERE / "accuracy.csv")
    given = parser.parse_args()
    rows = read(given.ladder)
    draw(rows, pd.read_csv(given.accuracy), given.figure)
    print(exponents(rows))


if __name__ == "__main__":
    main()
