"""The `scores` table as arrays: one `Pool` for each (model, setting, budget), shaped (problems,
samples).

The reader accepts any table with problem_id, sample and score; what is absent gets the defaults
below. It refuses what would give wrong numbers quietly: scores that are not numbers or not within
[0, 1], rows without a problem, and two rows for one sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.storage import sheets
from testtime.storage.files import exists, opened, place, reading
from testtime.storage.names import shown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

REQUIRED = ("problem_id", "sample", "score")
GROUP = ["model", "setting", "budget"]
TOKENS = ("thinking_tokens", "forced_tokens", "answer_tokens", "prompt_tokens")
NUMBERS = (
    "sample",
    "n",
    "budget",
    "tokens",
    *TOKENS,
    "flops",
    "usd",
    "seconds",
)  # of a scores or cells table
ACCURACIES = ("score", "value")
LARGEST = 2**63  # budgets are whole numbers of 64 bits


@dataclass(frozen=True, slots=True)
class Pool:
    """All samples of one (model, setting, budget).

    problems: ids, sorted; score: (problems, samples), NaN = null or not drawn; drawn: whether there
    is such a row at all; key: codes of `answer_key`, -1 = no vote; columns: every further numeric
    column, same shape; odds: those of them that hold numbers of both signs in the whole table, as
    raw scores of a reward model do.
    """

    model: str
    setting: str
    budget: float
    problems: NDArray[np.object_]
    score: Floats
    drawn: NDArray[np.bool_]
    key: NDArray[np.int64]
    columns: dict[str, Floats]

    @property
    def scored(self) -> int:
        """Scored samples on the problem that has fewest."""
        return int((~np.isnan(self.score)).sum(axis=1).min(initial=self.score.shape[1]))


def numbered_through(table: pd.DataFrame, run: str) -> pd.Series[int]:
    """Sample numbers, (rows,), that go on through several runs of one level, which column `run`
    tells apart.
    """
    keys = [c for c in (*GROUP, "problem_id") if c in table]
    order = table.sort_values([run, "sample"], kind="stable")
    return order.groupby(keys, dropna=False).cumcount()


def read_table(path: str | Path) -> pd.DataFrame:
    """A CSV, Parquet or JSON lines file (a folder of Parquet parts too) as a table. Raises
    UserError when it is absent or unreadable.
    """
    import pandas as pd

    source = place(path)
    if not exists(source):
        raise UserError(f"{source}: no such file")
    if source.is_dir() and not any(source.glob("*.parquet")):
        below = [str(found.parent) for found in sorted(source.glob("*/run.json"))]
        near = f"; did you mean {', '.join(below[:3])}?" if below else ""
        raise UserError(f"{source}: a folder with neither a run nor Parquet files{near}")
    kind = {".parquet": "Parquet", ".jsonl": "JSON lines"}.get(source.suffix, "CSV")
    try:
        with reading(source), opened(source) as file:
            if source.is_dir() or kind == "Parquet":
                return pd.read_parquet(file)
            return pd.read_json(file, lines=True) if kind == "JSON lines" else sheets.read(file)
    except UserError:
        raise
    except Exception as error:  # pandas, pyarrow and the codecs each raise their own kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source}: not readable as {kind}: {reason}") from None


def require(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    """What every scores table (`columns` with score) and every cells table (with value) has to be.

    Raises UserError naming the first column that `table` lacks and the nearest that it has, or what
    a column cannot hold: text among NUMBERS, accuracies outside [0, 1], budgets beyond LARGEST.
    """
    for name in columns:
        if name not in table.columns:
            raise UserError(
                f"{what}: needs a column {name!r}{suggest(name, map(str, table.columns))}"
            )
    accuracies = [name for name in ACCURACIES if name in columns]
    for name in (*accuracies, *(c for c in NUMBERS if c in table)):
        number = _numbers(table[name])
        levels = (
            "; levels such as low and high go into a column 'setting'" if name == "budget" else ""
        )
        refused = [(number.isna() & table[name].notna(), f"which is not a number{levels}")]
        if name in accuracies:
            outside = (number < 0) | (number > 1)
            refused.append(
                (outside, f"and a {name} lies between 0 and 1; divide percentages by 100")
            )
        if name == "budget":
            refused.append((number.abs() >= LARGEST, "which is more tokens than can be counted"))
        for wrong, why in refused:
            if wrong.any():
                held = table[name][wrong].iloc[0]
                shown = repr(held) if isinstance(held, str) else str(held)
                raise UserError(f"{what}: column {name!r} holds {shown}, {why}")


def _numbers(column: pd.Series) -> pd.Series:
    """A column as floats; NaN for what is no number."""
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype("float64")


def normalise(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores table with every column the estimators read, in their types. Raises UserError as
    the module says.
    """
    require(scores, REQUIRED, "scores table")
    if scores.empty:
        raise UserError("scores table: has no rows")
    if scores["problem_id"].isna().any():
        raise UserError(
            "scores table: column 'problem_id' has blanks; name the problem that each row belongs "
            "to"
        )
    table = scores.reset_index(drop=True).copy(deep=False)
    table["problem_id"] = table["problem_id"].astype(str)
    for name, default in (("model", "model"), ("setting", "")):
        if name not in table:
            table[name] = default
            continue
        column = table[name].fillna(default).astype(str)
        table[name] = column.map({text: shown(text) for text in column.unique()})
    for name in ("score", *(c for c in NUMBERS if c in table)):
        table[name] = _numbers(table[name])
    if "budget" not in table:
        table["budget"] = 0.0
    if table["sample"].isna().any():
        raise UserError(
            "scores table: column 'sample' has blanks; number the samples of each problem 0, 1, "
            "2, ..."
        )
    key = [*GROUP, "problem_id", "sample"]
    again = table.duplicated(key)
    if again.any():
        row = table.loc[again, key].iloc[0]
        raise UserError(
            f"scores table: two rows for model {row['model']!r}, setting {row['setting']!r}, "
            f"budget {row['budget']:g}, "
            f"problem {row['problem_id']!r}, sample {row['sample']:g}; a setting of their own "
            f"would tell them apart"
        )
    return table


def pools(scores: pd.DataFrame) -> list[Pool]:
    """The pools of a scores table, ordered by model, setting and budget (a null budget, which is
    NaN here, last).
    """
    import pandas as pd

    table = normalise(scores)
    code = np.full(len(table), -1, dtype=np.int64)
    if "answer_key" in table:
        code = pd.factorize(table["answer_key"])[0].astype(np.int64)
    skipped = {*GROUP, "problem_id", "sample", "score", "answer_key"}
    extra = [
        c for c in table.columns if c not in skipped and pd.api.types.is_numeric_dtype(table[c])
    ]
    data = {c: table[c].to_numpy(dtype=np.float64, na_value=np.nan) for c in extra}
    score = table["score"].to_numpy()
    identity = table["problem_id"].to_numpy(dtype=object)
    result = []
    for group, rows in table.groupby(GROUP, dropna=False, sort=True).indices.items():
        model, setting, budget = cast("tuple[str, str, float]", group)
        names, problem = np.unique(identity[rows], return_inverse=True)
        order = np.lexsort((table["sample"].to_numpy()[rows], problem))
        rows, problem = rows[order], problem[order]
        count = np.bincount(problem)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        shape = (len(names), int(count.max()))

        key = np.full(shape, -1, dtype=np.int64)
        key[problem, place] = code[rows]
        drawn = np.zeros(shape, dtype=bool)
        drawn[problem, place] = True
        columns = {c: _placed(v[rows], problem, place, shape) for c, v in data.items()}
        placed = _placed(score[rows], problem, place, shape)
        result.append(Pool(model, setting, float(budget), names, placed, drawn, key, columns))
    return result


def path_tokens(pool: Pool) -> Floats:
    """What each sample draws one by one, thinking and answer: (problems, samples); NaN where
    unknown. Prompts and forced endings are read in one pass and take no such time. Where parts of a
    sample are drawn side by side, its column `path_tokens` knows the longest.
    """
    if "path_tokens" in pool.columns:
        return pool.columns["path_tokens"]
    parts = [pool.columns[c] for c in ("thinking_tokens", "answer_tokens") if c in pool.columns]
    if not parts:
        return np.full(pool.score.shape, np.nan)
    path: Floats = np.where(np.isnan(parts).all(axis=0), np.nan, np.nansum(parts, axis=0))
    return path


def _placed(
    values: Floats, problem: NDArray[np.int64], place: NDArray[np.int64], shape: tuple[int, int]
) -> Floats:
    out = np.full(shape, np.nan)
    out[problem, place] = values
    return out
