"""Everything a report says about one model of a run, computed once: cells, replicates, and what
follows from them.

A section whose inputs a table does not hold (no token counts, one budget, nulls) is left out with
the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from testtime.errors import UserError
from testtime.estimators.cells import replicates
from testtime.estimators.grid import Replicates
from testtime.report.style import ABSENT, AGAIN, AXES

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run

T = TypeVar("T")
LONGEST = 18  # letters of a level under an axis


@dataclass
class Evidence:
    """One model of a run. scores, cells: its rows; left_out: what could not be computed, and why (a
    sentence each).
    """

    run: Run
    model: str
    scores: pd.DataFrame
    cells: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sample(self) -> Replicates:
        """Bootstrap replicates of this model's cells, drawn as the cells table was."""
        config = self.run.manifest["config"]
        counts = sorted(int(n) for n in self.cells["n"].unique())
        selectors = list(dict.fromkeys(["mean", *self.selectors]))
        return replicates(
            self.scores, counts, selectors, resamples=config["resamples"], seed=config["seed"]
        )

    @cached_property
    def selectors(self) -> list[str]:
        """Selectors of several samples, in the order of the config."""
        return [s for s in dict.fromkeys(self.cells["selector"]) if s != "mean"]

    @cached_property
    def selector(self) -> str:
        """The selector that the main figures show: the first that somebody can deploy."""
        return next((s for s in self.selectors if s != "oracle"), "mean")

    @cached_property
    def axes(self) -> list[str]:
        """The compute axes that the table holds."""
        return [
            a
            for a in AXES
            if a in self.cells and self.cells[a].notna().all() and (self.cells[a] > 0).all()
        ]

    def absent(self, axis: str) -> str:
        """Why a compute axis is not there."""
        if axis in self.cells and self.cells[axis].notna().any():
            some = "is 0" if self.cells[axis].notna().all() else "is not known"
            return f"it {some} for some settings, and the axis is logarithmic"
        return ABSENT[axis] + ("" if "imported" in self.run.manifest else AGAIN.get(axis, ""))

    @cached_property
    def axis(self) -> str | None:
        return self.axes[0] if self.axes else None

    @cached_property
    def counts(self) -> list[int]:
        return sorted(int(n) for n in self.grid(self.selector)["n"].unique())

    @cached_property
    def levels(self) -> list[tuple[str, float]]:
        """(setting, budget) in reading order: by setting and budget; effort levels by what they
        really thought.
        """
        first = self.grid(self.selector).drop_duplicates(["setting", "budget"])
        order = first.assign(_told=first["budget"].isna())
        by = (
            ["thinking_tokens"]
            if order["_told"].all() and order["thinking_tokens"].notna().all()
            else ["setting", "budget"]
        )
        return [
            (str(s), _number(b))
            for s, b in order.sort_values(by)[["setting", "budget"]].itertuples(index=False)
        ]

    @property
    def problems(self) -> int:
        return int(self.scores["problem_id"].nunique())

    @property
    def samples(self) -> int:
        return int(self.scores["sample"].nunique())

    def grid(self, selector: str) -> pd.DataFrame:
        return self.cells[self.cells["selector"] == selector]

    def at(self, level: tuple[str, float]) -> pd.DataFrame:
        """The scores of one (setting, budget)."""
        return self.scores[at_level(self.scores, level)]

    def cells_at(self, level: tuple[str, float], selector: str) -> pd.DataFrame:
        """The cells of one (setting, budget) and selector, by n."""
        grid = self.grid(selector)
        return grid[at_level(grid, level)].sort_values("n")

    def attempt(self, what: str, work: Callable[[], T]) -> T | None:
        """The result of `work`, or None with the reason kept where the table does not support
        it.
        """
        try:
            return work()
        except UserError as error:
            self.left_out[what] = str(error)
            return None


def of(run: Run) -> list[Evidence]:
    """The evidence of a run, one entry a model."""
    import pandas as pd

    defaults = {"model": run.manifest["model"], "setting": "", "budget": pd.NA}
    scores = run.scores.assign(**{k: v for k, v in defaults.items() if k not in run.scores})
    cells = run.cells
    if "mean" not in set(cells["selector"]):  # with one sample all selectors are the mean
        single = (
            cells[cells["n"] == 1]
            .drop_duplicates(["model", "setting", "budget"])
            .assign(selector="mean")
        )
        cells = pd.concat([cells, single], ignore_index=True)
    return [
        Evidence(run, str(model), scores[scores["model"] == model], cells[cells["model"] == model])
        for model in cells["model"].unique()
    ]


def names(every: Sequence[Evidence]) -> list[str]:
    """What each is called among the others: its model, with its setting or else its run where
    models repeat.
    """
    told = []
    for index, one in enumerate(every):
        path, settings = one.run.path, " ".join(one.cells["setting"].unique())
        more = (settings, f"({path.name})", f"({path.parent.name}/{path.name})", f"({index + 1})")
        told.append([one.model, *(f"{one.model} {word}" for word in more)])
    columns = list(zip(*told, strict=True))
    return [next(name for at, name in enumerate(of) if columns[at].count(name) == 1) for of in told]


def level_name(level: tuple[str, float], unit: bool = False) -> str:
    """`512`, `512 tokens`, `high`, `wait=1, 512`."""
    setting, budget = level
    number = "" if np.isnan(budget) else f"{budget:,.0f}" + (" tokens" if unit else "")
    return ", ".join(part for part in (setting, number) if part) or "as it comes"


def short_name(level: tuple[str, float]) -> str:
    """`level_name`, cut to what fits under an axis."""
    name = level_name(level)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def row_level(row: Any) -> tuple[str, float]:
    """The (setting, budget) of a row of a table."""
    return str(row["setting"]), _number(row["budget"])


def selector_name(selector: str) -> str:
    """A selector in words."""
    kind, _, column = selector.partition(":")
    words = {"mean": "one sample", "majority": "majority vote", "oracle": "oracle (pass@n)"}
    return words.get(
        kind, f"{'weighted vote' if kind == 'weighted' else 'best'} by {column.replace('_', ' ')}"
    )


def cell_name(row: Any) -> str:
    """`budget 512 tokens, majority vote of 16` for a row with setting, budget, n and selector."""
    level = row_level(row)
    where = ("budget " if not np.isnan(level[1]) and not level[0] else "") + level_name(
        level, unit=True
    )
    n = int(row["n"])
    how = "one sample" if n == 1 else f"{selector_name(row['selector'])} of {n}"
    return f"{where}, {how}"


def at_level(table: pd.DataFrame, level: tuple[str, float]) -> pd.Series:
    """Which rows of a table have this (setting, budget)."""
    setting, budget = level
    there = table["budget"].isna() if np.isnan(budget) else table["budget"] == budget
    return (table["setting"] == setting) & there.fillna(False).astype(bool)


def _number(value: Any) -> float:
    import pandas as pd

    return float("nan") if pd.isna(value) else float(value)
