"""How a comparison says numbers, settings and what is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
MOST = 12  # lines of one kind


def absences(bounds: pd.DataFrame) -> list[str]:
    """Notes on models and settings that lack cells because answers have no score. bounds: of
    `cells.null_bounds`, one selector and n from 1.
    """
    groups = [
        part for _, part in bounds.groupby(["model", "setting", "budget"], sort=False, dropna=False)
    ]
    lines = []
    for part in groups:
        one, absent = (
            part.iloc[0],
            part.loc[(part["n"] > part["scored"]) & (part["nulls"] > 0), "n"],
        )
        if len(absent):
            budget = float("nan") if part["budget"].isna().all() else one["budget"]
            lines.append(
                f"{pool_name(one['model'], one['setting'], budget)}: no cells of n "
                f"{', '.join(map(str, absent))} (answers"
                f" without a score: {one['nulls']:,}); one sample solves {100 * one['lower']:.1f} "
                f"% if all of them are"
                f" wrong, {100 * one['upper']:.1f} % if all are right"
            )
    more = (
        [f"{len(lines) - MOST} more settings lack cells because answers have no score"]
        if len(lines) > MOST
        else []
    )
    return lines[:MOST] + more


def difference(row: Row, name: str) -> str:
    lo, hi = (f"{name}_lo", f"{name}_hi") if name else ("lo", "hi")
    return f"{100 * row[name or 'difference']:+.1f} [{100 * row[lo]:+.1f}, {100 * row[hi]:+.1f}]"


def percent(row: Row, name: str) -> str:
    return f"{100 * row[name]:.1f} % [{100 * row['lo']:.1f}, {100 * row['hi']:.1f}]"


def limited(lines: list[str], name: str) -> list[str]:
    more = [f"... and {len(lines) - MOST} more in {name}"] if len(lines) > MOST else []
    return [*lines[:MOST], *more]


def pool_name(model: str, setting: str, budget: Any) -> str:
    level = level_name(setting, budget)
    return f"{model} {level}" if level else model


def level_name(setting: str, budget: Any) -> str:
    known = budget is not None and budget == budget
    return " ".join([*([setting] if setting else []), *([f"budget {budget:g}"] if known else [])])


def budget_rank(budget: Any) -> float:
    return float(budget) if budget is not None and budget == budget else -1.0


def rounded(value: float) -> str:
    """A count of problems to two digits."""
    return f"{float(f'{value:.2g}'):,.0f}"
