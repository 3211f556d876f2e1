"""When to draw no more: stopping rules across the samples of a problem.

A new rule is a line in `grammar.RULES` and a kernel here. A rule only re-reads what was drawn: it
sees the votes after each sample (`votes.Replay`) and says where it would have stopped. What that is
worth and costs depends on how it is deployed, which is `deployments`' job.

    fixed              never stops early: n samples
    beta:LEVEL         Adaptive-Consistency (Aggarwal et al. 2023, section 3): the posterior
                       probability that the leader beats the second, P(p1 > p2) with
                       p ~ Beta(v1 + 1, v2 + 1), passes LEVEL
    dirichlet:LEVEL    the same against all answers seen at once, p ~ Dirichlet(v + 1)
    esc:COUNT          early-stopping self-consistency (Li et al. 2024): all samples of a window of
                       COUNT agree, and theirs is the answer (as in the authors' code), also
                       where earlier windows outvote them
    share:SHARE        draws double, 2, 4, 8, ...; stops when the leader has SHARE of them
    bar:COLUMN:BAR     stops at the first sample whose COLUMN reaches BAR, and believes it; where
                       none does, all vote
    deepconf:COLUMN:SHARE:COUNT:LEVEL
                       DeepConf's offline form (Fu et al. 2025): COUNT samples to warm up set the
                       bar that their best SHARE pass, only samples above it vote, and it stops
                       when the leader has LEVEL of those votes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.votes import Replay, count
from testtime.grammar import RULES, Name, parse

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NODES, TAIL = 96, 1e-13  # of the Dirichlet posterior's integral: error below 1e-10


def rule(text: str) -> Name:
    """Read a rule's name. Raises UserError."""
    return parse(text, RULES, "stopping rule")


def looks(name: Name, samples: int) -> Flags:
    """After which of 1 .. samples a rule may stop: (samples,). What it draws between two looks can
    run side by side.
    """
    n = np.arange(1, samples + 1)
    if name.kind == "fixed":
        at = n > samples
    elif name.kind == "esc":
        at = n % int(name.numbers[0]) == 0
    elif name.kind == "share":
        at = (n > 1) & (n & (n - 1) == 0)
    else:
        at = n >= (name.numbers[1] if name.kind == "deepconf" else 1)
    return np.asarray(at, dtype=np.bool_)


def counted(name: Name, plain: Replay, score: Floats, column: Floats | None) -> Replay:
    """The votes and the value as a rule counts them.

    plain: the votes of all; score: as `votes.answers_of` gives it; column: what the rule reads,
    None where nothing; all (orders, samples). A rule with a bar counts only samples that pass it.
    """
    if name.kind == "esc":
        agreed = (plain.run >= int(name.numbers[0])) & looks(name, plain.key.shape[1])
        return replace(plain, value=np.where(agreed, score, plain.value))
    if column is None:
        return plain
    key = plain.key
    sure = np.where(np.isnan(column), -np.inf, column)
    if name.kind == "bar":
        passed = sure >= name.numbers[0]
    else:
        warm = min(int(name.numbers[1]), key.shape[1])
        kept = max(1, ceil(name.numbers[0] * warm - 1e-9))
        bar = np.sort(sure[:, :warm], axis=1)[:, warm - kept]
        passed = sure >= bar[:, None]
    voted = count(np.where(passed, key, np.int32(-1)), score)
    early = voted.top == 0
    if name.kind == "deepconf":
        early = early | (np.arange(key.shape[1]) < warm - 1)
    value = np.where(early, plain.value, voted.value)  # where nobody passed, all vote
    return Replay(voted.key, voted.top, voted.second, voted.run, value)


def stop_after(name: Name, votes: Replay) -> NDArray[np.int64]:
    """How many samples the rule has drawn when it stops, in each order: (orders,); one more than
    there are where it never does.
    """
    samples = votes.key.shape[1]
    may = KERNELS[name.kind](name, votes) & looks(name, samples)
    stopped: NDArray[np.int64] = np.where(may.any(axis=1), may.argmax(axis=1) + 1, samples + 1)
    return stopped


def _never(name: Name, votes: Replay) -> Flags:
    return np.zeros(votes.key.shape, dtype=bool)


def _beta(name: Name, votes: Replay) -> Flags:
    passes = _beta_table(votes.key.shape[1]) >= name.numbers[0]
    table: Flags = passes[votes.top, votes.second]
    return table


def _dirichlet(name: Name, votes: Replay) -> Flags:
    """The posterior against all answers is at most that against the second, so only orders that
    pass `beta` are looked at, sample by sample until they pass.
    """
    level = name.numbers[0]
    candidate = _beta(name, votes)
    result = np.zeros(candidate.shape, dtype=bool)
    at = np.where(candidate.any(axis=1), candidate.argmax(axis=1), -1)
    open_ = np.flatnonzero(at >= 0)
    samples = candidate.shape[1]
    while len(open_):
        counted = _counts(votes.key[open_], at[open_])
        passes = _surely_largest(counted, samples) >= level
        unsure = np.flatnonzero(~passes)
        passes[unsure] = leader_probability(counted[unsure], samples) >= level
        result[open_[passes], at[open_[passes]]] = True
        open_ = open_[~passes]
        later = candidate[open_] & (np.arange(samples) > at[open_, None])
        at[open_] = later.argmax(axis=1)
        open_ = open_[later.any(axis=1)]
    return result


def _esc(name: Name, votes: Replay) -> Flags:
    return votes.run >= int(name.numbers[0])


def _share(name: Name, votes: Replay) -> Flags:
    drawn = np.arange(1, votes.key.shape[1] + 1)
    return votes.top >= name.numbers[0] * drawn - 1e-9


def _bar(name: Name, votes: Replay) -> Flags:
    return votes.top >= 1


def _deepconf(name: Name, votes: Replay) -> Flags:
    voters = np.cumsum(votes.key >= 0, axis=1)
    return (voters > 0) & (votes.top >= name.numbers[2] * voters - 1e-9)


KERNELS: Mapping[str, Callable[[Name, Replay], Flags]] = {
    "fixed": _never,
    "beta": _beta,
    "dirichlet": _dirichlet,
    "esc": _esc,
    "share": _share,
    "bar": _bar,
    "deepconf": _deepconf,
}


@cache
def _beta_table(samples: int) -> Floats:
    """P(p1 > p2) for p ~ Beta(v1 + 1, v2 + 1), for v1, v2 = 0 .. samples."""
    from scipy.special import betainc

    votes = np.arange(samples + 1)
    table: Floats = betainc(votes[None, :] + 1, votes[:, None] + 1, 0.5)
    return table


def _counts(key: NDArray[np.int32], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """Votes of each answer among the samples up to `last` (inclusive): (orders, answers)."""
    orders, samples = key.shape
    answers = int(key.max(initial=0)) + 2
    seen = (np.arange(samples) <= last[:, None]) & (key >= 0)
    slot = np.where(seen, key, answers - 1) + np.arange(orders)[:, None] * answers
    counted = np.bincount(slot.ravel(), minlength=orders * answers).reshape(orders, answers)
    return counted[:, :-1]


def _surely_largest(counts: NDArray[np.int64], samples: int) -> Floats:
    """A lower bound of `leader_probability` that is cheaper (Bonferroni): (rows,)."""
    top = counts.max(axis=1)
    ahead = np.where(counts > 0, _beta_table(samples)[top[:, None], counts], 1.0)
    own = _beta_table(samples)[top, top]  # the leader against itself, counted above
    bound: Floats = 1 - (1 - ahead).sum(axis=1) + (1 - own)
    return np.where((counts > 0).sum(axis=1) > 1, bound, 0.0)


def leader_probability(counts: NDArray[np.int64], samples: int) -> Floats:
    """P(the leader's share is the largest) under Dirichlet(votes + 1) over the answers seen.

    counts: (rows, answers), zeros for answers not seen; at most `samples` votes each. One answer
    alone stands against one unseen. Shares are Gammas over their sum, so the probability is the
    expectation over the leader's Gamma of the product of the others' distribution functions,
    integrated by Gauss-Legendre.
    """
    cdf, weight = _gamma_table(samples)
    top = counts.max(axis=1)
    rows = len(counts)
    slot = np.arange(rows)[:, None] * (samples + 1) + counts
    histogram = np.bincount(slot.ravel(), minlength=rows * (samples + 1)).astype(np.float64)
    histogram = histogram.reshape(rows, samples + 1)
    histogram[np.arange(rows), top] -= 1  # the leader itself
    histogram[:, 0] = histogram[:, 1:].sum(axis=1) == 0  # unseen answers, or the one stand-in
    result = np.empty(rows)
    for votes in np.unique(top):
        mine = top == votes
        result[mine] = np.exp(histogram[mine] @ cdf[votes]) @ weight[votes]
    return result


@cache
def _gamma_table(samples: int) -> tuple[Floats, Floats]:
    """Log of P(Gamma(c + 1) < x) at nodes x across Gamma(v + 1): (v, c, nodes), and the nodes'
    weights, the density of that Gamma included: (v, nodes).
    """
    from scipy.special import gammainc, gammaincinv, gammaln

    nodes, weight = np.polynomial.legendre.leggauss(NODES)
    shape = np.arange(samples + 1) + 1.0
    low, high = gammaincinv(shape, TAIL), gammaincinv(shape, 1 - TAIL)
    half = (high - low)[:, None] / 2
    x = low[:, None] + half * (nodes + 1)
    density = np.exp((shape - 1)[:, None] * np.log(x) - x - gammaln(shape)[:, None])
    with np.errstate(divide="ignore"):
        table: Floats = np.log(gammainc(shape[None, :, None], x[:, None, :]))
    return np.maximum(table, -700.0), half * weight * density
