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

from testtime.errors import UserError
from testtime.estimators import selectors
from testtime.estimators.intervals import bootstrap_weights, known_mean, weighted_means
from testtime.estimators.table import TOKENS, Pool, pools
from testtime.grammar import selector

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Prefill = Literal["once", "each"]

COSTS = ("thinking_tokens", "tokens", "prompt_tokens", "flops", "usd", "seconds")
USES = ("tool_calls", "tool_failures", "tool_seconds", "fallbacks")  # counted as costs are


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
        `name` is one of COSTS or `uses`, or n, the samples themselves.

        n times the mean over the pool's samples. With prefill "once" the prompt is counted once for
        the n samples: what the others save of a cost stands in a column `prompt_flops`,
        `prompt_usd` or `prompt_seconds`. A selector on column c adds n times column `c_flops`.
        """
        n = self.cells["n"].to_numpy(dtype=np.float64)
        if name == "n":
            return np.broadcast_to(n, self.value.shape)
        once = self.prefill == "once"
        if name == "prompt_tokens":
            prompt: Floats = self._of("prompt_tokens") * (1.0 if once else n)
            return prompt
        total: Floats = self._of(name) * n
        if once and name in ("flops", "usd", "seconds") and f"prompt_{name}" in self._unit:
            total = total - self._of(f"prompt_{name}") * (n - 1)
        verifiers = {c for c in self._unit if c.endswith("_flops")} - {"prompt_flops"}
        if name == "flops" and verifiers:
            for column, text in enumerate(self.cells["selector"]):
                extra = self._unit.get(selector(text).column + "_flops")
                if extra is not None:
                    total[:, column] += n[column] * extra[:, self._pool[column]]
        return total

    @property
    def uses(self) -> list[str]:
        """Which of USES the table counts."""
        return [name for name in USES if name in self._unit]

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
    def deployable(self) -> NDArray[np.bool_]:
        """Cells that somebody could deploy, which an oracle's are not: (cells,)."""
        return np.asarray(self.cells["selector"] != "oracle", dtype=bool)

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
    chosen: Sequence[str],
    *,
    prefill: Prefill = "once",
    draws: int = 128,
    seed: int = 0,
) -> Grid:
    """The grid of a scores table.

    n: sample counts, None for the powers of two a pool can serve; counts above the scored samples
    of any problem of a pool give no cell there. chosen: selectors ("mean" gives the n = 1 cell
    only). draws and seed: of Monte Carlo votes. Raises UserError for unknown selectors, absent
    columns, negative weights, and a table that supports no cell at all.
    """
    groups = pools(scores)
    selectors.check(chosen, scores, groups)
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
        for text in chosen:
            usable = selectors.sizes(pool, text, ks)
            if not usable or not selectors.supports(pool, text):
                continue  # no such cell, rather than a random choice
            value, error = selectors.selected(pool, text, usable, draws=draws, seed=seed)
            spread = np.full((len(problems), len(usable)), np.nan)
            spread[at] = value
            values.append(spread)
            errors.append(np.sqrt((error**2).sum(axis=0)) / len(pool.problems))
            owner += [index] * len(usable)
            rows += [(pool.model, pool.setting, pool.budget, k, text) for k in usable]
    if not rows:
        raise UserError(
            "scores table: no cell can be computed: each needs its number of scored samples on "
            "every problem, "
            f"and the pools have at least {max(p.scored for p in groups)}"
        )
    return Grid(
        cells=cell_table(rows),
        problems=problems,
        strata=strata_of(scores, problems),
        value=np.hstack(values),
        mc_error=np.concatenate(errors),
        prefill=prefill,
        _unit=unit,
        _pool=np.array(owner),
    )


def strata_of(scores: pd.DataFrame, problems: NDArray[np.object_]) -> NDArray[np.int64]:
    """The code of each problem's benchmark; 0 throughout where the table names none."""
    import pandas as pd

    if "benchmark" not in scores:
        return np.zeros(len(problems), dtype=np.int64)
    named = scores.groupby(scores["problem_id"].astype(str))["benchmark"].first()
    return pd.factorize(named.reindex(problems), use_na_sentinel=False)[0].astype(np.int64)


def cell_table(rows: Sequence[tuple[str, str, float, int, str]]) -> pd.DataFrame:
    """Cells from (model, setting, budget, n, selector); budgets nullable, whole where all are."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=["model", "setting", "budget", "n", "selector"])
    whole = (table["budget"].dropna() % 1 == 0).all()
    table["budget"] = table["budget"].astype("Int64" if whole else "Float64")
    return table


def _unit_costs(pool: Pool) -> dict[str, Floats]:
    """Mean over a problem's samples of everything a sample costs: name -> (problems,)."""
    wanted = {*TOKENS, *COSTS, *USES, "prompt_usd", "prompt_seconds"}
    mean = {
        c: known_mean(v, axis=1)
        for c, v in pool.columns.items()
        if c in wanted or c.endswith("_flops")
    }
    parts = [mean[c] for c in ("thinking_tokens", "forced_tokens", "answer_tokens") if c in mean]
    if parts:
        mean["tokens"] = np.where(np.isnan(parts).all(axis=0), np.nan, np.nansum(parts, axis=0))
    return mean


def _powers(top: int) -> list[int]:
    return [1 << i for i in range(top.bit_length())]
