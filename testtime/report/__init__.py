"""How it looks: figures, tables, one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testtime.pipeline import Run


def write(run: Run) -> None:
    """Write the report of a run into its folder."""
    from testtime.report.accuracy import write_accuracy

    write_accuracy(run)
