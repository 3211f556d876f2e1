"""Fits the pretraining law to every rung but the largest, predicts the largest rung's final loss,
and checks it later.

L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, eq. 2) with N without embeddings. The interval
has two parts: the law's own error (whole rungs are resampled, for the checkpoints of one rung share
a trunk and a seed) and the scatter of single checkpoints about it, so it is one for a loss yet to
be seen. `predict` writes before the rung is trained to its end; `check` adds what came out, and
changes nothing else.

    python -m benchmarks.ladder.law predict benchmarks/ladder/ladder.yaml ladder.csv prediction.json
    python -m benchmarks.ladder.law check benchmarks/ladder/ladder.yaml ladder.csv prediction.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.ladder.recipe import build, load, sizes
from testtime.laws.fit import fit
from testtime.laws.training import HOFFMANN

LEVEL = 0.90
RESAMPLES = 500
HUBER = 1e-3
"""On log loss, as in Hoffmann et al. 2022."""


def predict(rows: pd.DataFrame, size: float, tokens: float, seed: int = 0) -> dict[str, Any]:
    """The predicted loss at (size, tokens) with its interval; `rows` needs rung, parameters, tokens
    and loss.
    """
    rungs = rows["rung"].unique()
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(rungs), np.full(len(rungs), 1 / len(rungs)), size=RESAMPLES)
    weights = drawn[:, np.searchsorted(np.sort(rungs), rows["rung"])].astype(np.float64)
    inputs = {"N": rows["parameters"].to_numpy(float), "D": rows["tokens"].to_numpy(float)}
    fitted = fit(HOFFMANN, inputs, rows["loss"].to_numpy(float), delta=HUBER, row_weights=weights)
    scatter = rng.choice(fitted.residuals, size=RESAMPLES)
    where = {"N": np.array([size]), "D": np.array([tokens])}
    curves = np.log(fitted.law(fitted.replicates, **where)[:, 0])
    curves = curves[np.isfinite(curves)]
    low, high = np.exp(
        np.quantile(curves + scatter[: len(curves)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    )
    return {
        "parameters": size,
        "tokens": tokens,
        "loss": float(fitted.predict(**where)[0]),
        "low": float(low),
        "high": float(high),
        "level": LEVEL,
        "points": len(rows),
        "law": fitted.params,
        "rmse_log": float(np.sqrt(np.mean(fitted.residuals**2))),
    }


def check(written: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """The prediction with what came out beside it: the last checkpoint's loss, the relative error,
    hit or miss.
    """
    last = rows.sort_values("tokens").iloc[-1]
    loss = float(last["loss"])
    measured = {
        "measured": loss,
        "measured_se": float(last["loss_se"]),
        "error": written["loss"] / loss - 1,
    }
    return {**written, **measured, "hit": written["low"] <= loss <= written["high"]}


def main() -> None:
    """Command line: predict or check, the recipe, the ladder's table, the prediction's file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["predict", "check"])
    parser.add_argument("recipe")
    parser.add_argument("table", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    largest = list(load(given.recipe).rungs.values())[-1]
    rows = pd.read_csv(given.table, dtype={"rung": str})
    if given.what == "predict":
        if given.file.exists():
            raise SystemExit(f"{given.file} exists: a prediction is written once")
        made = predict(
            rows[rows["rung"] != largest.name],
            sizes(build(largest, 0))[0],
            float(largest.tokens[-1]),
        )
    else:
        made = check(json.loads(given.file.read_text()), rows[rows["rung"] == largest.name])
    given.file.write_text(json.dumps(made, indent=2) + "\n")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
