"""Fits the pretraining law to every rung but the largest, predicts the largest, and checks it
later.

L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, eq. 2) with N without embeddings, fitted to all
runs of the smaller rungs. The interval is one for a loss yet to be seen: the law's own error (whole
rungs are resampled, for checkpoints of one size share what the size does, and those of one run a
trunk), and the scatter of single runs about it. `predict` writes, for the token counts that the
largest rung has not reached; `check` adds what came out, and changes nothing else.
`prediction.json` was written before the largest rung was trained, `prediction_longer.json` when it
stood at 1M tokens and the others at 2M.

    python -m benchmarks.laboratory.law predict --file benchmarks/laboratory/prediction_longer.json
    python -m benchmarks.laboratory.law check --file benchmarks/laboratory/prediction_longer.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.laboratory.recipe import HERE, build, load, sizes
from testtime.laws.fit import fit
from testtime.laws.training import HOFFMANN

LEVEL = 0.95
RESAMPLES = 400
HUBER = 1e-3
"""On log loss, as in Hoffmann et al. 2022."""
LEAST = 250_000
"""Fewer tokens are left out of the law: the smallest rungs still know nothing there, whatever their
size.
"""
CLOSE = 0.15
"""A prediction is close where it misses by at most this share of the reducible loss, what lies
above E.
"""


def read(path: Path) -> pd.DataFrame:
    """The ladder's table, with parameters as N and the token counts that were aimed at as D."""
    return pd.read_csv(path, dtype={"rung": str}).rename(columns={"parameters": "N", "target": "D"})


def lawful(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the law is fitted to."""
    return rows[rows["D"] >= LEAST]


def predict(rows: pd.DataFrame, size: float, tokens: list[float], seed: int = 0) -> dict[str, Any]:
    """Predicted losses of a size at each token count, with intervals; `rows` has rung, N, D and
    loss.
    """
    rungs = np.sort(rows["rung"].unique())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(rungs), np.full(len(rungs), 1 / len(rungs)), size=RESAMPLES)
    weights = drawn[:, np.searchsorted(rungs, rows["rung"])].astype(np.float64)
    inputs = {"N": rows["N"].to_numpy(float), "D": rows["D"].to_numpy(float)}
    fitted = fit(HOFFMANN, inputs, rows["loss"].to_numpy(float), delta=HUBER, row_weights=weights)
    where = {"N": np.full(len(tokens), size), "D": np.array(tokens)}
    curves = np.log(fitted.law(fitted.replicates, **where))
    scattered = curves + rng.choice(fitted.residuals, size=curves.shape)
    lo, hi = np.exp(np.nanquantile(scattered, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))
    losses = fitted.predict(**where)
    return {
        "N": size,
        "level": LEVEL,
        "runs": int(rows["run"].nunique()),
        "points": len(rows),
        "law": fitted.params,
        "rmse_log": float(np.sqrt(np.mean(fitted.residuals**2))),
        "predicted": [
            {"D": D, "loss": float(loss), "lo": float(a), "hi": float(b)}
            for D, loss, a, b in zip(tokens, losses, lo, hi, strict=True)
        ],
    }


def check(written: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """The prediction with what came out beside it: the loss, its share of the reducible loss
    missed, inside or not. What was measured first stands, whatever is trained again.
    """
    out = []
    for one in written["predicted"]:
        measured = rows[rows["D"] == one["D"]]
        if measured.empty or "measured" in one:
            out.append(one)
            continue
        loss, floor = float(measured["loss"].iloc[0]), written["law"]["E"]
        missed = (one["loss"] - loss) / (loss - floor)
        beside = {
            "measured": loss,
            "measured_se": float(measured["loss_se"].iloc[0]),
            "missed": missed,
        }
        out.append(
            {
                **one,
                **beside,
                "close": abs(missed) <= CLOSE,
                "inside": one["lo"] <= loss <= one["hi"],
            }
        )
    return {**written, "predicted": out}


def main() -> None:
    """Command line: predict or check, the recipe, the ladder's table, the prediction's file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["predict", "check"])
    parser.add_argument("recipe", nargs="?", default=HERE / "ladder.yaml")
    parser.add_argument("--table", type=Path, default=HERE / "out" / "ladder" / "ladder.csv")
    parser.add_argument("--file", type=Path, default=HERE / "prediction.json")
    given = parser.parse_args()
    recipe = load(given.recipe)
    largest = list(recipe.rungs.values())[-1]
    rows = read(given.table)
    if given.what == "predict":
        if given.file.exists():
            raise SystemExit(f"{given.file} exists: a prediction is written once")
        smaller = lawful(rows[rows["rung"] != largest.name])
        reached = rows.loc[rows["rung"] == largest.name, "D"].max()  # NaN before it is trained
        counts = [float(n) for n in recipe.tokens if n >= LEAST and not n <= reached]
        made = predict(smaller, float(sizes(build(largest, 0))[0]), counts)
    else:
        made = check(json.loads(given.file.read_text()), rows[rows["rung"] == largest.name])
    given.file.write_text(json.dumps(made, indent=2) + "\n")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
