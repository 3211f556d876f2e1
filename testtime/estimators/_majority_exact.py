"""The exact majority vote, from one generating function.

Answer j wins a k-subset with t votes when every other answer has fewer, or as many and the lot
falls on j. With m_i samples of answer i and m_0 without a vote, the subsets in which j has t votes
and r others tie with it are counted by the coefficient of x^k y^r in

    C(m_j, t) x^t (1 + x)^m_0  prod_{i != j} ( sum_{c < t} C(m_i, c) x^c + y C(m_i, t) x^t ),

and a tie of r others is won with probability 1/(r+1), the integral of y^r over [0, 1]. So: the
coefficient of x^k is read off a discrete Fourier transform, the integral off Gauss-Legendre nodes
enough to be exact. Binomials overflow; weighting x by p = k/S turns them into binomial
probabilities and the coefficient into one near its distribution's mode, which keeps about 13
digits. A t above k/2, or above every other answer's count, wins for certain and needs no transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]


def operations(count: Ints, size: int, ks: Sequence[int]) -> float:
    """About how many complex multiplications the exact vote of one problem takes for all ks.

    count: samples of each answer (answers,); size: scored samples, those without a vote included.
    """
    if len(count) < 2:
        return 0.0
    second = int(np.partition(count, -2)[-2])
    k = np.asarray([k for k in ks if 1 < k < size], dtype=np.float64)
    lowest = np.maximum((k - (size - count.sum())) / len(count), 1)
    steps = np.maximum(np.minimum(second, k // 2) - lowest + 1, 0)
    nodes = 1 + 0.25 * np.minimum(len(count), k / lowest)
    return float((steps * nodes).sum() * len(np.unique(count)) * (size / 2 + 1))


def column(problems: Sequence[tuple[Ints, Floats, int]], k: int) -> Floats:
    """Value of the vote of k for each problem, given as (count of each answer, score of each
    answer, scored samples).
    """
    result = np.full(len(problems), np.nan)
    for row, (count, score, size) in enumerate(problems):
        if size < k:
            continue
        if k == size:  # one subset, the whole pool
            leading = count == count.max(initial=0)
            result[row] = score[leading].mean() if len(count) else 0.0
        elif k == 1:
            result[row] = float(count @ score) / size
        else:
            alike = tuple(sorted(count.tolist()))
            result[row] = sum(
                worth * _wins(size, k, m, alike)
                for m, worth in _worth_by_count(count, score)
                if worth != 0
            )
    return result


@lru_cache(maxsize=1 << 16)
def _wins(size: int, k: int, mine: int, count: tuple[int, ...]) -> float:
    """`_Table.wins`, once for all problems whose answers occur equally often: a run's table, its
    report and a comparison build one grid after another.
    """
    return _table(size, k).wins(mine, np.array(count))


@lru_cache(maxsize=4)
def _table(size: int, k: int) -> _Table:
    return _Table(size, k)


def _worth_by_count(count: Ints, score: Floats) -> list[tuple[int, float]]:
    """Answers that occur equally often win equally often: their scores are added."""
    worth: dict[int, float] = {}
    for size, own in zip(count.tolist(), score.tolist(), strict=True):  # few: numpy is slower
        worth[size] = worth.get(size, 0.0) + own
    return sorted(worth.items())


class _Table:
    """Transforms of the tilted binomials for one pool size and k, filled as answers of a new
    multiplicity turn up.
    """

    def __init__(self, size: int, k: int) -> None:
        from scipy.special import gammaln

        self.size, self.k, self.p = size, k, k / size
        self.log_factorial = gammaln(np.arange(size + 2) + 1.0)
        frequency = np.arange((size + 1) // 2 + 1)  # the others are complex conjugates
        self.angle = 2j * np.pi * frequency / (size + 1)
        twice = np.where((frequency == 0) | (2 * frequency == size + 1), 1.0, 2.0)
        self.half = twice / (size + 1)
        self.one = 1 - self.p + self.p * np.exp(self.angle)
        self.below: dict[int, Complexes] = {}
        self.equal: dict[int, Complexes] = {}

    def log_comb(self, n: int, c: Ints) -> Floats:
        f = self.log_factorial
        out: Floats = f[n] - f[c] - f[n - c]
        return out

    def binomial(self, m: int, c: Ints) -> Floats:
        """P(Binomial(m, p) = c)."""
        out: Floats = np.exp(self.log_comb(m, c) + c * np.log(self.p) + (m - c) * np.log1p(-self.p))
        return out

    def transforms(self, m: int) -> tuple[Complexes, Complexes]:
        """(sum over c < t, the term c = t) of the tilted polynomial of an answer with m samples,
        for t = 0 .. k//2.
        """
        if m not in self.below:
            top = self.k // 2
            c = np.arange(min(m, top) + 1)
            term = np.zeros((top + 1, len(self.angle)), dtype=np.complex128)
            term[: len(c)] = self.binomial(m, c)[:, None] * np.exp(c[:, None] * self.angle)
            self.equal[m] = term
            self.below[m] = np.cumsum(term, axis=0) - term
            if top >= m:  # all of it, without the rounding of the sum
                self.below[m][m + 1 :] = self.one**m
        return self.below[m], self.equal[m]

    def wins(self, mine: int, count: Ints) -> float:
        """Probability that one given answer with `mine` samples wins the vote of k."""
        sizes, times = np.unique(count, return_counts=True)
        times = times - (sizes == mine)
        sizes, times = sizes[times > 0], times[times > 0]
        others = int(sizes @ times)
        if others == 0 and mine == self.size:
            return 1.0
        rival = int(sizes.max(initial=0))
        t = np.arange(1, min(mine, self.k) + 1)
        t = t[self.k - t <= self.size - mine]
        capped = np.minimum(sizes[None, :], t[:, None]) @ times + (self.size - mine - others)
        t = t[self.k - t <= capped]
        certain = t[(t > rival) | (2 * t > self.k)]
        total = float(
            np.exp(
                self.log_comb(mine, certain)
                + self.log_comb(self.size - mine, self.k - certain)
                - self.log_comb(self.size, np.array([self.k]))
            ).sum()
        )
        contested = t[(t <= rival) & (2 * t <= self.k)]
        if len(contested):
            total += self._contested(mine, contested, sizes, times, self.size - mine - others)
        return total

    def _contested(self, mine: int, t: Ints, sizes: Ints, times: Ints, silent: int) -> float:
        small = sizes < t[0]  # can never tie: one common factor
        base = self.one ** (silent + int(sizes[small] @ times[small]))
        share = self.binomial(mine, t) / self.binomial(self.size, np.array([self.k]))
        readers = np.exp(-(self.k - t)[:, None] * self.angle) * (base * self.half) * share[:, None]
        tables = [
            (*self.transforms(int(m)), int(r))
            for m, r in zip(sizes[~small], times[~small], strict=True)
        ]
        # t votes leave room for k//t - 1 ties at most: a polynomial of that degree in y
        need = np.ceil(np.minimum(self.k // t, int(times.sum()) + 1) / 2).astype(int)
        slabs = 2 ** np.ceil(np.log2(need)).astype(int)
        total = 0.0
        for slab in np.unique(slabs):
            chosen = slabs == slab
            rows = slice(int(t[chosen][0]), int(t[chosen][-1]) + 1)
            for y, w in _unit_gauss(int(min(slab, ceil(need.max())))):
                product = readers[chosen]
                for below, equal, repeat in tables:
                    factor = below[rows] + y * equal[rows]
                    product = product * (factor if repeat == 1 else factor**repeat)
                total += w * float(product.real.sum())
        return total


@cache
def _unit_gauss(count: int) -> list[tuple[float, float]]:
    """Gauss-Legendre (node, weight) pairs on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return list(zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
