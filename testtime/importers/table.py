"""Anybody's table of scores as a run directory; `estimators.columns` says how it is understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.estimators import columns as tables
from testtime.importers.log import Log, save

if TYPE_CHECKING:
    from testtime.runs.run import Run


def import_csv(
    path: str | Path,
    out: str | Path = "runs",
    *,
    columns: Mapping[str, str] | None = None,
    task: str | None = None,
    model: str | None = None,
    selectors: Sequence[str] | None = None,
) -> Run:
    """A table as a run directory. columns: ours -> the table's name for it; model: of all its rows,
    in place of what it says. Raises UserError naming what is missing.
    """
    read = tables.read(path, columns)
    table = read.scores if model is None else read.scores.assign(model=model)
    problems = {}
    if "question" in table or "gold" in table:
        first = table.drop_duplicates("problem_id").fillna({"question": "", "gold": ""})
        for row in first.to_dict("records"):
            problems[str(row["problem_id"])] = (
                str(row.get("question", "")),
                str(row.get("gold", "")),
            )
    scores = table.drop(columns=[c for c in ("question", "gold") if c in table])
    for name in ("thinking", "text"):
        if name in scores:
            scores[name] = scores[name].astype("string")
    name, notes = task or tables.stem(path), [*read.used, *read.changes]
    return save(Log(name, "csv", [str(path)], scores, problems, notes=notes), out, selectors)
