"""An imported log, and how it lives in a run directory.

The directory holds a manifest, the problems, and tables/ written directly: scores, cells, and
`texts` (what the model wrote, one row a sample). There are no chains, because no tool keeps token
ids; everything that reads tables works.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels
from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.estimators.table import GROUP, normalise
from testtime.runs.run import Run, load
from testtime.storage.manifest import Imported, Manifest, Printed
from testtime.storage.names import file_name, storable
from testtime.storage.store import Store
from testtime.storage.tables import ProblemRow
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd


TEXTS = ["problem_id", *GROUP, "sample", "thinking", "text"]


@dataclass(frozen=True)
class Log:
    """What was read. scores: as DESIGN describes, with optional columns thinking and text (taken
    out by `save`).

    problems: problem_id -> (question, gold); format: the tool; files: what was read; notes: how the
    log was understood, for people; printed: (metric, as its tool printed it, as computed here), so
    that a person sees whether the import is faithful.
    """

    task: str
    format: str
    files: Sequence[str]
    scores: pd.DataFrame
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    printed: list[tuple[str, float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def save(log: Log, out: str | Path, selectors: Sequence[str] | None = None) -> Run:
    """Write a log as a run directory: OUT/TASK/MODEL, or OUT/TASK/models where it holds several.

    selectors: default majority where answers can vote, and the oracle. Raises UserError where a run
    of another origin is in the way, or the table supports no cell.
    """
    table = normalise(_storable(log.scores))
    if "budget" not in log.scores:
        table["budget"] = float("nan")  # nobody set one, which is not a budget of 0
    if "answer_key" in table:
        table["answer_key"] = (
            table["answer_key"]
            .astype("string")
            .astype(object)
            .where(table["answer_key"].notna(), None)
        )
    table, left_out, partly = _scored(table)
    names = list(dict.fromkeys(table["model"]))
    task = file_name(storable(log.task) or "imported")
    store = Store(out, task, file_name(names[0]) if len(names) == 1 else "models")
    if store.exists:
        held = store.manifest().imported
        if held is None:
            raise UserError(
                f"{store.root}: a run drawn by testtime is here; give another folder with --out"
            )
        if held.files != list(log.files):
            raise UserError(
                f"{store.root}: holds an import of {', '.join(held.files)}; give another folder"
                " with --out, or move it away"
            )
    votes = "answer_key" in table and table["answer_key"].notna().any()
    chosen = list(selectors or (["majority", "oracle"] if votes else ["oracle"]))
    config = parse(_config(task, names, table, chosen), "import")
    grid = cells(
        table, config.sample_counts(), chosen, resamples=config.resamples, seed=config.seed
    )
    with store.lock():
        store.replace("problems", _problems(log, table))
        present = [c for c in ("thinking", "text") if c in table]
        if present:
            texts = table.reindex(columns=TEXTS)
            store.write_file("tables/texts.parquet", texts.to_parquet(index=False))
        store.write_file(
            "tables/scores.parquet", table.drop(columns=present).to_parquet(index=False)
        )
        store.write_file("tables/cells.parquet", grid.to_parquet(index=False))
        printed = [Printed(metric=m, printed=float(p), here=float(h)) for m, p, h in log.printed]
        store.write_manifest(
            Manifest(
                model=names[0] if len(names) == 1 else f"{len(names)} models",
                config=config.model_dump(mode="json"),
                problems=list(dict.fromkeys(table["problem_id"])),
                left_out=[f"problem {name}: no sample of it was scored" for name in left_out],
                created=time.time(),
                testtime=metadata.version("testtime"),
                identity={"model": f"imported from {log.format}"},
                imported=Imported(log.format, list(log.files), printed, [*log.notes, *partly]),
            )
        )
    return load(store.root)


def _storable(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text as a file can hold it."""
    texts = [
        str(c)
        for c in table
        if table[c].dtype == object or str(table[c].dtype) in ("str", "string")
    ]
    clean = {
        c: table[c].map(lambda value: storable(value) if isinstance(value, str) else value)
        for c in texts
    }
    return table.assign(**clean)


def _scored(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The table without the problems of a model that some pool of it could not score once, which
    would leave no cell; the names of those that no model keeps; and a line for each model that
    lacks others.

    Unknown is not wrong, so they cannot count as 0. Other models keep theirs: problems that cannot
    be scored are often the hardest, and a number depends on its own model alone.
    """
    known = table.groupby(["model", "problem_id", "setting", "budget"], dropna=False)["score"]
    counted = known.count()
    lost = counted[counted == 0].index.to_frame(index=False)[["model", "problem_id"]]
    pairs = table.set_index(["model", "problem_id"]).index
    unscored = lost.set_index(["model", "problem_id"]).index
    kept = table[~pairs.isin(unscored)].reset_index(drop=True)
    if kept.empty:
        raise UserError(
            "nothing to import: every problem has a model or setting in which no sample was scored"
        )
    gone = sorted({str(p) for p in table["problem_id"]} - {str(p) for p in kept["problem_id"]})
    lines = []
    for model, part in lost.groupby("model", sort=False):
        own = sorted({str(p) for p in part["problem_id"]} - set(gone))
        if own:
            count = labels.counted(len(own), "problem")
            lines.append(f"left out of {model}: {count} without a scored sample, such as {own[0]}")
    return kept, gone, lines


def _config(
    task: str, models: list[str], table: pd.DataFrame, selectors: list[str]
) -> dict[str, Any]:
    budgets = sorted({int(b) for b in table["budget"].dropna() if b >= 0}) or [0]
    samples = int(table.groupby([*GROUP, "problem_id"], dropna=False).size().max())
    return {
        "name": task,
        "task": task,
        "model": models,
        "thinking": {"budgets": budgets},
        "samples": samples,
        "selectors": selectors,
    }


def _problems(log: Log, table: pd.DataFrame) -> list[ProblemRow]:
    rows = []
    for name in dict.fromkeys(table["problem_id"]):
        question, gold = map(storable, log.problems.get(name, ("", "")))
        task = storable(log.task)
        rows.append(ProblemRow(name, task, question, gold, "", [], "", "", "{}"))
    return rows
