"""How it looks: figures, tables, one HTML page, and a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testtime.errors import UserError
from testtime.runs.run import Run
from testtime.storage.files import filling, place


def write(
    runs: Run | Sequence[Run],
    folder: str | Path | None = None,
    models: Sequence[str] | None = None,
) -> Path:
    """Write the report of one run or several; returns the path of its page.

    folder: default `report` in the run's folder, or in the folder above the first of several runs.
    models: only these of the runs' models. Raises UserError where it cannot be written, without a
    run, and for a model that no run has.
    """
    from testtime.report.page import write as write_page

    several = list(runs) if isinstance(runs, Sequence) else [runs]
    if not several:
        raise UserError("report: give at least one run")
    first = several[0].path
    target = place(folder) if folder else (first if len(several) == 1 else first.parent) / "report"
    with filling(target) as here:
        return target / write_page(several, here, models).name
