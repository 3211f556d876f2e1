"""Anybody's table of scores, by our names: CSV, Parquet, or JSON lines (where a list in a row holds
one entry a sample).

Columns: problem_id and score are enough; the others of the scores table are understood (model,
setting, budget, answer_key, thinking_tokens, answer_tokens, prompt_tokens, flops, usd, seconds,
forced, verdict, any number that a selector may weigh by), and so are question, gold, thinking and
text, which people read in the report. What other tools call them is known where it is common, and
can be said where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError, suggest
from testtime.estimators.table import GROUP, numbered_through, read_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ALIASES = {
    "problem_id": ("problem", "id", "idx", "doc_id", "question_id", "task_id"),
    "sample": ("epoch", "repeat", "sample_id"),
    "score": ("correct", "is_correct", "acc"),
    "setting": ("reasoning_effort",),
    "budget": ("reasoning_budget",),
}
KNOWN = (
    "model", "setting", "budget", "answer_key", "thinking_tokens", "answer_tokens", "prompt_tokens",
    "flops", "usd", "seconds", "forced", "verdict", "question", "gold", "thinking", "text",
    "output_tokens", "completion_tokens", "reasoning_tokens",
)  # fmt: skip
OUTPUTS = ("output_tokens", "completion_tokens")  # as providers count them
REASONING = ("reasoning_tokens",)
RUNS = ("run", "run_id")  # tell runs of one level apart
GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Table:
    """A scores table with our names. used: which columns were taken for what; changes: what else
    was done to it, both for people; models: all that it was read from, kept or not.
    """

    scores: pd.DataFrame
    used: list[str]
    changes: list[str]
    models: list[str]


def read(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    models: Sequence[str] | None = None,
) -> Table:
    """A file as a scores table. columns: ours -> the file's name for it; models: as `of_models`.

    A table without `model` is of the one that its file is named after; without `sample`, rows of
    one problem (model, setting, budget) are numbered in order. Runs of one level, told apart by a
    column `run` or `run_id`, are pooled. Raises UserError naming what is missing.
    """
    return understood(read_table(path), columns or {}, str(path), models)


def understood(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    source: str,
    models: Sequence[str] | None = None,
) -> Table:
    """A table as it was read, by our names; source: what to call it, such as its file. Raises
    UserError as `read`.
    """
    import pandas as pd

    table, used = _renamed(_an_entry_a_row(table, columns.get("score", "score")), columns, source)
    if table.empty:
        raise UserError(f"{source}: has no rows")
    for name in ("problem_id", "score"):
        if name not in table:
            known = ", ".join(map(str, table.columns))
            raise UserError(
                f"{source}: needs a column {name!r}; it has {known}. Name it: --column "
                f"{name}=COLUMN"
            )
    if "model" not in table:
        table["model"] = stem(source)
    every = list(dict.fromkeys(table["model"].astype(str)))
    table = of_models(table, models)
    if table.empty:
        return Table(table, used, [], every)
    if not pd.api.types.is_numeric_dtype(table["score"]):
        table["score"] = table["score"].map(_score)
    if "sample" not in table:
        keys = [c for c in ("problem_id", *GROUP) if c in table]
        table["sample"] = table.groupby(keys, dropna=False).cumcount()
    if "budget" not in table:
        table["budget"] = float("nan")  # nobody set one, which is not a budget of 0
    changes = [*_runs_pooled(table), *_tokens_apart(table, columns)]
    return Table(table, used, changes, every)


def of_models(table: pd.DataFrame, models: Sequence[str] | None) -> pd.DataFrame:
    """The rows of some models, by name or pattern (`*gpt-5*`); None: all."""
    if not models:
        return table
    kept = {m for m in table["model"].unique() for p in models if matches(str(m), p)}
    return table[table["model"].isin(kept)].reset_index(drop=True)


def matches(model: str, pattern: str) -> bool:
    """Whether a model is named, or meant by a pattern."""
    return model == pattern or fnmatchcase(model, pattern)


def stem(path: str | Path) -> str:
    """A table's own name: `otis` for `logs/otis.csv.gz`."""
    return re.sub(r"\.(csv|parquet|jsonl)(\.\w+)?$", "", PurePath(path).name)


def _score(value: Any) -> Any:
    """C, I, P, N, true and false as numbers, blanks as null; anything else as it is, for the reader
    to judge.
    """
    text = "" if value is None or value != value else str(value).strip()
    return GRADES.get(text, GRADES.get(text.lower(), value)) if text else None


def _renamed(
    table: pd.DataFrame, columns: Mapping[str, str], source: str
) -> tuple[pd.DataFrame, list[str]]:
    """The table with our names, and which columns were used for what."""
    for ours, theirs in columns.items():
        if theirs not in table:
            raise UserError(
                f"{source}: no column {theirs!r} for "
                f"{ours}{suggest(theirs, map(str, table.columns))}"
            )
    renames = {theirs: ours for ours, theirs in columns.items()}
    for ours, others in ALIASES.items():
        alias = next((o for o in others if o in table and o not in renames), None)
        if ours not in table and ours not in columns and alias:
            renames[alias] = ours
    clash = [ours for theirs, ours in renames.items() if ours in table and theirs != ours]
    known = ["problem_id", "sample", "score", *KNOWN]
    used = {renames.get(str(c), str(c)): str(c) for c in table if c not in clash}
    named = [n if used[n] == n else f"{n} = {used[n]}" for n in known if n in used]
    rest = [name for name in used if name not in known]
    notes = [f"columns used: {', '.join(named)}"]
    if rest:
        notes.append(f"further columns, to select by where they are numbers: {', '.join(rest)}")
    if clash:
        notes.append(f"not used, because another was named for them: {', '.join(clash)}")
    table = table.drop(columns=clash).rename(columns=renames).reset_index(drop=True)
    if used.get("setting") in ALIASES["setting"]:
        effort = table["setting"].fillna("").astype(str)
        table["setting"] = ("effort=" + effort).where(effort != "", "")
    return table, notes


def _runs_pooled(table: pd.DataFrame) -> list[str]:
    """Numbers the samples of several runs of one level through, in place, and says so; rows that no
    run tells apart stay, for the reader to refuse.
    """
    keys = [c for c in (*GROUP, "problem_id") if c in table]
    run = next((c for c in RUNS if c in table), None)
    if run is None or not table.duplicated([*keys, "sample"]).any():
        return []
    if table.duplicated([*keys, run, "sample"]).any():
        return []
    table["sample"] = numbered_through(table, run)
    return [f"runs of one level are pooled (column {run})"]


def _tokens_apart(table: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Makes answer_tokens of a provider's output_tokens, in place, and says how: most providers
    count the reasoning among them, so that both together would be counted twice. Which do is seen
    model by model: where it is left out, most output is less than its reasoning.
    """
    if "answer_tokens" not in table:
        theirs = next((c for c in OUTPUTS if c in table), None)
        if theirs is None:
            return []
        table["answer_tokens"] = table[theirs]
    elif columns.get("answer_tokens") not in OUTPUTS:
        return []
    if "thinking_tokens" not in table:
        reasoning = next((c for c in REASONING if c in table), None)
        if reasoning is None:
            return []
        table["thinking_tokens"] = table[reasoning]
    thinking, output = (_numbers(table[name]) for name in ("thinking_tokens", "answer_tokens"))
    fewer = thinking.fillna(0) > output.fillna(float("inf"))
    include = fewer.groupby(table["model"]).transform("mean") < 0.5
    table["answer_tokens"] = (output - thinking.fillna(0).where(include, 0)).clip(lower=0)
    others = list(dict.fromkeys(table.loc[~include, "model"].astype(str)))
    notes = []
    if include.any():
        notes.append(
            "output tokens include the reasoning tokens, which are taken out of answer_tokens"
        )
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        notes.append(
            "output tokens leave out the reasoning tokens (most are fewer), and are taken as they "
            f"are: {', '.join(others[:3])}{more}"
        )
    return notes


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as numbers; what is none becomes null."""
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype(float)


def _an_entry_a_row(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """List-valued columns as long as the score's list become one row an entry."""
    if table.empty or score not in table:
        return table
    if not table[score].map(lambda v: isinstance(v, list)).all():
        return table
    size = table[score].map(len)
    wide = [
        c
        for c in table
        if table[c].map(lambda v: len(v) if isinstance(v, list) else -1).eq(size).all()
    ]
    table = table.explode(wide, ignore_index=True)
    for name in wide:  # reward models give a list of one a sample
        if table[name].map(lambda v: isinstance(v, list) and len(v) == 1).all():
            table[name] = table[name].str[0]
    return table.infer_objects()
