"""How much of a score is the cap: simulated chains whose end is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.censoring import cap_effect, lengths


def pool(seed: int, cap: float = 700, problems: int = 60, samples: int = 8):
    """Log-normal lengths; longer problems and longer chains are right less often; a capped chain
    answers at random. Returns the capped table and the true uncapped accuracy.
    """
    rng = np.random.default_rng(seed)
    mu = rng.normal(6, 0.6, problems)[:, None]
    log = mu + rng.normal(0, 0.4, (problems, samples))
    logit = 1 - 1.2 * (log - mu) - 1.0 * (mu - 6)
    right = rng.random(log.shape) < 1 / (1 + np.exp(-logit))
    length = np.exp(log)
    forced = length > cap
    score = np.where(forced, rng.random(log.shape) < 0.1, right).astype(float)
    table = pd.DataFrame(
        {
            "problem_id": np.repeat([f"p{i:02d}" for i in range(problems)], samples),
            "sample": np.tile(np.arange(samples), problems),
            "budget": cap,
            "score": score.ravel(),
            "thinking_tokens": np.minimum(length, cap).ravel(),
            "forced": forced.ravel(),
        }
    )
    return table, float(right.mean())


def test_the_estimate_covers_what_the_chains_would_have_scored() -> None:
    inside, wrong = [], []
    for seed in range(16):
        table, truth = pool(seed)
        row = cap_effect(table, resamples=60, seed=seed).iloc[0]
        assert row["lower"] <= truth <= row["upper"]
        inside.append(row["uncapped_lo"] <= truth <= row["uncapped_hi"])
        wrong.append(row["uncapped"] - truth)
    assert sum(inside) >= 13 and abs(np.mean(wrong)) < 0.015


def test_censored_lengths_are_recovered() -> None:
    rng = np.random.default_rng(0)
    mu = rng.normal(6, 0.5, 400)
    log = mu[:, None] + rng.normal(0, 0.3, (400, 8))
    cut = log > 6.3
    known = np.ones_like(cut)
    found = lengths(np.minimum(log, 6.3), known, cut, np.ones(400))
    assert (found.sigma, found.centre, np.sqrt(found.tau2)) == pytest.approx(
        (0.3, mu.mean(), mu.std()), abs=0.02
    )


def test_without_capped_chains_nothing_is_estimated_and_the_bounds_are_the_score() -> None:
    table, _ = pool(0, cap=1e9)
    row = cap_effect(table).iloc[0]
    assert row["capped"] == 0 and np.isnan(row["uncapped"])
    assert row["lower"] == row["value"] == row["upper"]


def test_where_most_chains_are_capped_only_bounds_are_given() -> None:
    row = cap_effect(pool(0, cap=250)[0]).iloc[0]
    assert row["capped"] > 0.5 and np.isnan(row["uncapped"]) and row["lower"] < row["upper"]


def test_an_imported_table_names_its_own_column() -> None:
    table = pool(0)[0].rename(columns={"forced": "hit_limit"})
    assert cap_effect(table, capped="hit_limit", resamples=5)["capped"][0] > 0.1
    with pytest.raises(UserError, match="needs a column 'forced' that says which chains were cut"):
        cap_effect(table)
