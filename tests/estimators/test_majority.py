from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.estimators import best_at_k, majority_at_k, pass_at_k


def by_enumeration(score, key, k, weight):
    """The vote of k from its definition: every k-subset, ties shared equally, an answer scoring its
    samples' mean.
    """
    worth = {a: score[key == a].mean() for a in set(key.tolist()) if a >= 0}
    subsets = list(combinations(range(len(score)), k))
    total = 0.0
    for subset in subsets:
        votes: dict[int, float] = {}
        for i in subset:
            if key[i] >= 0 and weight[i] > 0:
                votes[int(key[i])] = votes.get(int(key[i]), 0.0) + weight[i]
        if votes:
            most = max(votes.values())
            total += np.mean([worth[a] for a, v in votes.items() if v > most - 1e-9])
    return total / len(subsets)


def pool(problems, samples, answers=5, silent=0.1, seed=0):
    rng = np.random.default_rng(seed)
    key = np.stack(
        [
            rng.choice(answers, size=samples, p=rng.dirichlet(np.ones(answers)))
            for _ in range(problems)
        ]
    )
    key[rng.random(key.shape) < silent] = -1
    return (key == 0).astype(float), key


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=9), st.integers(0, 31))
def test_exact_vote_is_the_mean_over_subsets(keys, right):
    key = np.array(keys)
    score = np.array([float(k >= 0 and right >> k & 1) for k in keys])
    ks = list(range(1, len(keys) + 1))
    expected = [by_enumeration(score, key, k, np.ones(len(key))) for k in ks]
    got = majority_at_k(score[None], key[None], ks, method="exact")
    assert got.value[0] == pytest.approx(expected, abs=1e-12)
    assert got.exact


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 4)), min_size=1, max_size=8))
def test_weighted_vote_is_the_mean_over_subsets(samples):
    key = np.array([k for k, _ in samples])
    weight = np.array([w for _, w in samples]) / 3  # thirds: 1/3 + 2/3 must tie with 1
    key = np.where(weight > 0, key, -1)
    score = (key == 0).astype(float)
    ks = list(range(1, len(key) + 1))
    expected = [by_enumeration(score, key, k, weight) for k in ks]
    assert majority_at_k(score[None], key[None], ks, weight[None]).value[0] == pytest.approx(
        expected, abs=1e-12
    )


def test_exact_vote_of_large_pools_agrees_with_counting():
    score, key = pool(40, 64)
    ks = [1, 2, 4, 8, 16, 32, 64]
    exact = majority_at_k(score, key, ks, method="exact")
    counted = majority_at_k(score, key, ks, method="montecarlo", draws=2000)
    spread = np.sqrt((counted.mc_error**2).sum(axis=0)) / len(score)
    assert np.all(
        np.abs(exact.value.mean(axis=0) - counted.value.mean(axis=0)) <= 5 * spread + 1e-12
    )
    assert not counted.exact and np.all(
        counted.mc_error[:, -1] == 0
    )  # the whole pool is one subset


def test_unweighted_vote_equals_equal_weights():
    score, key = pool(10, 8)
    ks = [1, 2, 3, 8]
    weighted = majority_at_k(score, key, ks, np.full(score.shape, 0.7))
    assert weighted.value == pytest.approx(majority_at_k(score, key, ks).value)


def test_voting_edges():
    silent = majority_at_k(np.zeros((1, 3)), np.full((1, 3), -1), [1, 3])
    assert silent.value.tolist() == [[0.0, 0.0]]
    alone = majority_at_k(np.ones((1, 4)), np.zeros((1, 4), dtype=int), [1, 2, 4])
    assert alone.value.tolist() == [[1.0, 1.0, 1.0]]
    few = majority_at_k(np.array([[1.0, np.nan]]), np.array([[0, 1]]), [1, 2])
    assert few.value[0, 0] == 1.0 and np.isnan(few.value[0, 1])
    with pytest.raises(ValueError, match="negative"):
        majority_at_k(np.ones((1, 2)), np.zeros((1, 2), dtype=int), [1], -np.ones((1, 2)))


def test_monte_carlo_is_deterministic_by_seed():
    score, key = pool(5, 40)
    weight = np.random.default_rng(1).random(score.shape)
    first, again, other = (majority_at_k(score, key, [8], weight, seed=s).value for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_qwen_math_selection(shared_data):
    rows = [
        json.loads(line) for line in (shared_data / "selection" / "qwen_math_cot_100.jsonl").open()
    ]
    score = np.array([r["score"] for r in rows], dtype=float)
    answers = np.array([[str(p) for p in r["pred"]] for r in rows])
    key = np.where(
        answers == "", -1, np.unique(answers, return_inverse=True)[1].reshape(answers.shape)
    )
    reward = np.array([np.ravel(r["pred_score"]) for r in rows])
    ks = [2, 4, 8]
    oracle = pass_at_k(score.sum(axis=1)[:, None], 8, np.array([1, *ks])).mean(axis=0)
    assert oracle == pytest.approx([0.91, 0.932857, 0.951, 0.96], abs=1e-6)
    assert majority_at_k(score, key, ks).value.mean(axis=0) == pytest.approx(
        [0.91, 0.920107, 0.925], abs=1e-6
    )
    assert best_at_k(score, reward, ks).mean(axis=0) == pytest.approx(
        [0.927857, 0.936143, 0.94], abs=1e-6
    )
