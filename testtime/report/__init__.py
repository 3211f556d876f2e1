"""How it looks: figures, tables, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.places import filling, place

if TYPE_CHECKING:
    from testtime.compute.prices import Prices
    from testtime.pipeline import Run


def write(runs: Run | Sequence[Run], folder: str | Path | None = None, prices: Prices | None = None) -> Path:
    """Write the report of one run or several; returns the path of its page.

    folder: default `report` in the run's folder, or in the folder above the first of several runs. prices:
    of a token, for the axis in dollars. Raises UserError where it cannot be written.
    """
    from testtime.report.page import write as write_page

    several = list(runs) if isinstance(runs, Sequence) else [runs]
    if prices is not None:
        several = [_priced(run, prices) for run in several]
    first = several[0].path
    target = place(folder) if folder else (first if len(several) == 1 else first.parent) / "report"
    with filling(target) as here:
        return target / write_page(several, here).name


def _priced(run: Run, prices: Prices) -> Run:
    """The run with dollars in both tables."""
    from testtime.compute.costs import with_costs
    from testtime.estimators.cells import cells

    config = run.manifest["config"]
    scores = with_costs(run.scores, prices=prices)
    counts = sorted(int(n) for n in run.cells["n"].unique())
    selectors = list(dict.fromkeys(run.cells["selector"]))
    grid = cells(scores, counts, selectors, resamples=config["resamples"], seed=config["seed"])
    return replace(run, scores=scores, cells=grid)
