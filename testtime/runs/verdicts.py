"""Verdicts of a pool's answers: each distinct (grader, gold, text) is judged once and kept.

A verdict stands for its grader's version, so that grading again judges only what has none. It reads
the answers' texts one part at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from testtime.grading import Grade, grade
from testtime.grading.base import UNREACHED
from testtime.grading.registry import make
from testtime.storage.store import Store
from testtime.storage.tables import SCHEMAS, GradeRow

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 20_000  # pairs graded between two writes
# timeout, error and missing are null: unknown, not wrong
SCORE_OF = {"correct": 1.0, "wrong": 0.0, "unparsed": 0.0}
ANSWERS = pc.field("kind").isin(["answer", "own", "told"])  # of the calls


def grader_id(spec: str) -> str:
    """The grader of a problem (JSON {"name", "options"}) with its current version: what a verdict
    stands for.
    """
    parsed = json.loads(spec)
    grader = make(parsed["name"], parsed["options"])
    telling = {
        name: value for name, value in parsed["options"].items() if name not in grader.indifferent
    }
    return f"{grader.version} {json.dumps({**parsed, 'options': telling}, sort_keys=True)}"


def grade_key(identity: str, gold: str, text: str) -> str:
    """The key of a verdict: a hash of (grader's version, gold, text)."""
    return hashlib.blake2b(f"{identity}\x1f{gold}\x1f{text}".encode(), digest_size=12).hexdigest()


def reference(spec: str) -> Callable[[str, str], str]:
    """What a grader compares with, from question and gold: the gold, or both as JSON where it asks
    for them.
    """
    parsed = json.loads(spec)
    asks = make(parsed["name"], parsed["options"]).asks
    return lambda question, gold: json.dumps([question, gold]) if asks else gold


def graded_answers(store: Store, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The answers part by part: key, the columns asked for, gold, grader, text and grade_key.

    Equal pairs share a grade_key and are graded once.
    """
    asked = store.read("problems", ["question", "gold", "grader"]).to_pandas()
    told = {spec: reference(spec) for spec in asked["grader"].unique()}
    both = zip(asked["question"], asked["gold"], asked["grader"], strict=True)
    asked["gold"] = [told[spec](question, gold) for question, gold, spec in both]
    asked = asked.drop(columns="question")
    ids = {spec: grader_id(spec) for spec in asked["grader"].unique()}
    names = ["key", "problem_id", "text", *columns]
    parts = store.read_parts("calls", names, ANSWERS)
    for part in chain([SCHEMAS["calls"].empty_table().select(names)], parts):
        answers = part.to_pandas().merge(asked, on="problem_id")
        codes = answers.groupby(["grader", "gold", "text"], sort=False, dropna=False).ngroup()
        first = answers.loc[~codes.duplicated(), ["grader", "gold", "text"]]
        keys = [
            grade_key(ids[grader], gold, text)
            for grader, gold, text in first.itertuples(index=False)
        ]
        yield answers.assign(grade_key=np.array(keys, dtype=object)[codes])


def grade_pool(store: Store, workers: int | None = None, say: Callable[[str], None] = print) -> int:
    """Grade every answer that has no verdict of its grader's current version; returns how many
    distinct pairs.

    say: told of answers that a judging model did not judge; nothing is stored for them.
    """
    done = set(store.read("grades", [])["key"].to_pylist())
    before = len(done)
    for answers in graded_answers(store, []):
        pairs = answers.drop_duplicates("grade_key")
        pairs = pairs[~pairs["grade_key"].isin(done)]
        for spec, group in pairs.groupby("grader", sort=False):
            _grade(store, json.loads(str(spec)), group, workers, say)
        done.update(pairs["grade_key"])
    return len(done) - before


def _grade(
    store: Store,
    grader: dict[str, Any],
    pairs: pd.DataFrame,
    workers: int | None,
    say: Callable[[str], None],
) -> None:
    for start in range(0, len(pairs), BLOCK):
        block = pairs.iloc[start : start + BLOCK]
        texts = list(zip(block["gold"], block["text"], strict=True))
        found = grade(grader["name"], texts, grader["options"], workers)
        kept = [
            (key, one) for key, one in zip(block["grade_key"], found, strict=True) if not _lost(one)
        ]
        store.append("grades", [GradeRow(key, **asdict(one)) for key, one in kept])
        if len(kept) < len(found):
            why = next(one.detail for one in found if _lost(one))
            say(
                f"{len(found) - len(kept)} answers have no verdict ({why}); they count as "
                f"unknown, grade again"
            )


def _lost(found: Grade) -> bool:
    return found.verdict == "error" and found.detail.startswith(UNREACHED)
