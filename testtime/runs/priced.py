"""A run's tables under a price list and rates: its cells, as its config asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from testtime.compute.costs import with_costs, with_planner
from testtime.config.schema import Config, Prices, Rates
from testtime.estimators.cells import cells
from testtime.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd


def priced_tables(
    table: pd.DataFrame, config: Config[Any], prices: Prices | None, rates: Rates | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores with dollars and seconds (of those that are given), and the config's cells of
    them.
    """
    if "planner_tokens" in table:
        ref = config.thinking.planned_by()
        table = with_planner(table, ref and ref.price, ref and ref.rates)
    if prices or rates:
        table = with_costs(table, prices=prices, rates=rates)
    counts, resamples = config.sample_counts(), config.resamples
    kept, seed = graded(table), config.seed
    return table, cells(kept, counts, config.selectors, resamples=resamples, seed=seed)


def ungraded(table: pd.DataFrame) -> list[str]:
    """Problems whose answers were drawn and none of them has a score, because its gold or grader
    fails: unknown, not wrong, and no reason to empty every cell.
    """
    drawn = table["verdict"].isin(["error", "timeout"]) if "verdict" in table else None
    if drawn is None:
        return []
    known = table["score"].notna().groupby(table["problem_id"]).any()
    failed = drawn.groupby(table["problem_id"]).any()
    return [str(name) for name in known.index[~known & failed]]


def graded(table: pd.DataFrame) -> pd.DataFrame:
    """The scores that cells are made of: without the problems that are `ungraded`."""
    lacking = ungraded(table)
    return table[~table["problem_id"].isin(lacking)] if lacking else table


def priced(run: Run, prices: Prices | None, rates: Rates | None) -> Run:
    """The run with dollars and seconds of another price list or other rates in both tables."""
    if not prices and not rates:
        return run
    config = run.config
    scores, grid = priced_tables(run.scores, config, prices, rates)
    given = {name: value for name, value in (("price", prices), ("rates", rates)) if value}
    models = [ref.model_copy(update=given) for ref in config.model]
    told = config.model_copy(update={"model": models}).model_dump(mode="json")
    return replace(run, manifest=run.manifest.changed(config=told), scores=scores, cells=grid)
