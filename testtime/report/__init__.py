"""How it looks: figures, tables, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testtime.pipeline import Run


def write(runs: Run | Sequence[Run], folder: str | Path | None = None) -> Path:
    """Write the report of one run or several; returns the path of its page.

    folder: default `report` in the run's folder, or in the folder above the first of several runs. Raises UserError
    where it cannot be written.
    """
    from testtime.report.page import write as write_page

    several = list(runs) if isinstance(runs, Sequence) else [runs]
    first = several[0].path
    return write_page(several, Path(folder) if folder else (first if len(several) == 1 else first.parent) / "report")
