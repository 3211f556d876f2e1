"""Think longer, sample more, or take another model: every comparison of one or several runs, as
tables and in words.

One grid of cells and one set of bootstrap draws serve all of it, so that whatever is compared is
paired. The report states each finding with its interval and says where the data decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.compare.text import UNITS, absences
from testtime.compute.costs import with_costs
from testtime.config.schema import Prices, Rates
from testtime.errors import UserError
from testtime.estimators import binned, doubling, frontier, models
from testtime.estimators.cells import null_bounds, summary
from testtime.estimators.grid import Prefill, Replicates, build
from testtime.estimators.latency import latency
from testtime.estimators.table import GROUP, normalise, read_table
from testtime.storage.files import exists, place

if TYPE_CHECKING:
    import pandas as pd

    from testtime.style import Chart

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. axis: the compute axis; problems: those all runs share; level: of every
    interval.

    tables: cells, frontier, frontiers (every model's own), recommended, doublings, crossovers,
    differences, catching_up, and by_difficulty_frontier and by_difficulty_crossovers (leading
    columns of which name model and bin); only those that the runs support. notes: what was left
    out, and why.
    """

    axis: str
    problems: int
    level: float
    tables: dict[str, pd.DataFrame]
    notes: list[str] = field(default_factory=list)

    def report(self) -> str:
        """The findings as text for a terminal."""
        from testtime.compare.text import describe

        return describe(self)

    def figure(self, path: str | Path | None = None) -> Chart:
        """Every model's frontier, and where longer beats more; also written to a .png, .svg or .pdf
        file.

        Raises UserError for another suffix, or where it cannot be written.
        """
        from testtime import style
        from testtime.compare.figure import chart
        from testtime.laws.figures import save

        with style.context():
            drawn = chart(self.tables, self.axis)
            if path is not None:
                save(drawn.figure, Path(path))
        return drawn

    def to_json(self) -> str:
        """Everything as JSON: axis, problems, level, notes, and each table as a list of rows."""
        rows = {
            name: json.loads(table.to_json(orient="records")) for name, table in self.tables.items()
        }
        facts = {
            "axis": self.axis,
            "problems": self.problems,
            "level": self.level,
            "notes": self.notes,
        }
        return json.dumps({**facts, "tables": rows})

    def write(self, folder: str | Path) -> list[Path]:
        """Write each table as CSV, the report as compare.txt and the figure as compare.png, .svg
        and .pdf into `folder`; returns the paths.
        """
        from testtime import style
        from testtime.laws.figures import save

        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
            paths = []
            for name, table in self.tables.items():
                table.to_csv(target / f"{name}.csv", index=False)
                paths.append(target / f"{name}.csv")
            (target / "compare.txt").write_text(self.report() + "\n", encoding="utf-8")
            with style.context():
                drawn = self.figure().figure
                for kind in ("png", "svg", "pdf"):
                    save(drawn, target / f"compare.{kind}")
        except OSError as error:
            raise UserError(
                f"{target}: cannot be written ({error.strerror}); give another folder"
            ) from None
        return [*paths, *(target / f"compare.{kind}" for kind in ("txt", "png", "svg", "pdf"))]


def read(
    paths: Sequence[str | Path], prices: Prices | None = None, rates: Rates | None = None
) -> dict[str, pd.DataFrame]:
    """Runs to compare, by name: run directories, or scores tables as CSV or Parquet.

    prices and rates add dollars and seconds. Raises UserError for what is neither a run nor a
    table, and for one given twice.
    """
    found: dict[str, pd.DataFrame] = {}
    refused: list[UserError] = []
    for given in map(place, paths):
        if exists(given / "run.json"):
            from testtime.runs.run import load

            run = load(given)
            table, name = run.scores, given.resolve().name
        else:
            table, name = read_table(given), given.stem
        if name in found:
            name = f"{given.resolve().parent.name}/{name}"
        if name in found:
            raise UserError(f"{given}: given twice; give each run once")
        found[name] = table
        if prices or rates:
            try:
                found[name] = with_costs(table, prices=prices, rates=rates)
            # a table without tokens beside others that have them is compared without costs
            except UserError as error:
                refused.append(error)
    if found and len(refused) == len(found):
        raise refused[0]
    return found


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

    axis: tokens, flops, usd, seconds (None: flops where every row has them, else tokens). n: sample
    counts (None: powers of two). selectors: as in a config (None: majority where answers can vote,
    and the oracle as ceiling). bins: of difficulty, by each model's own pass rate on other samples
    than those scored; 0 for none; difficulty: a column that states it instead. tolerance: "cheapest
    within" this of the best. limits: cost name or "latency" -> the most a problem may cost. Raises
    UserError for runs without common problems, unknown selectors or axes, and values out of range,
    and fewer than two problems.
    """
    import pandas as pd

    notes: list[str] = []
    scores = join(runs, notes)
    axis = axis or ("flops" if "flops" in scores and scores["flops"].notna().all() else "tokens")
    chosen = ["mean", *(s for s in (selectors or _selectors(scores)) if s != "mean")]
    if not 0 <= tolerance < 1 or bins < 0 or not 0 < level < 1:
        raise UserError(
            "compare: tolerance is a share from 0 to below 1, bins is 0 or more, level lies "
            "between 0 and 1"
        )
    every = build(scores, n, chosen, prefill=prefill, seed=seed).bootstrap(resamples, seed)
    if scores["score"].isna().any():  # a model without cells must not lose in silence
        counts = [1] if chosen == ["mean"] else n and sorted({1, *n})
        notes += absences(null_bounds(scores, counts, ["oracle"]))
    longest = latency(scores, every.grid)
    tables = {
        "cells": summary(every, level, longest),
        "differences": models.differences(every, axis, level),
    }
    known = _known(every, axis, notes)
    sample, path = every.only(known), None if longest is None else longest[known]
    priced = sample.grid.cells["model"].unique().tolist()
    tables["frontier"] = frontier.frontier(sample, axis, None, path, level)
    each = [frontier.path(sample, axis, level, name) for name in priced]
    tables["frontiers"] = pd.concat(each, ignore_index=True)
    tables["recommended"] = frontier.recommend(sample, axis, tolerance, limits, path, level)
    tables["doublings"] = doubling.doublings(sample, axis, level)
    tables["crossovers"] = doubling.crossovers(sample, axis, level)
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
        tables["by_difficulty_crossovers"] = _stacked(
            parts, lambda part: doubling.crossovers(part, axis, level)
        )
    supported = {name: table for name, table in tables.items() if len(table)}
    return Comparison(axis, len(sample.grid.problems), level, supported, notes)


def join(runs: Mapping[str, pd.DataFrame], notes: list[str]) -> pd.DataFrame:
    """The runs' scores as one table, on the problems that every model has.

    Where two runs hold the same model, setting and budget, the run's name is added to the model's.
    `notes` is told how many problems were left out. Raises UserError for fewer than two problems.
    """
    import pandas as pd

    if not runs:
        raise UserError("compare: give at least one run")
    tables = {name: normalise(table) for name, table in runs.items()}
    pools = [
        set(map(tuple, t[GROUP].fillna(-1).drop_duplicates().to_numpy().tolist()))
        for t in tables.values()
    ]
    if len(set().union(*pools)) < sum(map(len, pools)):
        tables = {name: t.assign(model=t["model"] + f" ({name})") for name, t in tables.items()}
    scores = pd.concat(tables.values(), ignore_index=True)
    held = scores.groupby("model")["problem_id"].agg(set)
    common = set.intersection(*held)
    if not common:
        raise UserError(
            f"compare: {', '.join(held.index)} have no problem in common, so nothing can be "
            f"paired; "
            "give runs of the same benchmark"
        )
    if len(common) < 2:
        raise UserError(
            "compare: only 1 problem; intervals are over problems, and settings are judged on "
            "others than those they "
            "were chosen on, so it needs at least 2"
        )
    left_out = scores["problem_id"].nunique() - len(common)
    if left_out:
        notes.append(f"{left_out} problems that not every model has were left out")
        scores = scores[scores["problem_id"].isin(common)]
    return scores


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
            f"{', '.join(lacking)}: {UNITS[axis]} are not known, so only accuracies and paired "
            f"differences are compared"
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
            found = binned.by_pass_rate(
                table, n, selectors, bins=bins, resamples=resamples, seed=seed, prefill=prefill
            )
        except UserError as error:
            notes.append(f"{model} has no difficulty bins: {error}")
            continue
        parts |= {(str(model), b): part for b, part in found.items()}
    return parts


def _stacked(
    parts: Mapping[tuple[str, str], Replicates], table: Callable[[Replicates], pd.DataFrame]
) -> pd.DataFrame:
    import pandas as pd

    pieces = []
    for (model, label), part in parts.items():
        piece = table(part)
        piece["model"] = piece.get("model", model)
        piece.insert(0, "difficulty", label)
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()
