"""The best split between solving and verifying, on pools where it is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from testtime.estimators.grid import Replicates, build
from testtime.estimators.splits import best_splits, exponents

TIMES = (1, 2, 4, 8)


@cache
def pool(
    noise: float,
    problems: int = 60,
    samples: int = 8,
    seed: int = 0,
    times: tuple[int, ...] = TIMES,
) -> Replicates:
    """Three answers a problem, the right one no likelier than chance; verifications that are right
    on average, each under noise of its own. A sample costs 1, a verification .5.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for problem in range(problems):
        for sample in range(samples):
            key = int(rng.integers(3))
            said = (0.6 if key == 0 else 0.4) + noise * rng.standard_normal(max(TIMES))
            means = {f"v_{t}": float(np.clip(said[:t].mean(), 0, 1)) for t in TIMES}
            flops = {f"v_{t}_flops": 0.5 * t for t in TIMES}
            rows.append((f"p{problem}", sample, float(key == 0), str(key), 1.0, means | flops))
    names = ["problem_id", "sample", "score", "answer_key", "flops", "more"]
    table = pd.DataFrame(rows, columns=names)
    table = table.drop(columns="more").join(pd.DataFrame(table["more"].tolist()))
    return build(table, None, [f"weighted:v_{t}" for t in times]).bootstrap(100)


def test_no_cheaper_cell_is_as_good_as_a_best_split() -> None:
    sample = pool(0.3)
    best, grid = best_splits(sample, "v"), sample.grid
    assert best["flops"].is_monotonic_increasing and best["value"].is_monotonic_increasing
    value, cost = grid.means(grid.value), grid.means(grid.cost("flops"))
    for row in best.itertuples():
        assert row.flops == pytest.approx(row.samples * (1 + 0.5 * row.verifications))
        assert row.value > value[cost < row.flops - 1e-9].max(initial=0)


def test_where_once_says_all_verifying_does_not_grow() -> None:
    solving, verifying = exponents(pool(0.0), "v") or pytest.fail("too few")
    assert verifying.value == pytest.approx(0, abs=1e-9) and solving.value == pytest.approx(1)
    assert solving.lo <= solving.value <= solving.hi


def test_where_verdicts_are_noisy_verifying_grows_too() -> None:
    _, verifying = exponents(pool(0.5, problems=200), "v") or pytest.fail("too few")
    assert verifying.value > 0.1


def test_without_verifications_there_is_nothing_to_split() -> None:
    assert best_splits(pool(0.3), "other").empty
    assert exponents(pool(0.3), "other") is None


def test_of_one_number_of_verifications_nobody_knows_how_they_grow() -> None:
    sample = pool(0.3, times=(4,))
    assert len(best_splits(sample, "v")) >= 3 and exponents(sample, "v") is None
