"""What an experiment tracker is given of a run, whichever it is: a name, its config, numbers by
name, tables, figures.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels, style
from testtime.errors import UserError
from testtime.report import headline
from testtime.report.svg import to_files

if TYPE_CHECKING:
    from testtime.runs.run import Run

NUMBERS = ("value", "lo", "hi", "tokens", "flops", "usd", "seconds")


def package(name: str) -> Any:
    """The tracker's own package. Raises UserError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"export {name}: {name} is not installed; install testtime[{name}]"
        ) from None


def title(run: Run) -> str:
    return f"{run.manifest.model} on {', '.join(t['name'] for t in run.manifest.config['task'])}"


def numbers(run: Run) -> dict[str, float]:
    """Every cell's accuracy, interval and costs: `512/majority of 8/value` -> .48; the model in
    front where there are several. Only characters that every tracker takes.
    """
    several, found = run.cells["model"].nunique() > 1, {}
    for row in run.cells.to_dict("records"):
        model = [str(row["model"])] if several else []
        place = [*model, labels.level(labels.row_level(row)), f"{row['selector']} of {row['n']}"]
        for column in NUMBERS:
            if math.isfinite(float(row.get(column, math.nan))):
                name = "/".join(re.sub(r"[^\w. -]", "-", part) for part in [*place, column])
                found[name] = float(row[column])
    return found


def figures(run: Run, folder: Path) -> Iterator[Path]:
    """The figure of each compute axis as a PNG in `folder`."""
    for axis in headline.axes(run):
        with style.context():
            chart = headline.chart(run, axis)
            to_files(chart, folder)
        yield folder / f"{chart.name}.png"
