"""What is compared: runs and tables priced, joined on the problems that all models share.

Runs of several benchmarks are pooled: problems count alike, and each benchmark keeps its number of
them when they are resampled. A column `benchmark` names it; without one, runs that share no problem
are taken for different ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from testtime.compute.costs import with_costs
from testtime.config.schema import Prices, Rates
from testtime.errors import UserError
from testtime.estimators.table import GROUP, normalise
from testtime.runs.sources import Source

if TYPE_CHECKING:
    import pandas as pd


def priced(
    sources: Sequence[Source], prices: Prices | None = None, rates: Rates | None = None
) -> dict[str, pd.DataFrame]:
    """The scores of some sources by name, with the dollars and seconds of prices and rates. Raises
    UserError where none of them can be priced.
    """
    tables = {source.name: source.scores for source in sources}
    if not (prices or rates):
        return tables
    refused: list[UserError] = []
    for name, table in tables.items():
        try:
            tables[name] = with_costs(table, prices=prices, rates=rates)
        # a table without tokens beside others that have them is compared without costs
        except UserError as error:
            refused.append(error)
    if tables and len(refused) == len(tables):
        raise refused[0]
    return tables


def selectors(sources: Sequence[Source]) -> list[str] | None:
    """The selectors that the runs among some sources were given; None where there is no run."""
    given = [selector for source in sources for selector in source.selectors]
    return list(dict.fromkeys(given)) or None


def join(runs: Mapping[str, pd.DataFrame], notes: list[str]) -> pd.DataFrame:
    """The runs' scores as one table, on the problems that every model has.

    With several benchmarks a column `benchmark` names each problem's, and ids begin with it. Where
    two runs hold the same model, setting and budget of one benchmark, the run's name is added to
    the model's. `notes` is told what was pooled and how many problems were left out. Raises
    UserError for fewer than two problems.
    """
    import pandas as pd

    if not runs:
        raise UserError("compare: give at least one run")
    tables = _by_benchmark({name: normalise(table) for name, table in runs.items()})
    held = [
        set(map(tuple, t[[*GROUP, "benchmark"]].fillna(-1).drop_duplicates().to_numpy().tolist()))
        for t in tables.values()
    ]
    if len(set().union(*held)) < sum(map(len, held)):
        tables = {name: t.assign(model=t["model"] + f" ({name})") for name, t in tables.items()}
    scores = pd.concat(tables.values(), ignore_index=True)
    by_model = scores.groupby("model")["problem_id"].agg(set)
    common = set.intersection(*by_model)
    if not common:
        raise UserError(
            f"compare: {', '.join(by_model.index)} have no problem in common, so nothing can be "
            f"paired; give runs of the same benchmark"
        )
    if len(common) < 2:
        raise UserError(
            "compare: only 1 problem; intervals are over problems, and settings are judged on "
            "others than those they were chosen on, so it needs at least 2"
        )
    left_out = scores["problem_id"].nunique() - len(common)
    if left_out:
        notes.append(f"{left_out} problems that not every model has were left out")
        scores = scores[scores["problem_id"].isin(common)]
    counts = scores.groupby("benchmark", sort=False)["problem_id"].nunique()
    if len(counts) < 2:
        return scores.drop(columns="benchmark")
    pooled = ", ".join(f"{name} ({count} problems)" for name, count in counts.items())
    notes.append(f"pooled: {pooled}; problems count alike, each benchmark is resampled by itself")
    return scores


def _by_benchmark(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with a column `benchmark` and, where there are several, ids that begin with it.

    A table without the column belongs to the benchmark whose problems it shares, else it is one of
    its own, named after its run.
    """
    import pandas as pd

    known: dict[str, set[str]] = {}
    named = {}
    for table in tables.values():
        if "benchmark" in table:
            for label, part in table.groupby(table["benchmark"].astype(str))["problem_id"]:
                known.setdefault(str(label), set()).update(part)
    for name, table in tables.items():
        if "benchmark" in table:
            named[name] = table.assign(benchmark=table["benchmark"].astype(str))
            continue
        problems = set(table["problem_id"])
        shared = [label for label, ids in known.items() if ids & problems]
        label = shared[0] if shared else name
        known.setdefault(label, set()).update(problems)
        for other in shared[1:]:  # the table joins what seemed to be two
            known[label] |= known.pop(other)
            for run, given in named.items():
                named[run] = given.assign(benchmark=given["benchmark"].replace(other, label))
        named[name] = table.assign(benchmark=label)
    labels = pd.unique(pd.concat([table["benchmark"] for table in named.values()]))
    if len(labels) < 2:
        return named
    return {
        name: table.assign(problem_id=table["benchmark"] + "/" + table["problem_id"])
        for name, table in named.items()
    }
