"""A run that is being drawn, as it stands: how much of each cell there is, and its accuracy so far.

It reads what is stored and writes nothing, so it may run beside the run, from any machine that sees
the folder. Some of the samples that have ended, chosen at random, are judged here: the verdicts
that a run stores while it draws are of its largest budget, so of the other budgets they hold only
the answers that are the same, and these are right far more often than the rest.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from testtime import labels
from testtime.estimators.intervals import mean_interval
from testtime.grading import grade
from testtime.grading.registry import make
from testtime.runs.recipe import recipe_of
from testtime.runs.status import describe, status
from testtime.runs.verdicts import SCORE_OF, graded_answers
from testtime.storage.store import Store
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd

JUDGED = 200  # samples at each look


def standing(path: str | Path) -> tuple[str, bool]:
    """A run in lines, and whether it is complete. Raises UserError where there is none."""
    counts = status(path)
    if "imported" in counts:
        return describe(counts), True
    lines, complete = [describe(counts)], counts["done"] >= counts["wanted"]
    if not counts["attempts"]:
        return lines[0], complete
    head = "cell", "drawn", "judged", "accuracy so far, %"
    rows, drawn = [head], _attempts(Store(path))
    scores = _judged(Store(path), drawn)
    for cell, part in drawn.groupby("cell", sort=False):
        found = part["answer"].map(scores).groupby(part["problem_id"]).mean().dropna()
        value, lo, hi = map(float, mean_interval(found)) if len(found) else [math.nan] * 3
        judged = f"{part['answer'].isin(scores).sum():,}"
        rows.append((str(cell) or "one", f"{len(part):,}", judged, labels.brackets(value, lo, hi)))
    note = f"judged: at most {JUDGED} samples that have ended, at random; short chains end first"
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(w.rjust(width) for w, width in zip(row, wide, strict=True)) for row in rows]
    return "\n".join([*lines, note]), complete


def _attempts(store: Store) -> pd.DataFrame:
    """cell, problem_id, sample and answer (a call's key) of every attempt of the run's recipe; of a
    search's several answers, which are one only after grading, None.
    """
    manifest = store.manifest()
    recipe, cells = recipe_of(parse(manifest.config, str(store.root / "run.json")), manifest)
    columns = ["problem_id", "sample", "cell", "answers"]
    ours = (pc.field("recipe") == recipe) & pc.field("cell").isin(list(cells))
    table: pd.DataFrame = store.read("attempts", columns, ours).select(columns).to_pandas()
    keys = table.pop("answers")
    table["answer"] = [key[0] if len(key) == 1 else None for key in keys]
    order = {cell: at for at, cell in enumerate(cells)}
    return table.sort_values("cell", key=lambda cell: cell.map(order), kind="stable")


def _judged(store: Store, drawn: pd.DataFrame) -> dict[str, float]:
    """The scores of some samples' answers by key; none of graders that run programs or models."""
    samples = drawn[["problem_id", "sample"]].drop_duplicates()
    chosen = samples.sample(min(JUDGED, len(samples)), random_state=0)
    wanted = set(drawn.merge(chosen)["answer"].dropna())
    scores: dict[str, float] = {}
    for part in graded_answers(store, []):
        asked = part[part["key"].isin(wanted)]
        for spec, answers in asked.groupby("grader", sort=False):
            grader = json.loads(str(spec))
            if make(grader["name"], grader["options"]).runs != "worker":
                continue
            pairs = answers.drop_duplicates("grade_key")
            texts = list(zip(pairs["gold"], pairs["text"], strict=True))
            found = grade(grader["name"], texts, grader["options"], 1)
            score = {
                key: SCORE_OF.get(one.verdict, np.nan)
                for key, one in zip(pairs["grade_key"], found, strict=True)
            }
            scores |= dict(zip(answers["key"], answers["grade_key"].map(score), strict=True))
    return scores


def watch(path: str | Path, every: float, show: Callable[[str], None]) -> None:
    """Show a run as it stands, again every so many seconds, until it is complete."""
    while True:
        text, complete = standing(path)
        show(text)
        if complete:
            return
        time.sleep(every)
