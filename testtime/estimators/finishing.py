"""First-finish search: n chains start together, the k that end first vote, the rest are cancelled.

Exact expectations over n-subsets of the pool: the i-th shortest of n drawn from N is the m-th
shortest of the pool with probability C(m - 1, i - 1) C(N - m, n - i) / C(N, n). The vote itself is
the selector `shortest:k`; `longest:k`, which needs all n to end, is beside it for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError
from testtime.estimators.cells import summary
from testtime.estimators.grid import build
from testtime.estimators.table import path_tokens, pools
from testtime.grammar import selector

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def order_weights(size: int, n: int, i: int) -> Floats:
    """P(the i-th smallest of n drawn from `size` is the m-th smallest of all), m = 1 .. size."""
    from scipy.special import gammaln

    m = np.arange(1, size + 1, dtype=np.float64)

    def log_comb(a: Floats, b: float) -> Floats:
        with np.errstate(invalid="ignore"):
            value = gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)
        return np.where(a >= b, value, -np.inf)

    total = log_comb(np.array([float(size)]), n)
    weight: Floats = np.exp(log_comb(m - 1, i - 1) + log_comb(size - m, n - i) - total)
    return weight


def first_finish(
    scores: pd.DataFrame,
    k: Sequence[int] = (1,),
    n: Sequence[int] | None = None,
    *,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Votes of the k shortest and the k longest of n chains, beside the vote of all n.

    Columns: model, setting, budget, n, selector, value, lo, hi, problems, mc_error;
    counted_tokens, those of the chains that vote; tokens, truly generated until the last of them
    ends (the others are cancelled then); latency, tokens until then. All are means a problem of
    exact expectations (value: see mc_error). Raises UserError for tables without lengths.
    """
    groups = pools(scores)
    if all(np.isnan(path_tokens(p)).all() for p in groups):
        raise UserError("first finish: needs a column 'thinking_tokens' or 'answer_tokens'")
    names = ["majority", *(f"{kind}:{i}" for kind in ("shortest", "longest") for i in k)]
    grid = build(scores, n, names, seed=seed)
    table = summary(grid.bootstrap(1), level)
    budgets = grid.cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    counts = grid.cells["n"].to_numpy()
    costs = np.full((len(table), 3), np.nan)
    for pool in groups:
        same = (grid.cells["model"] == pool.model) & (grid.cells["setting"] == pool.setting)
        same &= (budgets == pool.budget) | (np.isnan(budgets) & np.isnan(pool.budget))
        drawn = np.where(np.isnan(pool.score), np.nan, path_tokens(pool))
        path = [np.sort(x[~np.isnan(x)]) for x in drawn]
        for row in np.flatnonzero(same):
            count, name = int(counts[row]), selector(str(table["selector"].iloc[row]))
            voters = min(int(name.numbers[0]) if name.numbers else count, count)
            costs[row] = np.mean([_expected(x, count, voters, name.kind) for x in path], axis=0)
    table["counted_tokens"], table["tokens"], table["latency"] = costs.T
    identity = ["model", "setting", "budget", "n", "selector", "value", "lo", "hi", "problems"]
    return table[[*identity, "counted_tokens", "tokens", "latency", "mc_error"]]


def _expected(path: Floats, n: int, k: int, kind: str) -> tuple[float, float, float]:
    """(counted, generated, latency) in tokens of one problem; path: sorted lengths."""
    if len(path) < n:
        return (np.nan, np.nan, np.nan)
    length = _all_orders(len(path), n) @ path
    if kind == "longest":
        return float(length[n - k :].sum()), float(length.sum()), float(length[-1])
    counted, last = float(length[:k].sum()), float(length[k - 1])
    return counted, counted + (n - k) * last, last


@lru_cache(maxsize=64)
def _all_orders(size: int, n: int) -> Floats:
    """`order_weights` of every i: (n, size)."""
    return np.array([order_weights(size, n, i) for i in range(1, n + 1)])
