"""From loss to accuracy: what the smaller rungs say about the largest one's accuracy at fixed
thinking.

    python -m benchmarks.laboratory.downstream

Two forms, fitted for each budget to all checkpoints of all rungs but the largest: error = e - k
exp(-g L) of the loss L (Gadre et al. 2024, eq. 4), and log odds linear in log training compute.
Each foretells the largest rung's checkpoints, the first from their measured losses, with an
interval that resamples rungs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.laboratory.law import lawful
from benchmarks.laboratory.recipe import HERE

RESAMPLES = 400
Form = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""From points (x, accuracy) to the fitted accuracy at other x."""


def through_loss(loss: np.ndarray, accuracy: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Gadre et al.'s form by non-linear least squares."""
    from scipy.optimize import least_squares

    def error(p: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(p[0] - np.exp(p[1] - np.exp(p[2]) * x))

    start = np.array([1 - accuracy.min(), 0.0, 0.0])
    found = least_squares(lambda p: error(p, loss) - (1 - accuracy), start)
    return lambda x: 1 - error(found.x, x)


def log_odds(compute: np.ndarray, accuracy: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Log odds of the accuracy as a straight line in log compute."""
    clipped = np.clip(accuracy, 1e-3, 1 - 1e-3)
    slope, start = np.polyfit(np.log(compute), np.log(clipped / (1 - clipped)), 1)
    return lambda x: 1 / (1 + np.exp(-(start + slope * np.log(x))))


FORMS: dict[str, tuple[str, Form]] = {
    "through the loss": ("loss", through_loss),
    "log odds in compute": ("flops", log_odds),
}


def foretold(rows: pd.DataFrame, column: str, form: Form, seed: int = 0) -> pd.DataFrame:
    """The largest rung's checkpoints with accuracy as foretold, its 95 % interval, and what was
    measured.
    """
    largest = rows.loc[rows["N"].idxmax(), "rung"]
    known, asked = rows[rows["rung"] != largest], rows[rows["rung"] == largest].sort_values("D")
    at = asked[column].to_numpy(float)

    def fitted(part: pd.DataFrame) -> Callable[[np.ndarray], np.ndarray]:
        return form(part[column].to_numpy(float), part["accuracy"].to_numpy(float))

    rng = np.random.default_rng(seed)
    groups = [part for _, part in known.groupby("rung")]
    residuals = (known["accuracy"] - fitted(known)(known[column].to_numpy(float))).to_numpy()
    drawn = []
    for _ in range(RESAMPLES):
        picked = pd.concat([groups[k] for k in rng.integers(0, len(groups), size=len(groups))])
        drawn.append(fitted(picked)(at) + rng.choice(residuals, size=len(at)))
    lo, hi = np.quantile(drawn, [0.025, 0.975], axis=0)
    said = fitted(known)(at)
    table = asked[["rung", "D", "accuracy", "se"]].rename(columns={"accuracy": "measured"})
    return table.assign(foretold=said, lo=lo, hi=hi, residual=float(np.sqrt(np.mean(residuals**2))))


def main() -> None:
    """Command line: the table of accuracies; prints a line a budget, form and token count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accuracy", type=Path, default=HERE / "accuracy.csv")
    given = parser.parse_args()
    rows = pd.read_csv(given.accuracy, dtype={"rung": str})
    rows = lawful(rows.rename(columns={"parameters": "N", "target": "D"}))
    print("| thinking tokens | form | training tokens | foretold | measured |")
    print("| --- | --- | --- | --- | --- |")
    for budget, part in rows.groupby("budget"):
        for name, (column, form) in FORMS.items():
            for one in foretold(part, column, form).to_dict("records"):
                said = f"{one['foretold']:.3f} [{one['lo']:.3f}, {one['hi']:.3f}]"
                print(
                    f"| {budget} | {name} | {one['D'] / 1e6:g}M | {said} | {one['measured']:.3f} |"
                )


if __name__ == "__main__":
    main()
