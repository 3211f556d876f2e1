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

from testtime.errors import UserError
from testtime.estimators.cells import summary
from testtime.estimators.grid import Replicates, build
from testtime.estimators.intervals import normal_quantile
from testtime.estimators.table import normalise, require
from testtime.laws.fit import shrunk_covariance
from testtime.laws.law import Floats

if TYPE_CHECKING:
    import pandas as pd

AXES = ("flops", "tokens", "thinking_tokens", "usd", "seconds")
MIN_PROBLEMS = 2


@dataclass(frozen=True)
class Curve:
    """Points of one curve, cheapest first.

    x: mean compute a problem, in units of `axis`; y: accuracy; lo, hi: its interval (NaN where
    unknown); covariance: (n, n) of y, or None for least squares; replicates: (x, y), each
    (resamples, n), or None. names: what each point is; left_out: cells that cost nothing known, or
    nothing, on this axis.
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
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.model}, {self.selector} along {self.along}"


def from_scores(
    scores: pd.DataFrame, selectors: tuple[str, ...], *, resamples: int = 2000, seed: int = 0
) -> list[Curve]:
    """Every curve of a scores table: `mean` along budgets, each other selector along n at the
    largest budget. Raises UserError for fewer than two problems.
    """
    table = normalise(scores)
    if table["problem_id"].nunique() < MIN_PROBLEMS:
        raise UserError(
            "scores table: only 1 problem; how sure a point is, is known over problems, so it "
            "needs at least 2"
        )
    largest = table.groupby(["model", "setting"])["budget"].transform("max")
    found: list[Curve] = []
    for part, chosen in (
        (table, ("mean",)),
        (table[(table["budget"] == largest) | largest.isna()], selectors),
    ):
        sample = build(part, None, chosen, seed=seed).bootstrap(resamples, seed)
        cells = summary(sample)
        if len(cells) == 1:
            continue
        found += _curves(cells, sample)
    return found


def from_cells(cells: pd.DataFrame) -> list[Curve]:
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
    return _curves(table, None)


def _curves(cells: pd.DataFrame, sample: Replicates | None) -> list[Curve]:
    """The groups of cells that have two points on an axis of compute."""
    found = []
    for along, rows in _groups(cells):
        axis, priced = _axis(cells.loc[rows])
        if priced.sum() > 1:
            part = cells.loc[rows]
            curve = _curve(part[priced].sort_values(axis, kind="stable"), along, axis, sample)
            found.append(replace(curve, left_out=_names(part[~priced])))
    return found


def _axis(cells: pd.DataFrame) -> tuple[str, pd.Series[bool]]:
    """The axis of compute that prices most of these cells, the first of several, and which those
    are: there is no logarithm of a cost of 0.
    """
    priced = {
        name: cells[name].astype("Float64").gt(0).fillna(False).astype(bool)
        for name in (*AXES, "budget")
        if name in cells
    }
    if (cells["n"] > 1).any():
        priced["n"] = cells["n"] > 0
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
    at = part.index.to_numpy()
    x, y = (part[c].to_numpy(dtype=np.float64, na_value=np.nan) for c in (axis, "value"))
    unknown = np.full(len(part), np.nan)
    lo, hi = (part[c].to_numpy(dtype=np.float64) if c in part else unknown for c in ("lo", "hi"))
    covariance, replicates = None, None
    if sample is not None:
        fixed = np.broadcast_to(x, (len(sample.weights), len(x)))
        replicates = (sample.cost(axis)[:, at] if axis in AXES else fixed, sample.value[:, at])
        problems = int(part["problems"].min())
        if problems >= MIN_PROBLEMS:
            covariance = shrunk_covariance(
                replicates[1][np.isfinite(replicates[1]).all(axis=1)], problems
            )
    elif np.isfinite(lo).all() and np.isfinite(hi).all() and np.all(hi > lo):
        covariance = np.diag(((hi - lo) / (2 * normal_quantile(0.975))) ** 2)
    first = part.iloc[0]
    model, selector = str(first["model"]), str(first["selector"])
    return Curve(model, along, selector, axis, x, y, lo, hi, _names(part), covariance, replicates)


def _names(cells: pd.DataFrame) -> tuple[str, ...]:
    """What each cell is, in words."""
    return tuple(
        f"{s or 'budget ' + format(b, 'g')}, n={n}" if b == b else f"{s}, n={n}"
        for s, b, n in zip(
            cells["setting"], cells["budget"].astype("float64"), cells["n"], strict=True
        )
    )
