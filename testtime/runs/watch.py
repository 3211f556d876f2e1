"""A run that is being drawn, as it stands: how much of each cell there is, and its accuracy so far.

It reads what is stored and writes nothing, so it may run beside the run, from any machine that sees
the folder. Verdicts come as the run gives them: of the largest budget while it draws, of all others
at its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from testtime import labels
from testtime.estimators.intervals import mean_interval
from testtime.runs.evaluate import scored
from testtime.runs.status import describe, status
from testtime.storage.store import Store


def standing(path: str | Path) -> tuple[str, bool]:
    """A run in lines, and whether it is complete. Raises UserError where there is none."""
    counts = status(path)
    if "imported" in counts:
        return describe(counts), True
    lines, complete = [describe(counts)], counts["done"] >= counts["wanted"]
    table = scored(Store(path))
    head = "cell", "drawn", "judged", "accuracy so far, %"
    rows = [head]
    for (setting, budget), part in table.groupby(["setting", "budget"], sort=False, dropna=False):
        drawn, judged = (part["verdict"] != "missing").sum(), part["score"].notna().sum()
        means = part.groupby("problem_id")["score"].mean().dropna()
        value, lo, hi = map(float, mean_interval(means)) if len(means) else [math.nan] * 3
        cell = labels.level(labels.row_level({"setting": setting, "budget": budget}))
        rows.append((cell, f"{drawn:,}", f"{judged:,}", labels.brackets(value, lo, hi)))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(w.rjust(width) for w, width in zip(row, wide, strict=True)) for row in rows]
    return "\n".join(lines), complete


def watch(path: str | Path, every: float, show: Callable[[str], None]) -> None:
    """Show a run as it stands, again every so many seconds, until it is complete."""
    while True:
        text, complete = standing(path)
        show(text)
        if complete:
            return
        time.sleep(every)
