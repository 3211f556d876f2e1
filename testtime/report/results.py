"""Everything a report says about one model of a run, computed once: cells, replicates, and what
follows from them.

A part whose inputs a table does not hold (no token counts, one budget, nulls) is left out with the
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from testtime import labels
from testtime.errors import UserError
from testtime.estimators.cells import replicates
from testtime.estimators.grid import Replicates
from testtime.labels import AXES, Level, row_level
from testtime.runs.priced import graded
from testtime.runs.run import Run
from testtime.storage.names import shown

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
LACKING = {  # why an axis is not there
    "tokens": "the scores table counts no tokens",
    "flops": "the scores table holds no FLOPs, or the model's config does not say enough to count "
    "them",
    "usd": "no prices: give --price",
    "seconds": "no rates: give --rate",
}
AGAIN = {  # how else a run that was not imported gets it
    "usd": ", or write price: in the run's config and run it again (nothing is drawn)",
    "seconds": ", or write rates: in the run's config and run it again (nothing is drawn)",
}


@dataclass
class Results:
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
        config = self.run.manifest.config
        counts = sorted(int(n) for n in self.cells["n"].unique())
        selectors = list(dict.fromkeys(["mean", *self.selectors]))
        return replicates(
            self.graded, counts, selectors, resamples=config["resamples"], seed=config["seed"]
        )

    @cached_property
    def graded(self) -> pd.DataFrame:
        """The scores that cells are made of."""
        return graded(self.scores)

    @cached_property
    def selectors(self) -> list[str]:
        """Selectors of several samples, in the order of the config."""
        return [s for s in dict.fromkeys(self.cells["selector"]) if s != "mean"]

    @cached_property
    def selector(self) -> str:
        """The selector that the main figures show: of those that somebody can deploy, and of these
        of those that have most cells, the one that solves most at the largest number of samples.
        """
        usable = [s for s in self.selectors if s != "oracle"]
        return max(usable, key=lambda s: _reach(self.grid(s)), default="mean")

    @cached_property
    def axes(self) -> list[str]:
        """The compute axes that the table holds, FLOPs first: `compare` and `laws` take them where
        they are known too, so that all say the same.
        """
        known = [a for a in AXES if a in self.cells and self.cells[a].notna().all()]
        return [a for a in known if (self.cells[a] > 0).all()]

    def absent(self, axis: str) -> str:
        """Why a compute axis is not there."""
        if axis in self.cells and self.cells[axis].notna().any():
            some = "is 0" if self.cells[axis].notna().all() else "is not known"
            return f"it {some} for some settings, and the axis is logarithmic"
        return LACKING[axis] + (
            "" if self.run.manifest.imported is not None else AGAIN.get(axis, "")
        )

    @cached_property
    def axis(self) -> str | None:
        return self.axes[0] if self.axes else None

    @cached_property
    def counts(self) -> list[int]:
        return sorted(int(n) for n in self.grid(self.selector)["n"].unique())

    @cached_property
    def levels(self) -> list[Level]:
        """(setting, budget) in reading order: by setting and budget; effort levels by what they
        really thought.
        """
        first = self.grid(self.selector).drop_duplicates(["setting", "budget"])
        told = first["budget"].isna().all() and first["thinking_tokens"].notna().all()
        order = first.sort_values(["thinking_tokens"] if told else ["setting", "budget"])
        return [row_level(row) for row in order[["setting", "budget"]].to_dict("records")]

    @cached_property
    def paths(self) -> dict[str, list[Level]]:
        """The levels that a line joins, in reading order: the budgets of each setting, and all
        effort levels, by the line's name.
        """
        lines: dict[str, list[Level]] = {}
        for level in self.levels:
            lines.setdefault("" if level[1] != level[1] else level[0], []).append(level)
        return lines

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Share of right answers of each problem (rows) at each level (columns, in words)."""
        import pandas as pd

        means = [self.at(v).groupby("problem_id")["score"].mean() for v in self.levels]
        return pd.concat(means, axis=1, keys=[labels.level(v) for v in self.levels])

    @property
    def problems(self) -> int:
        return int(self.scores["problem_id"].nunique())

    @property
    def samples(self) -> int:
        return int(self.scores["sample"].nunique())

    def grid(self, selector: str) -> pd.DataFrame:
        return self.cells[self.cells["selector"] == selector]

    def at(self, level: Level) -> pd.DataFrame:
        """The scores of one (setting, budget)."""
        return self.scores[at_level(self.scores, level)]

    def cells_at(self, level: Level, selector: str) -> pd.DataFrame:
        """The cells of one (setting, budget) and selector, by n."""
        grid = self.grid(selector)
        return grid[at_level(grid, level)].sort_values("n")

    def flag(self, name: str, level: Level | None = None) -> pd.Series:
        """A column of yes and no with blanks as no, of all scores or of one level."""
        column = (self.scores if level is None else self.at(level))[name]
        return column.fillna(False).astype(bool)

    def attempt(self, what: str, work: Callable[[], T]) -> T | None:
        """The result of `work`, or None with the reason kept where the table does not support
        it.
        """
        try:
            return work()
        except UserError as error:
            self.left_out[what] = str(error)
            return None


def of(run: Run, models: Sequence[str] | None = None) -> list[Results]:
    """The results of a run, one entry a model; models: only these."""
    import pandas as pd

    defaults: dict[str, Any] = {"model": run.manifest.model, "setting": "", "budget": pd.NA}
    scores = run.scores.assign(**{k: v for k, v in defaults.items() if k not in run.scores})
    cells = run.cells
    if "mean" not in set(cells["selector"]):  # with one sample all selectors are the mean
        first = cells[cells["n"] == 1].drop_duplicates(["model", "setting", "budget"])
        cells = pd.concat([cells, first.assign(selector="mean")], ignore_index=True)
    rows = {str(model): part for model, part in scores.groupby("model", sort=False)}
    return [
        Results(run, shown(str(model)), rows[str(model)], part)
        for model, part in cells.groupby("model", sort=False)
        if models is None or str(model) in models
    ]


def names(every: Sequence[Results]) -> list[str]:
    """What each is called among the others: its model, with its setting or else its run where
    models repeat.
    """
    choices = []
    for index, one in enumerate(every):
        path, settings = one.run.path, " ".join(one.cells["setting"].unique())
        more = (settings, f"({path.name})", f"({path.parent.name}/{path.name})", f"({index + 1})")
        choices.append([one.model, *(f"{one.model} {word}" for word in more)])
    columns = list(zip(*choices, strict=True))
    return [
        next(name for at, name in enumerate(row) if columns[at].count(name) == 1) for row in choices
    ]


def at_level(table: pd.DataFrame, level: Level) -> pd.Series:
    """Which rows of a table have this (setting, budget)."""
    setting, budget = level
    there = table["budget"].isna() if budget != budget else table["budget"] == budget
    return (table["setting"] == setting) & there.fillna(False).astype(bool)


def _reach(grid: pd.DataFrame) -> tuple[int, float]:
    return len(grid), float(grid.loc[grid["n"] == grid["n"].max(), "value"].mean())
