"""Every selector, from scores table to cells, against its definition: the mean over all n-subsets
of the pool.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.estimators.cells import cells
from testtime.estimators.ranked_votes import SETS, ranked_vote_at_k
from testtime.estimators.selectors import KERNELS
from testtime.grammar import SELECTORS as WRITTEN

SELECTORS = (
    "oracle",
    "majority",
    "weighted:weight",
    "best:weight",
    "filtered:weight:0.5",
    "shortest:1",
    "shortest:2",
    "longest:3",
)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)  # of a few: an array would take most of the time


def by_definition(
    selector: str, score: Sequence[float], answer: Sequence[str | None], weight: Sequence[float]
) -> float:
    """What the selector's answer scores for one subset, ties shared equally."""
    if selector == "oracle":
        return max(score)
    if selector.startswith("best"):
        top = max(weight)
        return mean([s for s, w in zip(score, weight, strict=True) if w == top])
    kind, _, rest = selector.partition(":")
    if kind in ("filtered", "shortest", "longest"):
        # weights are lengths here too; ties at the edge: every choice among them alike
        count = -(-len(score) // 2) if kind == "filtered" else min(int(rest), len(score))
        sign = -1 if kind == "shortest" else 1
        rank = [sign * w for w in weight]
        edge = sorted(rank, reverse=True)[count - 1]
        sure = [i for i, r in enumerate(rank) if r > edge]
        tied = [i for i, r in enumerate(rank) if r == edge]
        return mean(
            [
                by_definition(
                    "majority",
                    *([x[i] for i in [*sure, *extra]] for x in (score, answer, weight)),
                )
                for extra in combinations(tied, count - len(sure))
            ]
        )
    votes: dict[str, float] = {}
    for a, w in zip(answer, weight, strict=True):
        vote = 1.0 if selector == "majority" else w
        if a is not None and vote > 0:
            votes[a] = votes.get(a, 0.0) + vote
    most = max(votes.values(), default=0.0)
    winners = [a for a, v in votes.items() if v > most - 1e-9]
    right = {a: s for a, s in zip(answer, score, strict=True) if a is not None}
    return mean([right[a] for a in winners]) if winners else 0.0


def enumerated(table: pd.DataFrame, selector: str, n: int) -> float:
    values = []
    for _, problem in table.groupby("problem_id"):
        rows = problem[problem["score"].notna()]
        score, weight = rows["score"].tolist(), rows["weight"].tolist()
        answer = [None if pd.isna(a) else a for a in rows["answer_key"]]
        subsets = combinations(range(len(rows)), n)
        values.append(
            mean(
                [
                    by_definition(
                        selector, *([column[i] for i in s] for column in (score, answer, weight))
                    )
                    for s in subsets
                ]
            )
        )
    return mean(values)


samples = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(samples, min_size=1, max_size=3))
def test_random_pools_with_ties_silent_answers_and_nulls(
    pools: list[list[tuple[str | None, int, bool]]],
) -> None:
    rows = [
        (f"p{i}", s, float(key == "a"), key, weight / 3)
        for i, pool in enumerate(pools)
        for s, (key, weight, _) in enumerate(pool)
    ]
    rows += [
        (f"p{i}", 99, np.nan, None, 1.0) for i in range(len(pools))
    ]  # an unscored sample in every pool
    table = pd.DataFrame(rows, columns=["problem_id", "sample", "score", "answer_key", "weight"])
    table["answer_tokens"] = table["weight"]
    selectors = [
        s for s in SELECTORS if table["answer_key"].notna().any() or s in ("oracle", "best:weight")
    ]
    least = min(map(len, pools))
    found = cells(table, range(1, least + 1), selectors, resamples=100)
    assert len(found) == least * len(
        selectors
    )  # no cell beyond the scored samples, none missing below
    for row in found.itertuples():
        assert row.value == pytest.approx(enumerated(table, row.selector, row.n), abs=1e-9)
        assert row.mc_error == 0


def test_real_chains_with_a_reward_model(shared_data: Path) -> None:
    """40 MATH problems x 8 chains of Qwen2.5-Math: curves of every selector for n = 1..8 from one
    table.
    """
    rows = []
    lines = (shared_data / "selection" / "qwen_math_cot_100.jsonl").read_text().splitlines()
    for line in lines[:40]:
        item = json.loads(line)
        for s, (pred, score, reward) in enumerate(
            zip(item["pred"], item["score"], item["pred_score"], strict=True)
        ):
            rows.append(
                (str(item["idx"]), s, float(score), str(pred) or None, 1 / (1 + np.exp(-reward[0])))
            )
    table = pd.DataFrame(rows, columns=["problem_id", "sample", "score", "answer_key", "weight"])
    table["answer_tokens"] = table["weight"]
    found = cells(table, range(1, 9), SELECTORS, resamples=100)
    assert len(found) == 8 * len(SELECTORS) and (found["mc_error"] == 0).all()
    for row in found.itertuples():
        assert row.value == pytest.approx(enumerated(table, row.selector, row.n), abs=1e-9)


def test_large_pools_are_drawn_and_agree_with_the_exact_value() -> None:
    rng = np.random.default_rng(0)
    score = (rng.random((60, 20)) < 0.5).astype(float)
    key = np.where(score > 0, 0, rng.integers(1, 4, score.shape))
    rank = rng.integers(0, 5, score.shape)
    exact = ranked_vote_at_k(score, key, rank, [12], [3])
    assert (exact.mc_error == 0).all() and comb(20, 8) > SETS
    many = ranked_vote_at_k(score, key, rank, [12], [8], draws=400)
    assert (many.mc_error > 0).any()
    for found, k, v in ((exact, 12, 3), (many, 12, 8)):
        drawn = _by_draws(score, key, rank, k, v)
        error = np.sqrt((found.mc_error**2).sum()) / 60 + 0.5 / np.sqrt(8000)
        assert abs(found.value.mean() - drawn) < 4 * error


def _by_draws(
    score: np.ndarray, key: np.ndarray, rank: np.ndarray, k: int, v: int, draws: int = 8000
) -> float:
    """One subset, one sort, one vote at a time."""
    rng, total = np.random.default_rng(1), 0.0
    for _ in range(draws):
        i = int(rng.integers(len(score)))
        drawn = rng.permutation(score.shape[1])[:k]
        first = sorted(drawn, key=lambda s: -rank[i, s])[:v]
        votes = Counter(key[i, first].tolist())
        leaders = [a for a, c in votes.items() if c == max(votes.values())]
        total += (0 in leaders) / len(leaders)
    return total / draws


def test_every_selector_that_can_be_written_has_a_kernel() -> None:
    assert set(KERNELS) == set(WRITTEN)
