"""What a doubling buys: every step along budgets, effort levels or sample counts, from two points
on.

A law needs many points and may be refused; a step needs two. Its gain is a paired difference, and
gain per doubling of the tokens really spent makes steps of different size comparable. Effort levels
(`setting` without a budget) are a curve like budgets are, in the order of what was really thought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.grid import Grid, build
from testtime.estimators.intervals import DIFFERENCE, Reach, mean_interval
from testtime.estimators.paired import together
from testtime.estimators.table import GROUP, normalise, numbered_through
from testtime.grammar import selector as parsed

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
LEAST = 0.25  # doublings: below it a gain a doubling would be extrapolated fourfold and more
LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # where tokens are unknown


@dataclass(frozen=True, slots=True)
class _Curve:
    """Cells of the grid, in order; labels: how each is called."""

    along: str
    cells: list[int]
    labels: list[str]


def doubling_buys(
    scores: pd.DataFrame,
    *,
    selector: str = "majority",
    run: str | None = None,
    margin: float = 0.01,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every step along every curve of a scores table: budgets and effort levels with one sample,
    and n at each setting's largest budget, joined by `selector` (left out where no answer votes).

    run: a column that tells runs of the same level apart; they are pooled (see `between_runs` for
    their scatter). margin: gains below it count as flat. Columns: model, along ("budget", "effort"
    or "n"), setting, selector; from_, to_; from_value, to_value; from_tokens, to_tokens (truly
    sampled, means a problem); doublings, log2 of their ratio; gain and per_doubling, each with _lo
    and _hi, every row for itself; verdict, "rises", "falls" or "undecided", judged for all rows
    together; from_here: "flat" where every later point is shown to lie less than `margin` above
    this step's start, "no gain shown" where none is shown to lie above it; problems. per_doubling
    is NaN where a step costs less than LEAST doublings more. Raises UserError where no
    curve has two points.
    """
    import pandas as pd

    table = scores if run is None else pooled(scores, run)
    votes = "answer_key" in table and bool(table["answer_key"].notna().any())
    joined = votes or not parsed(selector).votes
    grid = build(table, None, ["mean", *([selector] if joined else [])], seed=seed)
    tokens = _tokens(grid)
    rows, apart = [], []
    for curve in _curves(grid):
        values = grid.value[:, curve.cells]
        spent = tokens[:, curve.cells]
        counted = curve.along == "n" and bool(np.isnan(spent).all())
        if counted:  # nobody knows the tokens, and twice as many samples take twice as many
            counts = grid.cells["n"].to_numpy(dtype=np.float64)[curve.cells]
            spent = np.broadcast_to(counts, spent.shape)
        for i in range(len(curve.cells) - 1):
            first = grid.cells.iloc[curve.cells[i]]
            row = {"model": first["model"], "along": curve.along, "setting": first["setting"]}
            row |= {"selector": "mean" if curve.along != "n" else first["selector"]}
            row |= {"from_": curve.labels[i], "to_": curve.labels[i + 1]}
            row |= _step(values[:, i : i + 2], spent[:, i : i + 2], level)
            if counted:
                row |= {"from_tokens": np.nan, "to_tokens": np.nan}
            row["from_here"] = _from_here(values[:, i:], margin, level)
            rows.append(row)
            apart.append(values[:, i + 1] - values[:, i])
    if not rows:
        raise UserError(
            "doubling: no two budgets, effort levels (column 'setting') or sample counts to step "
            "between"
            + ("" if joined else "; without answer_key nothing votes, --selector oracle is pass@n")
        )
    result = pd.DataFrame(rows)
    _, lo, hi = together(np.column_stack(apart), grid.bootstrap(resamples, seed), level)
    verdict = np.where(lo > 0, "rises", np.where(hi < 0, "falls", "undecided"))
    result.insert(list(result.columns).index("from_here"), "verdict", verdict)
    result.loc[result["along"] == "effort", "setting"] = ""
    return result


def pooled(scores: pd.DataFrame, run: str) -> pd.DataFrame:
    """The scores table with runs of the same level pooled: samples are numbered anew.

    Raises UserError where the column is absent.
    """
    if run not in scores:
        raise UserError(f"runs: no column {run!r}{suggest(run, map(str, scores.columns))}")
    table = scores.assign(sample=numbered_through(scores, run))
    return table.drop(columns=run).reset_index(drop=True)


def between_runs(scores: pd.DataFrame, run: str, level: float = 0.95) -> pd.DataFrame:
    """The scatter between runs of the same level: one row a run of each level that has several.

    Columns: model, setting, budget, run, samples, value, lo, hi, tokens; difference to the mean of
    the level's other runs on the same problems, with difference_lo and _hi: where it excludes 0,
    runs differ by more than their samples do.
    """
    import pandas as pd

    if run not in scores:
        raise UserError(f"runs: no column {run!r}{suggest(run, map(str, scores.columns))}")
    # Samples of two runs share their numbers, so each run is a table of its own.
    by_run = scores.assign(**{run: scores[run].astype(str)}).groupby(run)
    told = pd.concat([normalise(own).assign(run=name) for name, own in by_run], ignore_index=True)
    parts = [c for c in ("thinking_tokens", "forced_tokens", "answer_tokens") if c in told]
    sampled = parts or [c for c in ("tokens",) if c in told]
    told["spent"] = told[sampled].sum(axis=1, min_count=1) if sampled else np.nan
    rows = []
    for level_key, part in told.groupby(GROUP, dropna=False):
        means = part.pivot_table(index="problem_id", columns="run", values="score", aggfunc="mean")
        for name in means.columns if means.shape[1] > 1 else []:
            own, others = means[name].to_numpy(), means.drop(columns=name).mean(axis=1).to_numpy()
            row = dict(zip(GROUP, level_key, strict=True)) | {"run": name}
            mine = part[part["run"] == name]
            row |= {"samples": int(mine["score"].notna().sum())}
            row |= dict(
                zip(("value", "lo", "hi"), map(float, mean_interval(own, level)), strict=True)
            )
            row["tokens"] = float(mine["spent"].mean())
            apart = mean_interval(own - others, level, DIFFERENCE)
            names = ("difference", "difference_lo", "difference_hi")
            rows.append(row | dict(zip(names, map(float, apart), strict=True)))
    columns = [*GROUP, "run", "samples", "value", "lo", "hi", "tokens"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_lo", "difference_hi"])


def _tokens(grid: Grid) -> Floats:
    """Tokens a cell spends on each problem, NaN where unknown: (problems, cells)."""
    spent = grid.cost("tokens")
    result: Floats = grid.cost("thinking_tokens") if np.isnan(spent).all() else spent
    return result


def _curves(grid: Grid) -> Iterator[_Curve]:
    """Every path with at least two points."""
    cells = grid.cells
    budget = cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    thought = grid.means(grid.cost("thinking_tokens"))
    thought = np.where(np.isnan(thought), grid.means(_tokens(grid)), thought)
    thought = np.nan_to_num(thought, nan=np.inf)  # nobody knows: by name
    single = (cells["selector"] == "mean").to_numpy()
    # one budget for each setting is no curve of budgets: the settings are the levels
    several = cells[single].groupby(["model", "setting"])["budget"].transform("nunique") > 1
    nested = np.zeros(len(cells), dtype=bool)
    nested[np.flatnonzero(single)] = several.to_numpy()
    for (_, _), part in cells[single & nested].groupby(["model", "setting"], sort=False):
        order = sorted(part.index, key=lambda i: budget[i])
        yield _Curve("budget", order, [f"{budget[i]:g}" for i in order])
    for _, part in cells[single & ~nested].groupby("model", sort=False):
        order = sorted(part.index, key=lambda i: (thought[i], _rank(cells["setting"].iloc[i])))
        if len(order) > 1:
            yield _Curve("effort", order, [str(cells["setting"].iloc[i]) for i in order])
    for _, part in cells[~single].groupby(["model", "setting", "selector"], sort=False):
        top = part[part["budget"].isna() | (part["budget"] == part["budget"].max())]
        order = sorted(top.index, key=lambda i: int(cells["n"].iloc[i]))
        if len(order) > 1:
            yield _Curve("n", order, [f"n = {cells['n'].iloc[i]}" for i in order])


def _rank(setting: str) -> tuple[int, str]:
    """Effort levels in the order their names say, then others by name."""
    return (LEVELS.index(setting) if setting in LEVELS else len(LEVELS), setting)


def _step(values: Floats, tokens: Floats, level: float) -> dict[str, float | int]:
    """One step from (problems, 2) values and tokens, on the problems that both points have."""
    both = np.flatnonzero(~np.isnan(values).any(axis=1))
    v, t = values[both], tokens[both]
    known = np.asarray(~np.isnan(t).any(axis=1))
    cost = t[known].mean(axis=0) if known.any() else np.full(2, np.nan)
    gain, lo, hi = (float(x) for x in mean_interval(v[:, 1] - v[:, 0], level, DIFFERENCE))
    with np.errstate(divide="ignore", invalid="ignore"):
        doublings = float(np.log2(cost[1] / cost[0]))
    row: dict[str, float | int] = {"from_value": v[:, 0].mean(), "to_value": v[:, 1].mean()}
    row |= {"from_tokens": cost[0], "to_tokens": cost[1], "doublings": doublings}
    row |= {"gain": gain, "gain_lo": lo, "gain_hi": hi}
    each: tuple[Floats, ...] = (np.full((), np.nan),) * 3
    if LEAST <= doublings < np.inf:
        # linearised in gains and tokens, so that both vary with the same problems
        share = np.where(known[:, None], t / cost, 1.0)
        moved = gain / doublings**2 * (share[:, 1] - share[:, 0]) / np.log(2)
        reach = Reach(-1 / doublings, 1 / doublings, DIFFERENCE.ends)
        each = tuple(mean_interval((v[:, 1] - v[:, 0]) / doublings - moved, level, reach))
    names = ("per_doubling", "per_doubling_lo", "per_doubling_hi")
    row |= dict(zip(names, map(float, each), strict=True))
    return row | {"problems": len(both)}


def _from_here(values: Floats, margin: float, level: float) -> str:
    """What is known of all later points against the first of (problems, points)."""
    gains = values[:, 1:] - values[:, :1]
    _, lo, hi = mean_interval(gains, level, DIFFERENCE)
    if (hi < margin).all():  # each at its own level: all of them must hold
        return "flat"
    return "" if (lo > 0).any() else "no gain shown"
