"""How n answers become one: what every selector of `grammar.SELECTORS` scores on a pool.

A new selector is a line there and a kernel here. Each gives the expectation over the k-subsets of a
problem's samples, unbiased for k fresh samples. What links a score to the weight of a vote stands
in the selector's name (`weighted:p` for probabilities and other weights, `weighted-logit:r` for
log-odds such as a reward model's raw output, `weighted-logprob:l` for log-probabilities), so that a
number never depends on which other rows stand in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.majority import majority_at_k
from testtime.estimators.ranked_votes import ranked_vote_at_k
from testtime.estimators.selection import best_at_k, oracle_at_k
from testtime.estimators.table import TOKENS, Pool, path_tokens
from testtime.grammar import SELECTORS, Form, Name, selector

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Asked:
    pool: Pool
    name: Name
    ks: Sequence[int]
    draws: int
    seed: int


def _mean(a: _Asked) -> Floats:
    return np.repeat(np.nanmean(a.pool.score, axis=1)[:, None], len(a.ks), axis=1)


def _oracle(a: _Asked) -> Floats:
    return oracle_at_k(a.pool.score, a.ks)


def _best(a: _Asked) -> Floats:
    return best_at_k(a.pool.score, a.pool.columns[a.name.column], a.ks)


def _taken(a: _Asked) -> tuple[Floats, Floats]:
    """The mean over choices that were drawn, and its error; k is what was shown, and no other."""
    score = a.pool.score
    counts = np.where(np.isnan(score), 0.0, np.nan_to_num(a.pool.columns[a.name.column]))
    total = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        first, second = (np.nansum(counts * score**p, axis=1) / total for p in (1, 2))
    error = np.sqrt(np.maximum(second - first**2, 0.0) / np.maximum(total - 1, 1.0))
    other = np.array([k != shown_together(a.name) for k in a.ks])
    return tuple(np.where(other, np.nan, one[:, None]) for one in (first, error))  # type: ignore[return-value]


def _vote(a: _Asked) -> tuple[Floats, Floats]:
    weights = None if a.name.kind == "majority" else vote_weights(a.pool, a.name)
    vote = majority_at_k(a.pool.score, a.pool.key, a.ks, weights, draws=a.draws, seed=a.seed)
    return vote.value, vote.mc_error


def _ranked(a: _Asked) -> tuple[Floats, Floats]:
    amount = a.name.numbers[0]
    if a.name.kind == "filtered":
        ranking = a.pool.columns[a.name.column]
        voters = [max(1, ceil(amount * k - 1e-9)) for k in a.ks]
    else:
        ranking = path_tokens(a.pool) * (-1.0 if a.name.kind == "shortest" else 1.0)
        voters = [int(amount)] * len(a.ks)
    vote = ranked_vote_at_k(
        a.pool.score, a.pool.key, ranking, a.ks, voters, draws=a.draws, seed=a.seed
    )
    return vote.value, vote.mc_error


KERNELS: Mapping[str, Callable[[_Asked], Floats | tuple[Floats, Floats]]] = {
    "mean": _mean,
    "majority": _vote,
    "oracle": _oracle,
    "best": _best,
    "genselect": _taken,
    "weighted": _vote,
    "weighted-logit": _vote,
    "weighted-logprob": _vote,
    "filtered": _ranked,
    "shortest": _ranked,
    "longest": _ranked,
}


def selected(
    pool: Pool, text: str, ks: Sequence[int], *, draws: int = 128, seed: int = 0
) -> tuple[Floats, Floats]:
    """(value, Monte Carlo error) of a selector on a pool, each (problems, len(ks)); the error is 0
    where the value is exact.
    """
    name = selector(text)
    result = KERNELS[name.kind](_Asked(pool, name, ks, draws, seed))
    return result if isinstance(result, tuple) else (result, np.zeros_like(result))


def shown_together(name: Name) -> int:
    """How many answers a genselect's column was chosen from: k of NAME_k. Raises UserError for a
    column of another form.
    """
    k = name.column.rpartition("_")[2]
    if not k.isdecimal():
        raise UserError(
            f"selector {name.text!r}: {name.column!r} holds no choices; write genselect:NAME_k, as "
            "`testtime choose` names them"
        )
    return int(k)


def sizes(pool: Pool, text: str, ks: Sequence[int]) -> list[int]:
    """The numbers of samples, of those asked for, at which a selector has a cell: one sample for
    `mean`, and for `genselect` as many as were shown, wherever there are so many.
    """
    name = selector(text)
    if name.kind not in ("mean", "genselect"):
        return list(ks)
    only = 1 if name.kind == "mean" else shown_together(name)
    return [only] if only <= pool.scored else []


def vote_weights(pool: Pool, name: Name) -> Floats:
    """Weights of a vote, (problems, samples), by the link that the selector's name states.

    Only ratios within a problem count, so logarithms are taken against its largest; below e^-700 of
    that all weigh the same. Raises UserError for `weighted` on a column that holds negative values.
    """
    values = pool.columns[name.column]
    if name.kind == "weighted":
        if np.nanmin(values, initial=0.0) < 0:
            raise UserError(
                f"selector {name.text!r}: weights must not be negative, and the column holds "
                f"{np.nanmin(values):g}; write weighted-logprob:{name.column} for "
                f"log-probabilities, weighted-logit:{name.column} for log-odds, or "
                f"best:{name.column}"
            )
        return values
    log = values if name.kind == "weighted-logprob" else -np.logaddexp(0.0, -values)
    weights: Floats = np.exp(np.maximum(log - np.fmax.reduce(log, axis=1, keepdims=True), -700.0))
    return weights


def check(selectors: Sequence[str], scores: pd.DataFrame, groups: Sequence[Pool]) -> None:
    """Raises UserError for a selector that does not exist or whose column the table lacks."""
    if not selectors:
        known = ", ".join(form.written(kind) for kind, form in SELECTORS.items())
        raise UserError(f"selectors: name at least one of {known}")
    for text in selectors:
        check_columns(selector(text), "selector", SELECTORS, scores, groups)


def check_columns(
    name: Name, what: str, forms: Mapping[str, Form], scores: pd.DataFrame, groups: Sequence[Pool]
) -> None:
    """Raises UserError where the scores table lacks what a selector or stopping rule reads."""
    columns = sorted({c for p in groups for c in p.columns} - {*TOKENS, "flops"})
    if name.column and name.column not in columns:
        raise UserError(
            f"{what} {name.text!r}: the scores table has no numeric column "
            f"{name.column!r}{suggest(name.column, columns)}"
        )
    if forms[name.kind].votes and "answer_key" not in scores:
        raise UserError(
            f"{what} {name.text!r}: votes need a column 'answer_key' with the graders' key of each "
            f"answer"
        )
    if name.kind in ("shortest", "longest") and all(np.isnan(path_tokens(p)).all() for p in groups):
        raise UserError(
            f"{what} {name.text!r}: lengths need a column 'thinking_tokens' or 'answer_tokens'"
        )


def supports(pool: Pool, text: str) -> bool:
    """Whether a pool can say what a selector scores.

    It holds values of the column (or lengths), and where answers vote, right ones have keys (else
    its votes are unknown, not lost).
    """
    name = selector(text)
    if name.column and np.isnan(pool.columns[name.column]).all():
        return False
    if name.kind == "genselect" and np.isnan(pool.columns[name.column]).all(axis=1).any():
        return False  # some problem's choices are missing
    if name.kind in ("shortest", "longest") and np.isnan(path_tokens(pool)).all():
        return False
    return not (name.votes and pool.key.max(initial=-1) < 0 and np.nanmax(pool.score) > 0)
