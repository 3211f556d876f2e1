"""Ways to spend compute are compared at one budget, each at its largest setting that fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.laboratory.searches import COUNTS, LEVELS, SELECTORS, chosen, table
from testtime.estimators.grid import build


def scores(setting: str, budget: float, samples: int, flops: float, share: float) -> pd.DataFrame:
    rng = np.random.default_rng(len(setting) + samples)
    rows = [(f"p{p}", s, float(rng.random() < share)) for p in range(30) for s in range(samples)]
    made = pd.DataFrame(rows, columns=["problem_id", "sample", "score"])
    judged = {"step": 0.5, "verify_1": 0.5} if setting == "chains" else {"prm": 0.5}
    key = made["score"].map({1.0: "right", 0.0: "wrong"})
    told = {"setting": setting, "budget": budget, "flops": flops, "answer_key": key, **judged}
    return made.assign(**told)


def test_each_way_takes_its_largest_setting_that_fits() -> None:
    made = [
        scores("chains", 8, 32, 50, 0.2).assign(step_flops=100, verify_1_flops=60),
        scores("chains", 25, 32, 100, 0.5).assign(step_flops=100, verify_1_flops=60),
        scores("dvts,width=4", np.nan, 4, 500, 0.9),
        scores("beam,beams=4", np.nan, 1, 800, 0.5),
        scores("beam,beams=8", np.nan, 1, 1700, 0.5),
    ]
    whole = pd.concat(made, ignore_index=True)
    sample = build(whole, COUNTS, SELECTORS).bootstrap(300)
    picked = chosen(sample).set_index("way")
    assert picked.loc["majority vote", "share"] == 1
    assert picked.loc["one sample, to its end", "share"] == pytest.approx(1 / 16)
    assert picked.loc["best by step model", "what"] == "chains, n = 8"  # twice the price
    assert picked.loc["vote weighted by own verdict", "what"] == "chains, n = 10"
    assert picked.loc["DVTS, width 4", "what"] == "dvts,width=4, n = 3"
    assert picked.loc["beam search, width 4", "what"] == "beam,beams=4, n = 1"
    assert "AB-MCTS" not in picked.index
    problems = whole["problem_id"].unique()
    levels = pd.Series([LEVELS[i % 3] for i in range(len(problems))], index=problems)
    compared = table(sample, chosen(sample), levels).set_index("way")
    assert np.isnan(compared.loc["majority vote", "difference"])
    ahead = compared.loc["DVTS, width 4"]
    assert 0 < ahead["lo"] < ahead["difference"] < ahead["hi"]
    mean = compared[[f"level {level}" for level in LEVELS]].mean(axis=1)
    assert mean.to_numpy() == pytest.approx(compared["accuracy"].to_numpy())
