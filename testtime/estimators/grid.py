"""The whole grid of cells at once: what each (model, setting, budget, n, selector) scores and costs
on each problem.

Everything a cell is reported with (its mean, interval, covariance with other cells, comparison,
fitted law) is a weighted average of these columns over problems, so the grid is computed once and
resampled cheaply, accuracy and cost together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.intervals import bootstrap_weights, weighted_means
from testtime.estimators.majority import majority_at_k
from testtime.estimators.selection import best_at_k, oracle_at_k
from testtime.estimators.table import TOKENS, Pool, pools

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Prefill = Literal["once", "each"]

SELECTORS = ("mean", "majority", "oracle", "weighted:<column>", "best:<column>")
COSTS = ("thinking_tokens", "tokens", "prompt_tokens", "flops", "usd", "seconds")


@dataclass(frozen=True)
class Grid:
    """Cells by problems.

    cells: one row a cell (model, setting, budget, n, selector); problems: ids; strata: (problems,),
    the code of the benchmark each belongs to; value: (problems, cells), NaN where a cell's pool
    lacks the problem; mc_error: (cells,), standard error that Monte Carlo adds to the cell's mean,
    0 where exact.
    """

    cells: pd.DataFrame
    problems: NDArray[np.object_]
    strata: NDArray[np.int64]
    value: Floats
    mc_error: Floats
    prefill: Prefill
    _unit: dict[str, Floats]
    _pool: NDArray[np.int64]

    def cost(self, name: str) -> Floats:
        """What the cell would spend on each problem where it were deployed: (problems, cells).
        `name` is one of COSTS.

        n times the mean over the pool's samples. With prefill "once" the prompt is counted once for
        the n samples: what the others save of a cost stands in a column `prompt_flops`,
        `prompt_usd` or `prompt_seconds`. A selector on column c adds n times column `c_flops`.
        """
        n = self.cells["n"].to_numpy(dtype=np.float64)
        once = self.prefill == "once"
        if name == "prompt_tokens":
            prompt: Floats = self._of("prompt_tokens") * (1.0 if once else n)
            return prompt
        total: Floats = self._of(name) * n
        if once and name in ("flops", "usd", "seconds") and f"prompt_{name}" in self._unit:
            total = total - self._of(f"prompt_{name}") * (n - 1)
        if name == "flops":
            for column, selector in enumerate(self.cells["selector"]):
                extra = self._unit.get(selector.partition(":")[2] + "_flops")
                if ":" in selector and extra is not None:
                    total[:, column] += n[column] * extra[:, self._pool[column]]
        return total

    def bootstrap(self, resamples: int = 2000, seed: int = 0) -> Replicates:
        """Replicates from resampling whole problems within their benchmark, the same draws for
        every cell. Deterministic by seed.
        """
        weights = bootstrap_weights(len(self.problems), resamples, seed, self.strata)
        return Replicates(self, weights)

    @cached_property
    def problem_count(self) -> Floats:
        """Problems in each cell: (cells,); one that stands there twice, with half its samples each,
        counts once.
        """
        return self.counts(self.value)

    @cached_property
    def benchmarks(self) -> int:
        """How many benchmarks the problems come from."""
        return len(np.unique(self.strata))

    @cached_property
    def _identity(self) -> NDArray[np.int64]:
        """The same number for rows of one problem, from 0."""
        return np.unique(self.problems, return_inverse=True)[1].astype(np.int64)

    def counts(self, values: Floats) -> Floats:
        """Problems that each column of (problems, columns) knows: (columns,)."""
        known = np.zeros((int(self._identity.max()) + 1, values.shape[1]), dtype=bool)
        np.logical_or.at(known, self._identity, ~np.isnan(values))
        count: Floats = known.sum(axis=0).astype(np.float64)
        return count

    def deviations(self, values: Floats) -> Floats:
        """What each problem lies off the mean of its benchmark, 0 where it is not known, rows of
        one problem added up: (problems, columns) of values in the rows' order or the ids'.
        """
        known = ~np.isnan(values)
        away = np.where(known, values, 0.0)
        for stratum in np.unique(self.strata):
            rows = self.strata == stratum
            with np.errstate(invalid="ignore"):  # a column without any problem of this benchmark
                centre = away[rows].sum(axis=0) / known[rows].sum(axis=0)
            away[rows] = np.where(known[rows], away[rows] - centre, 0.0)
        problems = int(self._identity.max()) + 1
        if problems == len(values):
            return away
        together = np.zeros((problems, values.shape[1]))
        np.add.at(together, self._identity, away)
        return together

    def variance(self, values: Floats) -> Floats:
        """Variance of the mean over problems of each column of (problems, columns): (columns,). As
        resampling has it, without its noise: squares of `deviations` over rows squared.
        """
        count = (~np.isnan(values)).sum(axis=0)
        squares = (self.deviations(values) ** 2).sum(axis=0)
        result: Floats = squares / np.where(count, count, np.nan) ** 2
        return result

    def means(self, values: Floats) -> Floats:
        """Mean over problems of each column of (problems, cells): (cells,); NaN where there is
        none.
        """
        return known_mean(values, axis=0)

    def _of(self, name: str) -> Floats:
        if name not in self._unit:
            return np.full(self.value.shape, np.nan)
        return self._unit[name][:, self._pool]


@dataclass(frozen=True)
class Replicates:
    """Bootstrap replicates of a grid. weights: (resamples, problems), how often each problem was
    drawn; 0 is out-of-bag.
    """

    grid: Grid
    weights: Floats

    @cached_property
    def value(self) -> Floats:
        """In-bag means: (resamples, cells)."""
        return weighted_means(self.weights, self.grid.value)

    @cached_property
    def out_of_bag(self) -> Floats:
        """Means over the problems each resample left out: (resamples, cells); for judging what was
        chosen in-bag.
        """
        return weighted_means((self.weights == 0).astype(np.float64), self.grid.value)

    def cost(self, name: str) -> Floats:
        """Replicates of a cost, from the same draws: (resamples, cells)."""
        return weighted_means(self.weights, self.grid.cost(name))

    def only(self, chosen: NDArray[np.bool_]) -> Replicates:
        """The replicates of some of the cells; chosen: (cells,)."""
        grid = replace(
            self.grid,
            cells=self.grid.cells[chosen].reset_index(drop=True),
            value=self.grid.value[:, chosen],
            mc_error=self.grid.mc_error[chosen],
            _pool=self.grid._pool[chosen],
        )
        return Replicates(grid, self.weights)


def build(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    prefill: Prefill = "once",
    draws: int = 128,
    seed: int = 0,
) -> Grid:
    """The grid of a scores table.

    n: sample counts, None for the powers of two a pool can serve; counts above the scored samples
    of any problem of a pool give no cell there. selectors: of SELECTORS ("mean" gives the n = 1
    cell only). draws and seed: of Monte Carlo votes. Raises UserError for unknown selectors, absent
    columns, negative weights, and a table that supports no cell at all.
    """
    import pandas as pd

    groups = pools(scores)
    check_selectors(selectors, scores, groups)
    if n is not None and (not len(n) or min(n) < 1):
        raise UserError(f"n: sample counts are whole numbers from 1, got {list(n)}")
    problems = np.unique(np.concatenate([p.problems for p in groups]))
    rows: list[tuple[str, str, float, int, str]] = []
    values, errors, owner = [], [], []
    units = [_unit_costs(p) for p in groups]
    unit = {
        c: np.full((len(problems), len(groups)), np.nan)
        for c in sorted({c for u in units for c in u})
    }
    for index, pool in enumerate(groups):
        at = np.searchsorted(problems, pool.problems)
        for name, cost in units[index].items():
            unit[name][at, index] = cost
        ks = sorted(
            {int(k) for k in (n if n is not None else _powers(pool.scored)) if k <= pool.scored}
        )
        for selector in selectors:
            usable = [k for k in ks if k == 1 or selector != "mean"]
            if selector == "mean" and pool.scored and not usable:
                usable = [1]
            kind, _, column = selector.partition(":")
            if not usable or (column and np.isnan(pool.columns[column]).all()):
                # a pool without the column's values has no such cell, rather than a random choice
                continue
            if (
                kind in ("majority", "weighted")
                and pool.key.max(initial=-1) < 0
                and np.nanmax(pool.score) > 0
            ):
                continue  # right answers without a key: its votes are unknown, not lost
            value, error = selected(pool, selector, usable, draws=draws, seed=seed)
            spread = np.full((len(problems), len(usable)), np.nan)
            spread[at] = value
            values.append(spread)
            errors.append(np.sqrt((error**2).sum(axis=0)) / len(pool.problems))
            owner += [index] * len(usable)
            rows += [(pool.model, pool.setting, pool.budget, k, selector) for k in usable]
    if not rows:
        raise UserError(
            "scores table: no cell can be computed: each needs its number of scored samples on "
            "every problem, "
            f"and the pools have at least {max(p.scored for p in groups)}"
        )
    table = pd.DataFrame(rows, columns=["model", "setting", "budget", "n", "selector"])
    whole = (table["budget"].dropna() % 1 == 0).all()
    table["budget"] = table["budget"].astype("Int64" if whole else "Float64")
    return Grid(
        cells=table,
        problems=problems,
        strata=_strata(scores, problems),
        value=np.hstack(values),
        mc_error=np.concatenate(errors),
        prefill=prefill,
        _unit=unit,
        _pool=np.array(owner),
    )


def _strata(scores: pd.DataFrame, problems: NDArray[np.object_]) -> NDArray[np.int64]:
    """The code of each problem's benchmark; 0 throughout where the table names none."""
    import pandas as pd

    if "benchmark" not in scores:
        return np.zeros(len(problems), dtype=np.int64)
    named = scores.groupby(scores["problem_id"].astype(str))["benchmark"].first()
    return pd.factorize(named.reindex(problems), use_na_sentinel=False)[0].astype(np.int64)


def selected(
    pool: Pool, selector: str, ks: Sequence[int], *, draws: int = 128, seed: int = 0
) -> tuple[Floats, Floats]:
    """(value, Monte Carlo error) of a selector on a pool, each (problems, len(ks))."""
    kind, _, column = selector.partition(":")
    if kind == "mean":
        value = np.repeat(np.nanmean(pool.score, axis=1)[:, None], len(ks), axis=1)
    elif kind == "oracle":
        value = oracle_at_k(pool.score, ks)
    elif kind == "best":
        value = best_at_k(pool.score, pool.columns[column], ks)
    else:
        weights = None if kind == "majority" else vote_weights(pool, column)
        vote = majority_at_k(pool.score, pool.key, ks, weights, draws=draws, seed=seed)
        return vote.value, vote.mc_error
    return value, np.zeros_like(value)


def vote_weights(pool: Pool, column: str) -> Floats:
    """Weights of a vote from a score column, (problems, samples): log-probabilities (named
    *logprob*) as probabilities, columns of both signs as log-odds, through the sigmoid, others as
    they are.

    Only ratios within a problem count, so logarithms are taken against its largest; below e^-700 of
    that all weigh the same. Raises UserError for a column below 0 throughout that is not named
    *logprob*.
    """
    values = pool.columns[column]
    if "logprob" in column or column in pool.odds:
        log = values if "logprob" in column else -np.logaddexp(0.0, -values)
        weights: Floats = np.exp(
            np.maximum(log - np.fmax.reduce(log, axis=1, keepdims=True), -700.0)
        )
        return weights
    if np.nanmin(values, initial=0.0) < 0:
        raise UserError(
            f"selector 'weighted:{column}': weights must not be negative, and the column holds "
            f"{np.nanmin(values):g}; "
            f"use 'best:{column}', a name with 'logprob' for log-probabilities, or a column "
            f"mapped to positive numbers"
        )
    return values


def check_selectors(selectors: Sequence[str], scores: pd.DataFrame, groups: Sequence[Pool]) -> None:
    """Raises UserError for a selector that does not exist or whose column the table lacks."""
    columns = sorted({c for p in groups for c in p.columns} - {*TOKENS, "flops"})
    if not selectors:
        raise UserError(f"selectors: name at least one of {', '.join(SELECTORS)}")
    for selector in selectors:
        kind, colon, column = selector.partition(":")
        if kind not in ("mean", "majority", "oracle", "weighted", "best") or bool(colon) != (
            kind in ("weighted", "best")
        ):
            raise UserError(f"selector {selector!r} does not exist; known: {', '.join(SELECTORS)}")
        if colon and column not in columns:
            raise UserError(
                f"selector {selector!r}: the scores table has no numeric column "
                f"{column!r}{suggest(column, columns)}"
            )
        if kind in ("majority", "weighted") and "answer_key" not in scores:
            raise UserError(
                f"selector {selector!r}: votes need a column 'answer_key' with the graders' key "
                f"of each answer"
            )


def _unit_costs(pool: Pool) -> dict[str, Floats]:
    """Mean over a problem's samples of everything a sample costs: name -> (problems,)."""
    wanted = {*TOKENS, *COSTS, "prompt_usd", "prompt_seconds"}
    mean = {
        c: known_mean(v, axis=1)
        for c, v in pool.columns.items()
        if c in wanted or c.endswith("_flops")
    }
    parts = [mean[c] for c in ("thinking_tokens", "forced_tokens", "answer_tokens") if c in mean]
    if parts:
        mean["tokens"] = np.where(np.isnan(parts).all(axis=0), np.nan, np.nansum(parts, axis=0))
    return mean


def known_mean(values: Floats, axis: int) -> Floats:
    """Mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    result: Floats = np.where(known, values, 0.0).sum(axis=axis) / np.where(
        count > 0, count, np.nan
    )
    return result


def _powers(top: int) -> list[int]:
    return [1 << i for i in range(top.bit_length())]
