"""Think longer, sample more, or take another model: every comparison of one or several runs, as
tables.

One grid of cells and one set of bootstrap draws serve all of it, so that whatever is compared is
paired. `text` puts it into words, `testtime.report.comparison` draws and writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime import labels
from testtime.compare.inputs import join
from testtime.compare.result import Comparison
from testtime.compare.words import absences
from testtime.errors import UserError
from testtime.estimators import binned, crossover, doubling, equal_cost, frontier, models
from testtime.estimators.cells import null_bounds, summary
from testtime.estimators.grid import Prefill, Replicates, build
from testtime.estimators.latency import latency

if TYPE_CHECKING:
    import pandas as pd

Flags = NDArray[np.bool_]


def compare(
    runs: Mapping[str, pd.DataFrame],
    *,
    axis: str | None = None,
    n: Sequence[int] | None = None,
    selectors: Sequence[str] | None = None,
    bins: int = 3,
    difficulty: str | None = None,
    tolerance: float = 0.01,
    limits: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    prefill: Prefill = "once",
) -> Comparison:
    """Compare the scores tables of one or several runs (name -> table) on the problems they share.

    axis: tokens, flops, usd, seconds or n, the samples drawn (None: flops where every row has them,
    else the first of these that is known). n: sample counts (None: powers of two). selectors: as in
    a config (None: majority where answers can vote, and the oracle as ceiling). bins: of
    difficulty, by each model's own pass rate on other samples than those scored; 0 for none;
    difficulty: a column that states it instead. tolerance: "cheapest within" this of the best.
    limits: cost name or "latency" -> the most a problem may cost. Raises UserError for runs without
    common problems, unknown selectors or axes, and values out of range, and fewer than two
    problems.
    """
    import pandas as pd

    notes: list[str] = []
    scores = join(runs, notes)
    chosen = ["mean", *(s for s in (selectors or _selectors(scores)) if s != "mean")]
    if not 0 <= tolerance < 1 or bins < 0 or not 0 < level < 1:
        raise UserError(
            "compare: tolerance is a share from 0 to below 1, bins is 0 or more, level lies "
            "between 0 and 1"
        )
    every = build(scores, n, chosen, prefill=prefill, seed=seed).bootstrap(resamples, seed)
    every = _everywhere(every, notes)
    axis = axis or _axis(scores, every, notes)
    if scores["score"].isna().any():  # a model without cells must not lose in silence
        counts = [1] if chosen == ["mean"] else n and sorted({1, *n})
        notes += absences(null_bounds(scores, counts, ["oracle"]))
    longest = latency(scores, every.grid)
    tables = {
        "cells": summary(every, level, longest),
        "differences": models.differences(every, axis, level),
        "selectors": models.selector_differences(every, level),
    }
    if every.grid.benchmarks > 1:
        tables["by_benchmark"] = _one_by_one(scores, every, level)
    known = _known(every, axis, notes)
    sample, path = every.only(known), None if longest is None else longest[known]
    priced = sample.grid.cells["model"].unique().tolist()
    tables["frontier"] = frontier.frontier(sample, axis, None, path, level)
    each = [frontier.path(sample, axis, level, name) for name in priced]
    tables["frontiers"] = pd.concat(each, ignore_index=True)
    tables["recommended"] = frontier.recommend(sample, axis, tolerance, limits, path, level)
    if axis != "n":  # where samples are what is counted, longer ones cost no more
        tables["doublings"] = doubling.doublings(sample, axis, level)
        tables["crossovers"] = crossover.crossovers(sample, axis, level)
        tables["equal_cost"] = equal_cost.equal_cost(
            scores[scores["model"].isin(priced)],
            chosen,
            axis,
            prefill=prefill,
            resamples=resamples,
            seed=seed,
            level=level,
        )
    if len(priced) > 1:
        tables["catching_up"] = models.catching_up(sample, axis, level)
    if bins or difficulty:
        rows = scores[scores["model"].isin(priced)]
        parts = _bins(rows, sample, n, chosen, bins, difficulty, resamples, seed, prefill, notes)
        parts = {name: part.only(_costed(part, axis)) for name, part in parts.items()}
        parts = {name: part for name, part in parts.items() if len(part.grid.cells)}
        tables["by_difficulty_frontier"] = _stacked(
            parts, lambda part: frontier.frontier(part, axis, level=level)
        )
        tables["by_difficulty_differences"] = _stacked(
            parts, lambda part: models.differences(part, axis, level, tables=len(parts))
        )
        if axis != "n":
            tables["by_difficulty_crossovers"] = _stacked(
                parts, lambda part: crossover.crossovers(part, axis, level, tables=len(parts))
            )
    supported = {name: table for name, table in tables.items() if len(table)}
    return Comparison(axis, len(sample.grid.problems), level, tolerance, supported, notes)


def _axis(scores: pd.DataFrame, sample: Replicates, notes: list[str]) -> str:
    """The axis that nobody chose; `notes` is told where all that can be counted is samples."""
    if "flops" in scores and scores["flops"].notna().all():
        return "flops"
    for axis in ("tokens", "usd", "seconds"):
        if _costed(sample, axis).any():
            return axis
    notes.append("no tokens, FLOPs, dollars or seconds are known: compute is counted in samples")
    return "n"


def _everywhere(sample: Replicates, notes: list[str]) -> Replicates:
    """Without the cells that lack a benchmark altogether, which `notes` is told."""
    grid = sample.grid
    known = ~np.isnan(grid.value)
    parts = [known[grid.strata == stratum].any(axis=0) for stratum in np.unique(grid.strata)]
    whole = np.all(parts, axis=0)
    if whole.all():
        return sample
    notes.append(f"{(~whole).sum()} cells that not every benchmark has were left out")
    return sample.only(whole)


def _one_by_one(scores: pd.DataFrame, sample: Replicates, level: float) -> pd.DataFrame:
    """The cells on each benchmark alone, named in a leading column."""
    named = scores.drop_duplicates("problem_id").set_index("problem_id")["benchmark"]
    labels = named.reindex(sample.grid.problems).to_numpy()
    return _stacked(
        {("", b): binned.part_of(sample.grid, sample.weights, labels == b) for b in named.unique()},
        lambda part: summary(part, level),
        "benchmark",
    )


def _known(sample: Replicates, axis: str, notes: list[str]) -> Flags:
    """Whether each cell's cost is known: (cells,). `notes` is told which models are left out of
    what needs it.
    """
    known = _costed(sample, axis)
    lacking = [
        str(model) if not known[mine].any() else f"some settings of {model}"
        for model, mine in sample.grid.cells.groupby("model", sort=False).indices.items()
        if not known[mine].all()
    ]
    if lacking:
        notes.append(
            f"{', '.join(lacking)}: {labels.axis(axis).unit} are not known, so only accuracies and "
            f"paired differences are compared"
        )
    return known


def _costed(sample: Replicates, axis: str) -> Flags:
    return ~np.isnan(sample.grid.means(sample.grid.cost(axis)))


def _selectors(scores: pd.DataFrame) -> list[str]:
    votes = "answer_key" in scores and bool(scores["answer_key"].notna().any())
    return ["majority", "oracle"] if votes else ["oracle"]


def _bins(
    scores: pd.DataFrame,
    sample: Replicates,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    bins: int,
    difficulty: str | None,
    resamples: int,
    seed: int,
    prefill: Prefill,
    notes: list[str],
) -> dict[tuple[str, str], Replicates]:
    """(model, bin) -> replicates; a model that cannot be binned is noted and left out."""
    if difficulty:
        return {
            ("all", b): part for b, part in binned.by_column(sample, scores, difficulty).items()
        }
    parts: dict[tuple[str, str], Replicates] = {}
    for model, table in scores.groupby("model", sort=True):
        try:
            binned_parts = binned.by_pass_rate(
                table, n, selectors, bins=bins, resamples=resamples, seed=seed, prefill=prefill
            )
        except UserError as error:
            notes.append(f"{model} has no difficulty bins: {error}")
            continue
        parts |= {(str(model), b): part for b, part in binned_parts.items()}
    return parts


def _stacked(
    parts: Mapping[tuple[str, str], Replicates],
    table: Callable[[Replicates], pd.DataFrame],
    column: str = "difficulty",
) -> pd.DataFrame:
    import pandas as pd

    pieces = []
    for (model, label), part in parts.items():
        piece = table(part)
        piece["model"] = piece.get("model", model)
        piece.insert(0, column, label)
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()
