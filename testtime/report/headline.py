"""The figure that stands for a run: accuracy against what it cost, on each compute axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testtime.errors import UserError
from testtime.report import curves, leaderboard, leaders, results

if TYPE_CHECKING:
    from testtime.runs.run import Run
    from testtime.style import Chart


def axes(run: Run) -> list[str]:
    """The compute axes that all its models hold, the main one first."""
    every = results.of(run)
    return [axis for axis in every[0].axes if all(axis in one.axes for one in every)]


def chart(run: Run, axis: str | None = None) -> Chart:
    """A line for each n of one model; of several the leaderboard's figure.

    axis: flops, tokens, usd or seconds (None: the first that is known, of several models by most).
    To be called inside `style.context`. Raises UserError where the run does not hold it.
    """
    every = results.of(run)
    if len(every) > 1:
        rows = leaderboard.board(every)
        known = leaders.axes(rows)
    else:
        known = every[0].axes
    chosen = axis or next(iter(known), None)
    if chosen not in known:
        raise UserError(
            f"plot: axis {axis or 'of compute'} is not known here; there are "
            f"{', '.join(known) or 'none'}"
        )
    return curves.accuracy(every[0], chosen) if len(every) == 1 else leaders.figure(rows, chosen)
