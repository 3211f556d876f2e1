"""First-finish search and the frontier with rules, against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.deployments import stopped
from testtime.estimators.finishing import first_finish, order_weights
from testtime.estimators.rule_frontier import against_fixed, with_rules


def pool(problems: int = 4, samples: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(problems):
        share = rng.beta(1, 1)
        for s in range(samples):
            right = rng.random() < share
            key = "r" if right else f"w{rng.integers(0, 3)}"
            rows.append((f"p{i}", s, float(right), key, int(rng.integers(1, 5)) * 10))
    names = ["problem_id", "sample", "score", "answer_key", "thinking_tokens"]
    return pd.DataFrame(rows, columns=names)


def test_tokens_and_latency_over_all_subsets_ties_included() -> None:
    table = pool()
    found = first_finish(table, (1, 2), [3, 5]).set_index(["selector", "n"])
    for k, n in ((1, 3), (2, 3), (1, 5), (2, 5)):
        costs = []
        for _, problem in table.groupby("problem_id"):
            for subset in combinations(problem["thinking_tokens"], n):
                path = sorted(subset)
                end = path[k - 1]
                costs.append((sum(path[:k]), sum(min(p, end) for p in path), end))
        row = found.loc[(f"shortest:{k}", n)]
        assert row[["counted_tokens", "tokens", "latency"]].tolist() == pytest.approx(
            np.mean(costs, axis=0).tolist()
        )
    longest = found.loc[("longest:2", 5)]
    assert longest["tokens"] == pytest.approx(5 * table["thinking_tokens"].mean())


def test_order_weights_are_a_distribution() -> None:
    for n, i in ((1, 1), (4, 2), (8, 8)):
        assert order_weights(8, n, i).sum() == pytest.approx(1)


def test_lengths_are_needed() -> None:
    with pytest.raises(UserError, match="first finish: needs a column 'thinking_tokens'"):
        first_finish(pool().drop(columns="thinking_tokens"))


def test_a_rule_against_all_samples() -> None:
    result = stopped(pool(20, 5), ["fixed", "beta:0.8"], n=[5])
    found = against_fixed(result, resamples=200).set_index("deployment")
    table = result.table().set_index(["rule", "deployment"])
    for way in ("one by one", "launch and cancel"):
        rule, fixed = table.loc[("beta:0.8", way)], table.loc[("fixed", way)]
        row = found.loc[way]
        assert row["difference"] == pytest.approx(rule["value"] - fixed["value"])
        assert row["tokens_share"] == pytest.approx(rule["tokens"] / fixed["tokens"])
        assert row["lo"] < row["difference"] < row["hi"]
    with pytest.raises(UserError, match="add 'fixed'"):
        against_fixed(stopped(pool(), ["esc"]))


def test_rules_win_where_they_save_and_are_never_named_where_nothing_differs() -> None:
    """Half the problems are sure at once, half need many votes: stopping early pays for these."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(200):
        for s in range(32):
            right = i % 2 == 0 or rng.random() < 0.62
            key = "r" if right else "w"
            rows.append((f"p{i:03d}", s, float(right), key, 100))
    names = ["problem_id", "sample", "score", "answer_key", "thinking_tokens"]
    table = pd.DataFrame(rows, columns=names)
    found = with_rules(table, ["beta:0.9", "beta:0.99"], resamples=300, deployments=["one by one"])
    middle = found[found["compute"] == 800].iloc[0]
    assert middle["wins"] == "rules" and "beta" in middle["best"] and middle["lo"] > 0
    sure = table[table["problem_id"].str[1:].astype(int) % 2 == 0]
    same = with_rules(sure, ["beta:0.9"], resamples=300)
    assert (same["wins"] == "undecided").all()
