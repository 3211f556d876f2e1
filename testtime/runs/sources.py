"""Where scores come from: a run, or anybody's table; every command that reads stored results reads
them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.errors import UserError, suggest
from testtime.estimators import columns as tables
from testtime.estimators.table import read_table
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
    for one in given:
        source = _source(one, columns)
        if source.name in sources:
            source = replace(source, name=_longer(one, len(sources)))
        if source.name in sources:
            raise UserError(f"{one}: given twice; give each run once")
        sources[source.name] = source
    return _of_models(list(sources.values()), models) if models else list(sources.values())


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


def _source(given: Given, columns: Mapping[str, str] | None) -> Source:
    if isinstance(given, (str, Path)):
        path = place(given)
        if not exists(path / "run.json"):
            table = tables.read(path, columns)
            return Source(tables.stem(path), table.scores, notes=tuple(table.changes))
        given = load(path)
    if isinstance(given, Run):
        selectors = tuple(given.manifest.config.get("selectors") or ())
        return Source(given.path.resolve().name, given.scores, selectors)
    table = tables.understood(given, columns or {}, "table")
    return Source("table", table.scores, notes=tuple(table.changes))


def _longer(given: Given, index: int) -> str:
    """A name for what shares its own with another."""
    if isinstance(given, (str, Path, Run)):
        path = (given.path if isinstance(given, Run) else place(given)).resolve()
        return f"{path.parent.name}/{tables.stem(path)}"
    return f"table {index + 1}"


def _of_models(sources: Sequence[Source], wanted: Sequence[str]) -> list[Source]:
    """What the sources hold of some models."""
    names = list(dict.fromkeys(str(m) for s in sources for m in s.scores["model"].unique()))
    for pattern in wanted:
        if not any(_matches(name, pattern) for name in names):
            raise UserError(f"--model {pattern}: there is none{suggest(pattern, names)}")
    kept = []
    for source in sources:
        mine = source.scores["model"].astype(str).map(lambda m: any(_matches(m, p) for p in wanted))
        if mine.any():
            part = source.scores[mine].reset_index(drop=True)
            kept.append(replace(source, scores=part))
    return kept


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
