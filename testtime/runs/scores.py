"""From the stored pool to the `scores` table: one row an attempt, its verdict and its cost.

This is the only bridge between sampling and analysis. It reads the columns it needs, never the
chains' tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from testtime.compute.flops import Flops
from testtime.errors import UserError, suggest
from testtime.estimators.grid import USES
from testtime.grading.base import BY_CONVENTION
from testtime.grammar import selector
from testtime.runs.choices import choice_columns, names
from testtime.runs.columns import COLUMNS, LOGPROBS
from testtime.runs.recipe import cell_of, setting_of
from testtime.runs.rewards import reward_columns
from testtime.runs.verdicts import SCORE_OF, graded_answers
from testtime.runs.verifications import verification_columns
from testtime.storage.store import Store
from testtime.storage.tables import SCHEMAS
from testtime.strategies.base import Amounts

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def scores(
    store: Store,
    recipe: str,
    cells: Sequence[Amounts],
    problem_ids: Sequence[str],
    samples: int,
    model: str,
    flops: Flops | None,
    setting: str = "",
    verifier: Flops | None = None,
    planner: Flops | None = None,
) -> pd.DataFrame:
    """The `scores` table of a pool: one row for each cell of the strategy, problem and sample.

    recipe: of the attempts to read; setting: what the model was told; amounts beyond the budget
    ("wait=1", "round=2") join it and are columns too. What was not drawn is a row with verdict
    "missing" and a null score. Columns as in DESIGN: thinking_tokens are all sampled tokens but the
    answer's; forced_tokens what was fed after the prompt; prompt_flops what n samples share.
    Tokens are the policy's; where a verifier steered, its FLOPs are part of flops and a column
    verifier_flops, what it says of the attempt is the column prm, and a particle filter's effective
    sample size the column ess. Where another model plans, planner_tokens are those of the thinking
    tokens that it drew; planner_context, planner_fed and planner_flops are its own too, and the
    last are part of flops. tool_calls, tool_failures, tool_seconds and fallbacks (questions
    that could not be split) are there where there were any. Where a correct verdict rests on
    conventions (units, percent, rounding), a column convention names them.
    """
    import pandas as pd

    problems = store.read("problems", ["prompt_ids", "meta"]).to_pandas().set_index("problem_id")
    problems = problems.loc[list(problem_ids)]
    names = [cell_of(amounts) for amounts in cells]
    grid = _Grid(names, list(problem_ids), samples)
    table = pd.DataFrame(grid.keys(model, cells, setting))

    columns = SCHEMAS["attempts"].names
    attempts = store.read("attempts", columns, pc.field("recipe") == recipe)
    place = grid.places(attempts)
    attempts, place = attempts.filter(pa.array(place >= 0)), place[place >= 0]

    def spread(values: Any, dtype: Any = float, empty: Any = np.nan) -> NDArray[Any]:
        whole = np.full(len(table), empty, dtype=dtype)
        whole[place] = values
        return whole

    (context, fed, drawn), first, by = _calls(attempts)
    judge, plans = (by == name for name in ("prm", "planner"))
    answer_tokens = attempts["answer_tokens"].to_numpy().astype(float)
    lengths = problems["prompt_ids"].map(len).to_numpy(dtype=float)[grid.problem]
    # Where only the server could count the prompt, its count is what the first call was fed.
    counted = np.where(lengths[place] > 0, lengths[place], fed[first] if len(fed) else 0)
    if plans.any():  # samples that are planned for share no prompt
        counted = np.where(_sums(plans * 1.0, first) > 0, 0.0, counted)
    ours = np.where(judge | plans, 0.0, 1.0)
    total_fed, total_drawn = _sums(fed * ours, first), _sums(drawn, first)
    table["thinking_tokens"] = spread(total_drawn - answer_tokens)
    table["forced_tokens"] = spread(total_fed - counted)
    table["answer_tokens"] = spread(answer_tokens)
    table["prompt_tokens"] = np.where(np.isnan(spread(counted)), lengths, spread(counted))
    table["context_tokens"] = spread(_sums(context * ours, first))
    table["path_tokens"] = spread(attempts["path"].to_numpy())
    table["calls"] = spread(pc.list_value_length(attempts["drawn"]).to_numpy())
    table["flops"] = table["prompt_flops"] = np.nan
    if flops is not None:
        table["flops"] = spread(_sums(flops.call(context, fed, drawn) * ours, first))
        shared = flops.prefill(table["prompt_tokens"].to_numpy())
        table["prompt_flops"] = np.where(table["flops"].notna(), shared, np.nan)
    if plans.any():
        for name, tokens in (("tokens", drawn), ("fed", fed), ("context", context)):
            table[f"planner_{name}"] = spread(_sums(tokens * plans, first))
        table["planner_flops"] = np.nan
        if planner is not None:
            table["planner_flops"] = spread(_sums(planner.call(context, fed, drawn) * plans, first))
        table["flops"] += table["planner_flops"]
    searched = bool(judge.any())
    if searched:
        table["prm"] = spread(attempts["value"].to_numpy().astype(float))
        table["verifier_flops"] = np.nan
        if verifier is not None:
            read = np.where(judge, verifier.forward(context, fed), 0.0)
            table["verifier_flops"] = spread(_sums(read, first))
        table["flops"] += table["verifier_flops"]
        if attempts["ess"].null_count < len(attempts):
            table["ess"] = spread(attempts["ess"].to_numpy().astype(float))
    used = {name: pc.fill_null(attempts[name], 0) for name in USES}  # older parts know of none
    for name, counts in used.items():
        of = used["tool_calls"] if name.startswith("tool_") else counts
        if pc.any(pc.greater(of, 0)).as_py():
            table[name] = spread(counts.to_numpy())
    table["forced"] = spread(attempts["forced"].to_numpy(zero_copy_only=False), bool, False)

    answers, rewarded = _answers(store)
    known = _joined(attempts, answers)
    stored = spread(True, bool, False)
    named = ("answer_key", "verdict", *(c for c in ("convention",) if known[c].notna().any()))
    for name in named:
        table[name] = spread(known[name].to_numpy(dtype=object), object, None)
    verdict = table["verdict"]
    verdict = verdict.where(verdict.notna() | ~stored, "error").where(stored, "missing")
    table["verdict"], table["score"] = verdict, verdict.map(SCORE_OF).astype(float)
    for name in (*LOGPROBS, *rewarded):
        table[name] = spread(known[name].to_numpy(dtype=float))
    single = [keys[0] if len(keys) == 1 else "" for keys in attempts["answers"].to_pylist()]
    choices = choice_columns(store, table, spread(single, object, "").tolist())
    table = table.assign(**choices)
    rewarded += choices
    table["truncated"] = spread(known["finish"].eq("length").to_numpy(), bool, False)
    levels = problems["meta"].map(lambda text: json.loads(text).get("level"))
    if levels.notna().any():
        table["level"] = levels.to_numpy(dtype=object)[grid.problem]
    more = [c for c in table if c not in (*COLUMNS, "level", *rewarded)]
    level = [c for c in ("level",) if c in table]
    return table[[*COLUMNS, *more, *level, *rewarded]]


def check_selectors(selectors: Sequence[str], store: Store, searched: bool) -> None:
    """Refuse, before anything is drawn, a selector by a column that the run will not have.

    searched: whether a verifier steers, whose scores are the column prm. Raises UserError.
    """
    judgements = _judgements(store) if store.exists else []
    rewards = [str(name) for judged in judgements for name in judged]
    rewards += names(store) if store.exists else []
    numbers = [c for c in COLUMNS if c.endswith(("_tokens", "flops", "calls"))]
    known = {*numbers, *LOGPROBS, *(["prm"] if searched else []), *rewards}
    for text in selectors:
        column = selector(text).column
        if column and column not in known:
            raise UserError(
                f"selectors: {text}: the run has no column {column!r}"
                f"{suggest(column, [*LOGPROBS, *known.difference(numbers, LOGPROBS)])}; scores of "
                f"a reward model come after drawing, by `testtime reward`, and are listed then"
            )


class _Grid:
    """The rows that a scores table has: cell by cell, problem by problem, sample by sample."""

    def __init__(self, cells: list[str], problems: list[str], samples: int) -> None:
        self.cells, self.problems, self.samples = cells, problems, samples
        count = len(problems) * samples
        self.cell = np.repeat(np.arange(len(cells)), count)
        self.problem = np.tile(np.repeat(np.arange(len(problems)), samples), len(cells))

    def keys(self, model: str, amounts: Sequence[Amounts], setting: str) -> dict[str, Any]:
        told = [setting_of(cell, setting) for cell in amounts]
        names = list(dict.fromkeys(name for cell in amounts for name in cell if name != "budget"))
        budgets = np.array([cell.get("budget", np.nan) for cell in amounts])
        return {
            "problem_id": np.array(self.problems, dtype=object)[self.problem],
            "model": model,
            "setting": np.array(told, dtype=object)[self.cell],
            "budget": budgets[self.cell],
            "sample": np.tile(np.arange(self.samples), len(self.cells) * len(self.problems)),
            **{k: np.array([cell.get(k, 0) for cell in amounts])[self.cell] for k in names},
        }

    def places(self, attempts: pa.Table) -> NDArray[np.int64]:
        """The row of each attempt, -1 for one that the table does not ask for."""
        cell = pc.index_in(attempts["cell"], pa.array(self.cells, pa.string()))
        problem = pc.index_in(attempts["problem_id"], pa.array(self.problems, pa.string()))
        sample = attempts["sample"].to_numpy().astype(np.int64)
        codes = [pc.fill_null(part, -1).to_numpy().astype(np.int64) for part in (cell, problem)]
        place = (codes[0] * len(self.problems) + codes[1]) * self.samples + sample
        asked = (codes[0] >= 0) & (codes[1] >= 0) & (sample < self.samples)
        return np.where(asked, place, -1)


def _calls(
    attempts: pa.Table,
) -> tuple[list[Floats], NDArray[np.int64], NDArray[np.object_]]:
    """context, fed and drawn of all attempts' calls, flat; where each attempt's begin; and whose
    the calls are.
    """
    flat = (pc.list_flatten(attempts[c]).to_numpy() for c in ("context", "fed", "drawn"))
    by = pc.list_flatten(attempts["models"]).to_numpy(zero_copy_only=False)
    return [values.astype(np.float64) for values in flat], _starts(attempts["drawn"])[0], by


def _starts(lists: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each list begins in the flat values, and its length."""
    counts = pc.list_value_length(lists).to_numpy().astype(np.int64)
    return np.cumsum(counts) - counts, counts


def _sums(values: Floats, first: NDArray[np.int64]) -> Floats:
    """Sums over each attempt's calls."""
    return np.add.reduceat(values, first) if len(values) else np.zeros(0)


def _answers(store: Store) -> tuple[pd.DataFrame, list[str]]:
    """The answers by key, with their verdicts and what judges said; and the columns of these."""
    import pandas as pd

    columns = ["finish", *LOGPROBS]
    unused = ["gold", "grader", "text", "problem_id"]
    parts = [part.drop(columns=unused) for part in graded_answers(store, columns)]
    answers = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    answers = answers.drop_duplicates("key")
    grades = store.read("grades", ["verdict", "answer_key", "detail"]).to_pandas()
    rests = grades["detail"].str.startswith(BY_CONVENTION)
    grades["convention"] = grades.pop("detail").str.removeprefix(BY_CONVENTION).where(rests)
    answers = answers.merge(grades.rename(columns={"key": "grade_key"}), on="grade_key", how="left")
    named: list[str] = []
    for judged in _judgements(store):
        named += [str(column) for column in judged if column != "key"]
        answers = answers.merge(judged, on="key", how="left")
    return answers.set_index("key"), named


def _judgements(store: Store) -> list[pd.DataFrame]:
    """What reward models and verifications say of the stored answers, each a table by key."""
    every = reward_columns(store), verification_columns(store)
    return [judged for judged in every if judged is not None]


def _joined(attempts: pa.Table, answers: pd.DataFrame) -> pd.DataFrame:
    """What is known of each attempt's answer, in the attempts' order; of several answers, that for
    which most of their weight votes (the earlier of equals).
    """
    first, counts = _starts(attempts["answers"])
    keys = pc.list_flatten(attempts["answers"]).to_numpy(zero_copy_only=False)
    flat = answers.reindex(keys)
    chosen = first.copy()
    weights = pc.list_flatten(attempts["weights"]).to_numpy()
    for index in np.flatnonzero(counts > 1):
        start, end = first[index], first[index] + counts[index]
        votes = flat["answer_key"].iloc[start:end].to_numpy(dtype=object)
        totals = [weights[start:end][votes == vote].sum() if vote else 0.0 for vote in votes]
        chosen[index] = start + int(np.argmax(totals))
    return flat.iloc[chosen]
