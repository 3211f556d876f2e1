"""Anybody's table of scores: CSV, Parquet, or JSON lines (where a list in a row holds one entry a
sample).

Columns: problem_id, sample and score are enough; the others of the scores table are understood
(model, setting, budget, answer_key, thinking_tokens, answer_tokens, prompt_tokens, flops, usd,
seconds, forced, verdict, any number that a selector may weigh by), and so are question, gold,
thinking and text, which people read in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError, suggest
from testtime.estimators.table import read_table
from testtime.importers.log import Log, save

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run

ALIASES = {
    "problem_id": ("problem", "id", "idx", "doc_id", "question_id", "task_id"),
    "sample": ("epoch", "repeat", "sample_id"),
    "score": ("correct", "is_correct", "acc"),
}
KNOWN = (
    "model", "setting", "budget", "answer_key", "thinking_tokens", "answer_tokens", "prompt_tokens",
    "flops", "usd", "seconds", "forced", "verdict", "question", "gold", "thinking", "text",
    "output_tokens", "completion_tokens", "reasoning_tokens",
)  # fmt: skip
OUTPUTS = ("output_tokens", "completion_tokens")  # as providers count them
REASONING = ("reasoning_tokens",)
GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "true": 1.0, "false": 0.0}


def import_csv(
    path: str | Path,
    out: str | Path = "runs",
    *,
    columns: Mapping[str, str] | None = None,
    task: str | None = None,
    model: str | None = None,
    selectors: Sequence[str] | None = None,
) -> Run:
    """A table as a run directory. columns: ours -> the table's name for it. Raises UserError naming
    what is missing.

    A table without `sample` has its rows of one problem (model, setting, budget) numbered in order.
    """
    import pandas as pd

    source = Path(path)
    table = _json_lines(source, columns or {}) if source.suffix == ".jsonl" else read_table(source)
    table, notes = _renamed(table, columns or {}, source)
    if table.empty:
        raise UserError(f"{source}: has no rows")
    for name in ("problem_id", "score"):
        if name not in table:
            known = ", ".join(map(str, table.columns))
            raise UserError(
                f"{source}: needs a column {name!r}; it has {known}. Name it: --column "
                f"{name}=COLUMN"
            )
    if model is not None or "model" not in table:
        table["model"] = model or source.stem
    if not pd.api.types.is_numeric_dtype(table["score"]):
        table["score"] = table["score"].map(_score)
    if "sample" not in table:
        keys = [c for c in ("problem_id", "model", "setting", "budget") if c in table]
        table["sample"] = table.groupby(keys, dropna=False).cumcount()
    if "budget" not in table and "setting" in table:
        table["budget"] = float("nan")
    problems = {}
    if "question" in table or "gold" in table:
        first = table.drop_duplicates("problem_id").fillna({"question": "", "gold": ""})
        for row in first.to_dict("records"):
            problems[str(row["problem_id"])] = (
                str(row.get("question", "")),
                str(row.get("gold", "")),
            )
    notes += _tokens_apart(table, columns or {})
    scores = table.drop(columns=[c for c in ("question", "gold") if c in table])
    for name in ("thinking", "text"):
        if name in scores:
            scores[name] = scores[name].astype("string")
    return save(
        Log(task or source.stem.split(".")[0], "csv", [str(source)], scores, problems, notes=notes),
        out,
        selectors,
    )


def _score(value: Any) -> Any:
    """C, I, P, N, true and false as numbers, blanks as null; anything else as it is, for the reader
    to judge.
    """
    text = "" if value is None or value != value else str(value).strip()
    return GRADES.get(text, GRADES.get(text.lower(), value)) if text else None


def _renamed(
    table: pd.DataFrame, columns: Mapping[str, str], source: Path
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
    return table.drop(columns=clash).rename(columns=renames), notes


def _tokens_apart(table: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Makes answer_tokens of a provider's output_tokens, in place, and says how: most providers
    count the reasoning among them, so that both together would be counted twice.
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
    if (thinking.fillna(0) <= output.fillna(float("inf"))).all():
        table["answer_tokens"] = output - thinking.fillna(0)
        return ["output tokens include the reasoning tokens, which are taken out of answer_tokens"]
    return ["output tokens leave out the reasoning tokens (some are fewer): taken as they are"]


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as numbers; what is none becomes null."""
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype(float)


def _json_lines(source: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """JSON lines; list-valued columns as long as the score's list become one row an entry."""
    import pandas as pd

    try:
        table = pd.read_json(source, lines=True)
    except (OSError, ValueError, RecursionError, OverflowError) as error:
        raise UserError(
            f"{source}: not readable as JSON lines: {(str(error).splitlines() or ['?'])[0]}"
        ) from None
    score = columns.get("score", "score")
    if (
        table.empty
        or score not in table
        or not table[score].map(lambda v: isinstance(v, list)).all()
    ):
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
