"""Where scores come from: a run, or anybody's table; every command that reads stored results reads
them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.errors import UserError, suggest
from testtime.estimators import columns as tables
from testtime.estimators.table import read_table
from testtime.runs.priced import graded, ungraded
from testtime.runs.run import Run, load
from testtime.storage.files import exists, place

if TYPE_CHECKING:
    import pandas as pd

    Given = str | Path | Run | pd.DataFrame


@dataclass(frozen=True)
class Source:
    """The scores of one run or table. selectors: those that the run was given, none of a table;
    notes: how a table was understood.
    """

    name: str
    scores: pd.DataFrame
    selectors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(
    given: Sequence[Given],
    columns: Mapping[str, str] | None = None,
    models: Sequence[str] | None = None,
) -> list[Source]:
    """Runs and tables (CSV, Parquet, JSON lines, pandas), each under a name of its own.

    columns: ours -> a table's name for it; models: only these, by name or pattern (`*gpt-5*`).
    Raises UserError for what is neither a run nor a table, for one given twice, and for a model
    that none of them holds.
    """
    sources: dict[str, Source] = {}
    names: list[str] = []
    for one in given:
        source, held = _source(one, columns, models)
        names += held
        if source.name in sources:
            source = replace(source, name=_longer(one, len(sources)))
        if source.name in sources:
            raise UserError(f"{one}: given twice; give each run once")
        sources[source.name] = source
    for pattern in models or ():
        if not any(tables.matches(name, pattern) for name in names):
            raise UserError(f"--model {pattern}: there is none{suggest(pattern, names)}")
    return [source for source in sources.values() if len(source.scores)]


def numbers(
    given: Given, columns: Mapping[str, str] | None = None, models: Sequence[str] | None = None
) -> tuple[pd.DataFrame, str]:
    """Numbers that a law may be fitted to, and what to call them: a table of cells (value) or of
    counts (correct, total) as it is, else scores as `read` reads them.
    """
    name = "the table" if not isinstance(given, (str, Path)) else str(given)
    if isinstance(given, (str, Path)) and not exists(place(given) / "run.json"):
        given = read_table(given)
        if "score" not in given and ("value" in given or {"correct", "total"} <= set(given)):
            return given, name
    return stacked(read([given], columns, models)), name


def stacked(sources: Sequence[Source]) -> pd.DataFrame:
    """The scores of several as one table."""
    import pandas as pd

    return pd.concat([source.scores for source in sources], ignore_index=True)


def _source(
    given: Given, columns: Mapping[str, str] | None, models: Sequence[str] | None
) -> tuple[Source, list[str]]:
    """A source of some models, and the names of all that were there."""
    if isinstance(given, (str, Path)):
        path = place(given)
        if not exists(path / "run.json"):
            table = tables.read(path, columns, models)
            return Source(tables.stem(path), table.scores, (), tuple(table.changes)), table.models
        given = load(path)
    if isinstance(given, Run):
        selectors = tuple(given.manifest.config.get("selectors") or ())
        scores = graded(tables.of_models(given.scores, models))
        held = [str(name) for name in given.scores["model"].unique()]
        lacking = ungraded(given.scores)
        notes = [f"left out: problem {name}: no answer of it could be graded" for name in lacking]
        return Source(given.path.resolve().name, scores, selectors, tuple(notes)), held
    table = tables.understood(given, columns or {}, "table", models)
    return Source("table", table.scores, (), tuple(table.changes)), table.models


def _longer(given: Given, index: int) -> str:
    """A name for what shares its own with another."""
    if isinstance(given, (str, Path, Run)):
        path = (given.path if isinstance(given, Run) else place(given)).resolve()
        return f"{path.parent.name}/{tables.stem(path)}"
    return f"table {index + 1}"
