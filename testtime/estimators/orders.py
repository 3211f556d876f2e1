"""The orders in which a problem's samples may come: all where these are few, else random ones.

One by one, samples come in any order alike; launched together, in the order in which they end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.table import Pool, path_tokens
from testtime.estimators.votes import answers_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALL_ORDERS = 720  # pools of up to this many orders (6 samples) are read in all of them
READS = 1 << 19  # samples read a pool and deployment, where the number of orders is not given
CHUNK = 1 << 19  # samples read at once, to bound memory


@dataclass(frozen=True, slots=True)
class Ordered:
    """Samples of some problems in the order a deployment sees them; all (orders, samples).

    orders: how many in a row are of one problem; all: whether each holds all its samples.
    """

    orders: int
    all: bool
    key: NDArray[np.int32]
    score: Floats
    path: Floats
    tokens: Floats
    column: dict[str, Floats] = field(default_factory=dict)

    def ended_in_order(self, n: int) -> Ordered:
        """The first n, shortest first; equal lengths stay in the order drawn, which is random. All
        samples of a problem, none of the same length, have one such order.
        """
        if self.all and n == self.path.shape[1] and self.orders > 1:
            one = np.sort(self.path[:: self.orders], axis=1)
            if (np.diff(one, axis=1) > 0).all():
                return self._first_of_each().ended_in_order(n)
        order = np.argsort(self.path[:, :n], axis=1, kind="stable")

        def take(x: Floats) -> Floats:
            return np.take_along_axis(x[:, :n], order, axis=1)

        key = np.take_along_axis(self.key[:, :n], order, axis=1)
        columns = {name: take(x) for name, x in self.column.items()}
        return Ordered(
            self.orders, False, key, take(self.score), take(self.path), take(self.tokens), columns
        )

    def _first_of_each(self) -> Ordered:
        every = slice(None, None, self.orders)
        columns = {name: x[every] for name, x in self.column.items()}
        mine = self.score[every], self.path[every], self.tokens[every]
        return Ordered(1, True, self.key[every], *mine, columns)


def complete(pool: Pool, draws: int | None) -> bool:
    """Whether all orders of the pool's samples are read."""
    counts = (~np.isnan(pool.score)).sum(axis=1)
    few = bool((counts == counts[0]).all()) and counts[0] < 13
    return few and factorial(int(counts[0])) <= max(ALL_ORDERS, draws or 0)


def orders(
    pool: Pool, wanted: Collection[str], draws: int | None, seed: int
) -> Iterator[tuple[Ints, Ordered]]:
    """Blocks of problems with their samples in many orders, the same for every budget of a pool.

    The first `scored` samples of each order are kept, so that a problem with more samples enters
    with random ones of them. wanted: columns to carry along.
    """
    key, score = answers_of(pool.score, pool.key)
    path, steps = path_tokens(pool), pool.scored
    forced = pool.columns.get("forced_tokens", np.zeros_like(path))
    columns = {c: v for c, v in pool.columns.items() if c in wanted}
    problems, samples = pool.score.shape
    null = np.isnan(pool.score)
    if complete(pool, draws):
        deck = np.array(list(permutations(range(steps))), dtype=np.int64)
        held = np.argsort(null, axis=1, kind="stable")[:, :steps]
        count = len(deck)
    else:
        count = draws or int(np.clip(READS // (problems * samples), 16, 512))
    for rows in np.array_split(np.arange(problems), -(-problems * count * steps // CHUNK)):
        if complete(pool, draws):
            order = held[rows][:, deck]
        else:
            lot = np.stack([_lots(seed, int(i), count, samples) for i in rows])
            lot[np.broadcast_to(null[rows][:, None, :], lot.shape)] = 2.0
            order = np.argsort(lot, axis=2)[:, :, :steps]
        flat = (order + (np.arange(len(rows)) * samples)[:, None, None]).reshape(-1, steps)

        def taken(values: Floats, rows: Ints = rows, flat: Ints = flat) -> Floats:
            result: Floats = values[rows].ravel()[flat]
            return result

        voted = key[rows].ravel()[flat]
        more = {c: taken(v) for c, v in columns.items()}
        spent = taken(path + np.nan_to_num(forced))
        whole = not null.any()
        yield rows, Ordered(count, whole, voted, taken(score), taken(path), spent, more)


def _lots(seed: int, problem: int, count: int, samples: int) -> NDArray[np.float32]:
    return np.random.default_rng([seed, problem]).random((count, samples), dtype=np.float32)
