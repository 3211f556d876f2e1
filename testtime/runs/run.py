"""A run directory as tables: what analysis, reports and people read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.compute.costs import with_costs
from testtime.config.schema import Config, Prices, Rates
from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.models.delimiters import Format
from testtime.runs.prepare import cell_of, recipe
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store
from testtime.strategies.base import Amounts, Strategy
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("scores", "cells")


@dataclass(frozen=True)
class Run:
    """A run directory as tables (pandas): `scores` and `cells` as DESIGN describes them."""

    path: Path
    manifest: Manifest
    scores: pd.DataFrame
    cells: pd.DataFrame

    @property
    def config(self) -> Config[Strategy]:
        return parse(self.manifest.config, str(self.path / "run.json"))


def load(path: str | Path) -> Run:
    """The tables of a run directory. Raises UserError when there is no run, or one without tables
    yet.
    """
    store = Store(path)
    manifest = store.manifest()
    names = [f"tables/{name}.parquet" for name in TABLES]
    if not all(map(store.has, names)):
        raise UserError(
            f"{path}: this run has no tables yet; finish it with `testtime run`, or "
            f"`testtime grade` what there is"
        )
    return Run(store.root, manifest, *map(store.frame, names))


def form_of(manifest: Manifest) -> Format:
    """How the model of a drawn run marks its thinking."""
    stored = manifest.thinking_format.items()
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored}
    return Format(**parts)


def recipe_of(config: Config[Strategy], manifest: Manifest) -> tuple[str, dict[str, Amounts]]:
    """The recipe of the attempts that a run directory's config asks for, and their amounts by
    cell.
    """
    form = form_of(manifest)
    return recipe(config, form), {cell_of(one): one for one in config.thinking.cells(form)}


def priced_tables(
    table: pd.DataFrame, config: Config[Any], prices: Prices | None, rates: Rates | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores with dollars and seconds (of those that are given), and the config's cells of
    them.
    """
    if prices or rates:
        table = with_costs(table, prices=prices, rates=rates)
    graded = table[~table["problem_id"].isin(ungraded(table))]
    counts, resamples = config.sample_counts(), config.resamples
    return table, cells(graded, counts, config.selectors, resamples=resamples, seed=config.seed)


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
