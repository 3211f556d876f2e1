"""Pages and tables of runs that are there already. Nothing here draws, so nothing that does is
imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import testtime.report as report
from testtime.config.schema import Prices, Rates
from testtime.runs.priced import priced
from testtime.runs.run import load


def write_report(
    paths: Sequence[str | Path],
    folder: str | Path | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
) -> Path:
    """Write one page on the runs in some folders; returns its path.

    prices, rates: for the axes in dollars and seconds, in place of the runs' own.
    """
    return report.write([priced(load(path), prices, rates) for path in paths], folder)


def leaderboard(
    paths: Sequence[str | Path],
    format: str = "text",
    interval: Literal["brackets", "pm"] = "brackets",
    prices: Prices | None = None,
    rates: Rates | None = None,
) -> str:
    """The runs in some folders as one table: text, markdown, csv or latex."""
    from testtime.report import leaderboard as boards

    runs = [priced(load(path), prices, rates) for path in paths]
    return boards.table(runs, format, interval=interval)
