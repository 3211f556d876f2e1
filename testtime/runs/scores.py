"""From the stored pool to the `scores` table: which answer each (problem, sample, budget) has, its
verdict, its cost.

This is the only bridge between sampling and analysis. It reads the columns it needs, never the
chains' tokens, and the answers' texts one part at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime.compute.costs import with_costs
from testtime.compute.flops import Flops
from testtime.grading import Grade, grade
from testtime.grading.base import UNREACHED
from testtime.grading.registry import make
from testtime.models.delimiters import UNSEEN
from testtime.runs.placement import placed
from testtime.runs.rewards import reward_columns
from testtime.storage.store import Store
from testtime.storage.tables import KEYS, SCHEMAS
from testtime.strategies.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 20_000  # pairs graded between two writes
COLUMNS = (
    *(
        "problem_id",
        "model",
        "setting",
        "budget",
        "sample",
        "score",
        "answer_key",
        "thinking_tokens",
        "forced_tokens",
    ),
    *("answer_tokens", "prompt_tokens", "flops", "prompt_flops", "forced", "verdict", "truncated"),
    *("logprob_mean", "logprob_min", "answer_logprob"),
)  # of the scores table; further ones are a problem's level, rewards, dollars and seconds
TAKEN = {*COLUMNS, *SCHEMAS["answers"].names, "answer_finish", "level", "difficulty", "tokens"} | {
    prefix + cost for cost in ("usd", "seconds") for prefix in ("", "prompt_")
}  # what a reward's column cannot be called
SCORE_OF = {
    "correct": 1.0,
    "wrong": 0.0,
    "unparsed": 0.0,
}  # timeout, error and missing are null: unknown, not wrong


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


def _graded_answers(store: Store, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The answers part by part, with gold, grader, and grade_key.

    Equal pairs share a key and are graded once.
    """
    asked = store.read("problems", ["question", "gold", "grader"]).to_pandas()
    told = {spec: reference(spec) for spec in asked["grader"].unique()}
    both = zip(asked["question"], asked["gold"], asked["grader"], strict=True)
    asked["gold"] = [told[spec](question, gold) for question, gold, spec in both]
    asked = asked.drop(columns="question")
    ids = {spec: grader_id(spec) for spec in asked["grader"].unique()}
    names = [*KEYS["answers"], "text", *columns]
    for part in chain(
        [SCHEMAS["answers"].empty_table().select(names)], store.read_parts("answers", names)
    ):
        answers = part.to_pandas().merge(asked, on="problem_id")
        codes = answers.groupby(["grader", "gold", "text"], sort=False, dropna=False).ngroup()
        first = answers.loc[~codes.duplicated(), ["grader", "gold", "text"]]
        keys = [
            grade_key(ids[grader], gold, text)
            for grader, gold, text in first.itertuples(index=False)
        ]
        yield answers.assign(grade_key=np.array(keys, dtype=object)[codes])


def scores(
    store: Store,
    plan: Plan,
    problem_ids: Sequence[str],
    model: str,
    flops: Flops | None,
    setting: str = "",
) -> pd.DataFrame:
    """The `scores` table of a pool under a plan: one row for each problem, sample, setting and
    budget.

    setting: what the model was told; extended chains add "wait=1", "wait=2", ...

    What was not drawn is a row with verdict "missing" and a null score. Columns as in DESIGN:
    problem_id, model, setting, budget, sample, score, answer_key, thinking_tokens, forced_tokens,
    answer_tokens, prompt_tokens, flops, prompt_flops (what n samples share), forced, verdict, and
    the log-probability scores that selectors may weigh by.
    """
    import pandas as pd

    chains = store.read("chains", ["tokens", "finish", "prompt_tokens"]).to_pandas()
    chains = chains.sort_values(["start"], kind="stable")
    chains["length"] = chains["start"] + chains["tokens"]
    chains = chains.drop_duplicates(["problem_id", "sample", "variant"], keep="last")
    columns = ["forced", "tokens", "finish", "logprob_mean", "logprob_min", "answer_logprob"]
    parts = [
        part.drop(columns=["gold", "grader", "text"]) for part in _graded_answers(store, columns)
    ]
    answers = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    answers = answers.drop_duplicates(KEYS["answers"])
    answers = answers.rename(columns={"tokens": "answer_tokens", "finish": "answer_finish"})
    grades = (
        store.read("grades", ["verdict", "answer_key"])
        .to_pandas()
        .rename(columns={"key": "grade_key"})
    )
    answers = answers.merge(grades, on="grade_key", how="left").drop(columns="grade_key")
    rewards = reward_columns(store)
    rewarded = [] if rewards is None else [c for c in rewards if c not in KEYS["answers"]]
    if rewards is not None:
        answers = answers.merge(rewards, on=KEYS["answers"], how="left")

    problems = (
        store.read("problems", ["prompt_ids", "meta"])
        .to_pandas()
        .set_index("problem_id")
        .loc[list(problem_ids)]
    )
    lengths = problems["prompt_ids"].map(len)
    if plan.form == UNSEEN:  # only the server could count them
        lengths = (
            chains.groupby("problem_id")["prompt_tokens"].first().reindex(problems.index).fillna(0)
        )
    table = placed(plan, chains, problem_ids, setting).merge(
        answers, on=["problem_id", "sample", "variant", "cut", "spec"], how="left"
    )

    drawn = table["answer_tokens"].notna()
    table["verdict"] = (
        table["verdict"].where(table["verdict"].notna() | ~drawn, "error").where(drawn, "missing")
    )
    table["score"] = table["verdict"].map(SCORE_OF).astype(float)
    table["forced"] = table["forced"].eq(True)
    table["thinking_tokens"] = table["cut"].where(drawn)
    ending = plan.form.close if plan.whole else plan.form.ending
    table["forced_tokens"] = (table["forced"] * len(ending)).where(drawn)
    table["prompt_tokens"] = table["problem_id"].map(lengths)
    table["model"] = model
    table = (
        with_costs(table, flops=flops) if flops else table.assign(flops=np.nan, prompt_flops=np.nan)
    )
    table["truncated"] = table["answer_finish"].eq("length")
    levels = problems["meta"].map(lambda text: json.loads(text).get("level"))
    if levels.notna().any():
        table["level"] = table["problem_id"].map(levels)
    return table[[*COLUMNS, *(c for c in ("level",) if c in table), *rewarded]]


def grade_pool(store: Store, workers: int | None = None, say: Callable[[str], None] = print) -> int:
    """Grade every answer that has no verdict of its grader's current version; returns how many
    distinct pairs.

    say: told of answers that a judging model did not judge; nothing is stored for them.
    """
    done = set(store.read("grades", [])["key"].to_pylist())
    before = len(done)
    for answers in _graded_answers(store, []):
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
        store.append("grades", [{"key": key, **asdict(one)} for key, one in kept])
        if len(kept) < len(found):
            why = next(one.detail for one in found if _lost(one))
            say(
                f"{len(found) - len(kept)} answers have no verdict ({why}); they count as "
                f"unknown, grade again"
            )


def _lost(found: Grade) -> bool:
    return found.verdict == "error" and found.detail.startswith(UNREACHED)
