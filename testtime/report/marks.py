"""What became of every answer, as letters: what the page's filters and its differences read.

A letter a sample and level tells who was right where, and the page has room for those of all
problems where it has none for their texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testtime.report.results import Results, at_level

ABSENT = "-"
LETTERS = {"correct": "c", "wrong": "w", "unparsed": "u", "timeout": "t", "error": "e"}
MISSING, PARTLY = "m", "p"  # never drawn or never scored; a score between 0 and 1
FIRST_VOTE = ord("a")  # of a problem's distinct answers


def marks(results: Results, problems: Sequence[str], votes: bool = True) -> list[dict[str, Any]]:
    """For each problem `right`, its share of right answers at each level (None where unknown), and
    `verdicts` and `votes`: at each level a text of one letter a sample. Equal letters of `votes`
    are equal answers; votes: whether to give them.
    """
    import pandas as pd

    table = results.scores
    problem = pd.Categorical(table["problem_id"].astype(str), categories=list(problems)).codes
    sample = pd.factorize(table["sample"], sort=True)[0]
    level = np.full(len(table), -1)
    for index, wanted in enumerate(results.levels):
        level[at_level(table, wanted).to_numpy()] = index
    there = (problem >= 0) & (level >= 0)
    place = problem[there], level[there], sample[there]
    shape = len(problems), len(results.levels), int(sample.max()) + 1
    columns = {"verdicts": _spread(_verdicts(table)[there], place, shape)}
    if votes and "answer_key" in table:
        columns["votes"] = _spread(_votes(table, problem)[there], place, shape)
    rates = results.rates.loc[list(problems)].to_numpy()
    return [
        {"right": rounded(row)} | {name: texts[index] for name, texts in columns.items()}
        for index, row in enumerate(rates)
    ]


def rounded(shares: Iterable[float]) -> list[float | None]:
    """Shares with four decimals; None for NaN."""
    return [None if share != share else round(float(share), 4) for share in shares]


def _verdicts(table: Any) -> NDArray[np.str_]:
    """The letter of each row of a scores table."""
    score = table["score"].to_numpy(dtype=float, na_value=np.nan)
    letters = np.where(np.isnan(score), MISSING, np.where(score == 0, "w", PARTLY))
    letters[score == 1] = "c"
    if "verdict" in table:
        told = table["verdict"].map(LETTERS)
        letters = np.where(told.notna(), told.fillna(""), letters)
    return letters.astype("U1")


def _votes(table: Any, problem: NDArray[Any]) -> NDArray[np.str_]:
    """The letter of each row's answer among the distinct answers of its problem."""
    import pandas as pd

    keys, distinct = pd.factorize(table["answer_key"])
    both = pd.factorize(problem.astype(np.int64) * (len(distinct) + 1) + keys)[0]
    first = pd.Series(both).groupby(problem).transform("min").to_numpy()
    letters = (both - first + FIRST_VOTE).astype(np.uint32).view("U1")
    return np.where(keys < 0, ABSENT, letters)


def _spread(
    letters: NDArray[np.str_], place: tuple[Any, Any, Any], shape: tuple[int, int, int]
) -> list[list[str]]:
    """(problem, level) -> a text with each sample's letter."""
    whole = np.full(shape, ABSENT, dtype="U1")
    whole[place] = letters
    return [["".join(samples) for samples in rows] for rows in whole.tolist()]
