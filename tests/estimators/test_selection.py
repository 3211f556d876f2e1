from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.estimators import best_at_k, oracle_at_k, pass_at_k


def enumerate_best(score, ranking, k):
    from itertools import combinations

    subsets = [list(s) for s in combinations(range(len(score)), k)]
    return np.mean([score[s][ranking[s] == ranking[s].max()].mean() for s in subsets])


def test_pass_at_k_is_chen_et_al():
    assert pass_at_k(3, 10, 2) == pytest.approx(1 - (7 * 6) / (10 * 9))
    assert pass_at_k(0, 10, 5) == 0.0
    assert pass_at_k(6, 10, 5) == 1.0
    assert pass_at_k(3, 10, 1) == 0.3


def test_pass_at_k_is_exact_for_all_small_and_for_millions_of_samples():
    from math import comb

    for n in range(1, 30):
        for k in range(1, n + 1):
            missed = [comb(n - c, k) / comb(n, k) for c in range(n + 1)]
            found = pass_at_k(np.arange(n + 1), n, k)
            assert found == pytest.approx(1 - np.array(missed), abs=1e-13)
    for c in (3, 1000):
        product = 1 - np.prod(1 - 1000 / (3_000_000 - np.arange(c)))
        assert float(pass_at_k(c, 3_000_000, 1000)) == pytest.approx(product, abs=1e-12)


def test_pass_at_k_is_absent_where_samples_are_too_few():
    assert np.isnan(pass_at_k(3, 4, 8))
    assert np.isnan(pass_at_k(4, 4, 8))


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 8).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 1), min_size=n, max_size=n),
            st.lists(st.integers(0, 3), min_size=n, max_size=n),
        )
    )
)
def test_best_of_k_is_the_mean_over_subsets_with_ties_averaged(drawn):
    score, ranking = (np.array(x, dtype=float) for x in drawn)
    ks = list(range(1, len(score) + 1))
    expected = [enumerate_best(score, ranking, k) for k in ks]
    assert best_at_k(score[None], ranking[None], ks)[0] == pytest.approx(expected)


def test_oracle_is_pass_at_k_for_right_and_wrong():
    rng = np.random.default_rng(0)
    score = (rng.random((20, 16)) < 0.3).astype(float)
    ks = [1, 2, 4, 8, 16]
    assert oracle_at_k(score, ks) == pytest.approx(
        pass_at_k(score.sum(axis=1)[:, None], 16, np.array(ks))
    )


def test_nulls_leave_the_pool_and_unranked_samples_rank_last():
    score = np.array([[1.0, 0.0, np.nan, 1.0]])
    ranking = np.array([[np.nan, 1.0, 9.0, 2.0]])
    value = best_at_k(score, ranking, [2, 3, 4])[0]
    assert value[0] == pytest.approx((0 + 1 + 1) / 3)
    assert value[1] == 1.0
    assert np.isnan(value[2])


def test_pass_at_k_of_the_pythia_files(shared_data):
    folder = shared_data / "laws" / "schaeffer_monkeys"
    original = pd.read_parquet(folder / "large_language_monkeys_original_pass_at_k.parquet")
    got = pass_at_k(
        original["Num. Samples Correct"],
        original["Num. Samples Total"],
        original["Scaling Parameter"],
    )
    assert np.abs(got - original["Score"]).max() < 1e-9
    for name in ("math", "gsm8k"):
        file = pd.read_parquet(folder / f"{name}_pass_at_k.parquet")
        got = pass_at_k(file["Num. Samples Correct"], file["Num. Samples"], file["k"])
        possible = file["Num. Samples"] >= file["k"]
        assert np.abs(got[possible] - file["pass@k"][possible]).max() < 1e-9
        assert np.isnan(got[~possible]).all()
        assert (~possible).any()
