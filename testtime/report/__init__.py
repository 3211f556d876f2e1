"""How it looks: figures, tables, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.errors import UserError
from testtime.storage.files import filling, place

if TYPE_CHECKING:
    from testtime.compute.prices import Prices
    from testtime.compute.rates import Rates
    from testtime.pipeline import Run


def write(
    runs: Run | Sequence[Run],
    folder: str | Path | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
) -> Path:
    """Write the report of one run or several; returns the path of its page.

    folder: default `report` in the run's folder, or in the folder above the first of several runs.
    prices, rates: for the axes in dollars and seconds, in place of the runs' own. Raises UserError
    where it cannot be written, and without a run.
    """
    from testtime.report.page import write as write_page

    several = list(runs) if isinstance(runs, Sequence) else [runs]
    if not several:
        raise UserError("report: give at least one run")
    if prices or rates:
        several = [_priced(run, prices, rates) for run in several]
    first = several[0].path
    target = place(folder) if folder else (first if len(several) == 1 else first.parent) / "report"
    with filling(target) as here:
        return target / write_page(several, here).name


def _priced(run: Run, prices: Prices | None, rates: Rates | None) -> Run:
    """The run with dollars and seconds in both tables."""
    from testtime import pipeline
    from testtime.config import load as config_file

    config = run.manifest["config"]
    scores, grid = pipeline.priced(
        run.scores, config_file.parse(config, str(run.path)), prices, rates
    )
    given = {"price": prices and asdict(prices), "rates": rates and asdict(rates)}
    told = {name: value for name, value in given.items() if value}
    held = [{**model, **told} for model in config["model"]]
    return replace(
        run,
        manifest={**run.manifest, "config": {**config, "model": held}},
        scores=scores,
        cells=grid,
    )
