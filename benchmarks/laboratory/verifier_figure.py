"""The AUC from which a verifier beats voting at equal compute: the figure and its numbers, from the
outcomes that `verifier_quality` drew.

    python -m benchmarks.laboratory.verifier_figure docs/verifier.png

A budget is what voting of n chains costs, in FLOPs. Whoever uses a verifier has as many samples
as that buys, the verifier's own passes paid: about half the chains, or a search in their place. Its
gain over voting is a mean over problems and verifiers; as a function of the AUC it is made
non-decreasing (isotonic regression) and crosses zero once. Both are resampled, problems and
verifiers, and the crossing found again, so its interval carries both.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from benchmarks.laboratory.set_quality import within
from benchmarks.laboratory.verifier_quality import AUCS, OUT, SHARE, WIDTH
from testtime.estimators.selectors import selected
from testtime.estimators.table import Pool, pools

BUDGETS = (8, 32)
"""Chains that vote."""
RESAMPLES = 2000
WAYS = {  # how a verifier is used -> width of the search, selector
    "best of n": (1, "best:prm"),
    "weighted vote": (1, "weighted:prm"),
    "search (DVTS)": (WIDTH, "weighted:prm"),
}


@dataclass(frozen=True)
class Gain:
    """A use of a verifier against voting. samples: what the budget buys; each: its gain on each
    problem with each verifier, (AUCs, verifiers, problems).
    """

    way: str
    budget: int
    samples: int
    each: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.each.mean(axis=(1, 2)))

    def replicates(self, seed: int = 0) -> np.ndarray:
        """The gain at each AUC when problems and verifiers are drawn again: (RESAMPLES, AUCs)."""
        rng = np.random.default_rng(seed)
        _, draws, problems = self.each.shape
        who = rng.multinomial(problems, np.full(problems, 1 / problems), RESAMPLES) / problems
        which = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
        return np.einsum("adp,rd,rp->ra", self.each, which, who, optimize=True)


def crossing(gain: np.ndarray) -> float:
    """The AUC from which a gain, one number an AUC of AUCS, is positive; 1 where it never is, .5
    where it always is.
    """
    rising = isotonic_regression(gain).x
    above = np.flatnonzero(rising > 0)
    if not len(above):
        return 1.0
    first = int(above[0])
    if first == 0:
        return AUCS[0]
    low, high = rising[first - 1], rising[first]
    return float(AUCS[first - 1] + (AUCS[first] - AUCS[first - 1]) * -low / (high - low))


def gains(outcomes: pd.DataFrame) -> list[Gain]:
    """Every use of a verifier at every budget."""
    by_verifier = {
        (auc, draw, width): _pool(rows)
        for (auc, draw, width), rows in outcomes.groupby(["auc", "draw", "width"])
    }
    draws = sorted({draw for _, draw, _ in by_verifier})
    chains = by_verifier[AUCS[0], draws[0], 1]
    voter = float((chains.columns["flops"] - chains.columns["verifier_flops"]).mean())
    result = []
    for budget in BUDGETS:
        vote = selected(chains, "majority", [budget], draws=512)[0][:, 0]
        for way, (width, selector) in WAYS.items():
            pool = {key: by_verifier[*key, width] for key in [(a, d) for a in AUCS for d in draws]}
            cost = np.mean([one.columns["flops"].mean() for one in pool.values()])
            samples = max(1, int(budget * voter / cost))
            value = [
                [selected(pool[a, d], selector, [samples])[0][:, 0] - vote for d in draws]
                for a in AUCS
            ]
            result.append(Gain(way, budget, samples, np.array(value)))
            print(
                f"{budget} votes: {way} of {samples}, {samples * cost / budget / voter:.2f} times the compute"
            )
    return result


def _pool(rows: pd.DataFrame) -> Pool:
    (pool,) = pools(rows.drop(columns=["auc", "draw", "width"]))
    return pool


def table(of: list[Gain]) -> pd.DataFrame:
    """The crossings: budget, way, samples, auc with its 95 % interval (1: nowhere), and the AUC
    between answers to one problem that it stands for.
    """
    rows = []
    for gain in of:
        found = [crossing(one) for one in gain.replicates()]
        at, (low, high) = crossing(gain.mean), np.quantile(found, [0.025, 0.975])
        last = gain.mean[-1]
        rows.append(
            (
                gain.budget,
                gain.way,
                gain.samples,
                at,
                low,
                high,
                within(min(at, 0.9999), SHARE),
                last,
            )
        )
    names = ["budget", "way", "samples", "auc", "lo", "hi", "within", "gain_at_last"]
    return pd.DataFrame(rows, columns=names)


def draw(of: list[Gain], crossings: pd.DataFrame, path: Path) -> None:
    """A panel a budget: the gain over voting against the AUC, with bands and the crossings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(WAYS, ("#4477aa", "#228833", "#cc6677"), strict=True))
    figure, panels = plt.subplots(
        1, len(BUDGETS), figsize=(10.5, 4.2), sharey=True, layout="constrained"
    )
    for panel, budget in zip(panels, BUDGETS, strict=True):
        panel.axhline(0, color="#777777", lw=1)
        for level, gain in enumerate(gain for gain in of if gain.budget == budget):
            low, high = np.quantile(gain.replicates(), [0.025, 0.975], axis=0)
            colour = colours[gain.way]
            panel.plot(
                AUCS,
                100 * gain.mean,
                marker="o",
                ms=4,
                color=colour,
                label=f"{gain.way}, n = {gain.samples}",
            )
            panel.fill_between(AUCS, 100 * low, 100 * high, color=colour, alpha=0.12, lw=0)
            row = crossings[(crossings["budget"] == budget) & (crossings["way"] == gain.way)].iloc[
                0
            ]
            place = 0.03 + 0.03 * level
            panel.plot(
                [row["lo"], row["hi"]],
                [place, place],
                transform=panel.get_xaxis_transform(),
                color=colour,
                lw=2,
            )
            panel.plot(
                row["auc"],
                place,
                "|",
                ms=9,
                mew=2,
                transform=panel.get_xaxis_transform(),
                color=colour,
            )
        panel.set_title(f"At the compute of {budget} votes", fontsize=10, loc="left")
        panel.set_xlabel("AUC of the verifier (bars: where the gain turns positive, 95 %)")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8, loc="upper left")
    panels[0].set_ylabel("gain over voting, points")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Command line: the figure's file; prints the crossings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    given = parser.parse_args()
    parts = [pd.read_parquet(OUT / f"{auc:g}.parquet") for auc in AUCS]
    of = gains(pd.concat(parts, ignore_index=True))
    crossings = table(of)
    draw(of, crossings, given.figure)
    print(crossings.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
