"""Pages and tables of runs that are there already. Nothing here draws, so nothing that does is
imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import testtime.report as report
from testtime.config.schema import Prices, Rates
from testtime.importers import import_csv
from testtime.runs.priced import priced
from testtime.runs.run import Run, load
from testtime.storage.files import exists, place


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
    columns: Mapping[str, str] | None = None,
    models: Sequence[str] | None = None,
    figure: Path | None = None,
) -> str:
    """Runs, or tables of scores, as one table: text, markdown, csv or latex.

    columns: ours -> a table's name for it; models: only these, by name or pattern; figure: a .png,
    .svg or .pdf file to draw too. Raises UserError for what is neither, and as `importers` do.
    """
    from testtime.report import leaderboard as boards
    from testtime.report import leaders

    with TemporaryDirectory() as scratch:  # an import is a run, which nobody asked to keep
        runs = [priced(_run(path, columns, scratch), prices, rates) for path in paths]
        rows = boards.of_runs(runs, models)
        if figure is not None:
            leaders.write(rows, figure)
        return boards.said(rows, format, interval)


def _run(path: str | Path, columns: Mapping[str, str] | None, scratch: str) -> Run:
    """A run directory, or a table as one."""
    if exists(place(path) / "run.json"):
        return load(path)
    return import_csv(path, scratch, columns=columns)
