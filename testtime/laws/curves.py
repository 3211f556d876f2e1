"""Which points make a curve: from a scores or cells table to lists of (compute, accuracy) that a
law may be fitted to.

Along budgets (one sample, longer thinking) and along n (more samples at one budget), for each
model. Effort levels and "wait" counts have no budget; their settings, told apart by what follows
"=", make one curve. Scores carry replicates and their covariance; a table of cells brings at most
its intervals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError
from testtime.estimators.cells import summary
from testtime.estimators.grid import COSTS, Replicates, build
from testtime.estimators.intervals import normal_quantile
from testtime.estimators.table import normalise, require
from testtime.laws.fit import shrunk_covariance
from testtime.laws.law import Floats
from testtime.laws.s1 import control

if TYPE_CHECKING:
    import pandas as pd

AXES = ("flops", "tokens", "thinking_tokens", "usd", "seconds")
MIN_PROBLEMS = 2


@dataclass(frozen=True)
class Curve:
    """Points of one curve, cheapest first.

    x: mean compute a problem, in units of `axis`; y: accuracy; lo, hi: its interval (NaN where
    unknown); names: what each point is; covariance: (n, n) of y, or None for least squares;
    replicates: (x, y), each (resamples, n), or None; problems: (x, y) of each problem, each
    (problems, n), or None; control: share of runs that stayed within their budget (s1), NaN where
    unknown; left_out: cells that cost nothing known, or nothing, on this axis; spent: along
    requested budgets, the mean thinking tokens at each (NaN where unknown), else None.
    """

    model: str
    along: str
    selector: str
    axis: str
    x: Floats
    y: Floats
    lo: Floats
    hi: Floats
    names: tuple[str, ...]
    covariance: Floats | None = None
    replicates: tuple[Floats, Floats] | None = None
    problems: tuple[Floats, Floats] | None = None
    control: float = float("nan")
    left_out: tuple[str, ...] = ()
    spent: Floats | None = None

    @property
    def title(self) -> str:
        return f"{self.model}, {self.selector} along {self.along}"


def from_scores(
    scores: pd.DataFrame,
    selectors: tuple[str, ...],
    *,
    axis: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Curve]:
    """Every curve of a scores table: `mean` along budgets, each other selector along n at the
    largest budget. axis: of AXES, budget (as requested) or n; by default the first of them that
    prices most cells. Raises UserError for fewer than two problems.
    """
    table = normalise(scores)
    if table["problem_id"].nunique() < MIN_PROBLEMS:
        raise UserError(
            "scores table: only 1 problem; how sure a point is, is known over problems, so it "
            "needs at least 2"
        )
    largest = table.groupby(["model", "setting"])["budget"].transform("max")
    lines: list[Curve] = []
    for part, chosen in (
        (table, ("mean",)),
        (table[(table["budget"] == largest) | largest.isna()], selectors),
    ):
        sample = build(part, None, chosen, seed=seed).bootstrap(resamples, seed)
        cells = summary(sample)
        if len(cells) == 1:
            continue
        lines += _curves(cells, sample, axis)
    return [replace(c, control=_control(table[table["model"] == c.model], c)) for c in lines]


def from_sample(
    sample: Replicates,
    at: NDArray[np.intp],
    axis: str,
    along: str = "budgets",
    resamples: int | None = None,
) -> Curve:
    """The curve of some cells of resampled problems, cheapest first.

    at: indices of the cells, of one model and selector; axis: a cost of the grid, or a column of
    its cells, which has no noise; resamples: how many of the replicates to keep, None all.
    """
    grid = sample.grid
    cells = summary(sample).iloc[at]
    values = grid.value[:, at]
    if axis in COSTS:
        cost, drawn = grid.cost(axis)[:, at], sample.cost(axis)[:, at]
    else:
        fixed = cells[axis].to_numpy(dtype=np.float64)
        cost, drawn = (
            np.broadcast_to(fixed, (n, len(at))) for n in (len(values), len(sample.weights))
        )
    x = grid.means(cost)
    order = np.argsort(x, kind="stable")
    at, x, cost, drawn = at[order], x[order], cost[:, order], drawn[:, order]
    values, replicated = values[:, order], sample.value[:, at]
    problems = int(grid.problem_count[at].min())
    covariance = None
    if problems >= MIN_PROBLEMS:
        covariance = shrunk_covariance(replicated[np.isfinite(replicated).all(axis=1)], problems)
    cells = cells.iloc[order]
    first = cells.iloc[0]
    spent = grid.means(grid.cost("thinking_tokens"))[at] if axis == "budget" else None
    return Curve(
        str(first["model"]),
        along,
        str(first["selector"]),
        axis,
        x,
        cells["value"].to_numpy(),
        cells["lo"].to_numpy(),
        cells["hi"].to_numpy(),
        _names(cells),
        covariance,
        (drawn[:resamples], replicated[:resamples]),
        (cost, values),
        spent=spent,
    )


def _control(scores: pd.DataFrame, curve: Curve) -> float:
    """s1's control of a curve along budgets: the share of samples that thought no longer than their
    budget; NaN for other curves, and where a table has no thinking tokens.
    """
    if not curve.along.startswith("budgets") or "thinking_tokens" not in scores:
        return float("nan")
    told = scores.dropna(subset=["budget", "thinking_tokens"])
    return control(told["thinking_tokens"], 0, told["budget"]) if len(told) else float("nan")


def from_cells(cells: pd.DataFrame, axis: str | None = None) -> list[Curve]:
    """Every curve of a cells table; intervals, where it has them, give each point its own variance.
    Raises UserError for absent columns.
    """
    require(cells, ("value",), "cells table")
    table = cells.reset_index(drop=True).copy()
    for name, default in (
        ("model", "model"),
        ("setting", ""),
        ("selector", "mean"),
        ("n", 1),
        ("budget", np.nan),
    ):
        if name not in table:
            table[name] = default
    table["setting"] = table["setting"].fillna("").astype(str)
    return _curves(table, None, axis)


def _curves(cells: pd.DataFrame, sample: Replicates | None, wanted: str | None) -> list[Curve]:
    """The groups of cells that have points at two places on an axis of compute."""
    lines = []
    for along, rows in _groups(cells):
        axis, priced = _axis(cells.loc[rows], wanted)
        part = cells.loc[rows]
        if part.loc[priced, axis].nunique() > 1:
            curve = _curve(part[priced].sort_values(axis, kind="stable"), along, axis, sample)
            lines.append(replace(curve, left_out=_names(part[~priced])))
    return lines


def _axis(cells: pd.DataFrame, wanted: str | None) -> tuple[str, pd.Series[bool]]:
    """The axis of compute that prices most of these cells, the first of several, or the one that is
    wanted; and which those are: there is no logarithm of a cost of 0.
    """
    priced = {
        name: cells[name].astype("Float64").gt(0).fillna(False).astype(bool)
        for name in (*AXES, "budget")
        if name in cells
    }
    if (cells["n"] > 1).any():
        priced["n"] = cells["n"] > 0
    priced = {name: known for name, known in priced.items() if wanted in (None, name)}
    if not priced:
        raise UserError(f"no axis {wanted!r} here; there are {', '.join((*AXES, 'budget', 'n'))}")
    return max(priced.items(), key=lambda item: int(item[1].sum()))


def _groups(cells: pd.DataFrame) -> Iterator[tuple[str, list[int]]]:
    for _, part in cells.groupby("model", sort=True):
        singles = part[(part["n"] == 1) & (part["selector"] == "mean")]
        kinds = singles["setting"].str.split("=").str[0]
        budgets = singles.groupby("setting")["budget"].transform("nunique")
        label = singles["setting"].where(
            budgets > 1, kinds + np.where(singles["budget"].isna(), "=", "= at one budget")
        )
        for name, rows in singles.groupby(label):
            if name == "=":
                along = "settings"
            elif str(name).endswith("="):
                along = str(name)[:-1]
            else:
                along = "budgets" + (f" ({name})" if name else "")
            yield along, rows.index.tolist()
        for (setting, _), rows in part[part["selector"] != "mean"].groupby(
            ["setting", "selector"], sort=True
        ):
            top = rows["budget"].max()
            at_top = rows if rows["budget"].isna().all() else rows[rows["budget"] == top]
            where = "" if rows["budget"].isna().all() else f" at budget {top:g}"
            yield f"n{where}" + (f" ({setting})" if setting else ""), at_top.index.tolist()


def _curve(part: pd.DataFrame, along: str, axis: str, sample: Replicates | None) -> Curve:
    if sample is not None:
        return from_sample(sample, part.index.to_numpy(), axis, along)
    x, y = (part[c].to_numpy(dtype=np.float64, na_value=np.nan) for c in (axis, "value"))
    unknown = np.full(len(part), np.nan)
    lo, hi = (part[c].to_numpy(dtype=np.float64) if c in part else unknown for c in ("lo", "hi"))
    covariance = None
    if np.isfinite(lo).all() and np.isfinite(hi).all() and np.all(hi > lo):
        covariance = np.diag(((hi - lo) / (2 * normal_quantile(0.975))) ** 2)
    first = part.iloc[0]
    model, selector = str(first["model"]), str(first["selector"])
    return Curve(model, along, selector, axis, x, y, lo, hi, _names(part), covariance)


def _names(cells: pd.DataFrame) -> tuple[str, ...]:
    """What each cell is, in words."""
    return tuple(
        f"{s or 'budget ' + format(b, 'g')}, n={n}" if b == b else f"{s}, n={n}"
        for s, b, n in zip(
            cells["setting"], cells["budget"].astype("float64"), cells["n"], strict=True
        )
    )
