"""The rows that the embedded engine decodes together: what each was asked, and what it has drawn.

One array a quantity and one slot a row, so that a step costs the same few array operations however
many rows there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from testtime.config.schema import Sampling
from testtime.engines.base import Completion, Request
from testtime.engines.sampler import Filters, noise

NO_STOP = -1  # fills the rows of `stops`


@dataclass(eq=False)
class Row:
    """A request in flight; cached: tokens of its prompt that were not computed again; labels: the
    log-probabilities of its labels.
    """

    request: Request
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Completion]
    stops: frozenset[int]
    cached: int = 0
    labels: tuple[float, ...] = ()


class Batch:
    """Slots of rows. `rows` holds None where a slot is free; drawn, raw and noise are (slots,
    tokens), all others (slots,).
    """

    def __init__(self, slots: int) -> None:
        self.rows: list[Row | None] = [None] * slots
        self.live = np.zeros(0, int)  # slots of rows that go on
        self.count, self.limit = np.zeros(slots, int), np.zeros(slots, int)
        self.last = np.zeros(slots, int)
        self.stops = np.full((slots, 1), NO_STOP)
        self.drawn, self.raw = np.zeros((slots, 0), np.int32), np.zeros((slots, 0), np.float32)
        self.noise = np.zeros((slots, 0))
        self.filters = Filters.of([Sampling()] * slots)

    def free(self) -> list[int]:
        return [slot for slot, row in enumerate(self.rows) if row is None]

    def join(self, slots: Sequence[int], rows: Sequence[Row]) -> None:
        """Put rows into free slots; they have drawn nothing yet."""
        longest = max(row.request.max_tokens for row in rows)
        if (more := longest - self.drawn.shape[1]) > 0:
            room = (0, 0), (0, more)
            self.drawn, self.raw = np.pad(self.drawn, room), np.pad(self.raw, room)
            self.noise = np.pad(self.noise, room)
        if (more := max(len(row.stops) for row in rows) - self.stops.shape[1]) > 0:
            self.stops = np.pad(self.stops, ((0, 0), (0, more)), constant_values=NO_STOP)
        for slot, row in zip(slots, rows, strict=True):
            asked, s = row.request, row.request.sampling
            self.rows[slot], self.count[slot], self.limit[slot] = row, 0, asked.max_tokens
            self.stops[slot] = NO_STOP
            self.stops[slot, : len(row.stops)] = sorted(row.stops)
            self.noise[slot, : asked.max_tokens] = noise(asked.seed, asked.max_tokens)
            f = self.filters
            f.temperature[slot], f.top_k[slot] = s.temperature, s.top_k
            f.top_p[slot], f.min_p[slot] = s.top_p, s.min_p
        self.live = np.union1d(self.live, slots)

    def move(self, kept: np.ndarray) -> None:
        """Put the rows of these slots into the first ones; all other slots are free then."""
        slots = np.concatenate([kept, np.setdiff1d(np.arange(len(self.rows)), kept)])
        self.rows = [self.rows[slot] for slot in kept] + [None] * (len(slots) - len(kept))
        for name in ("count", "limit", "last", "stops", "drawn", "raw", "noise", "filters"):
            setattr(self, name, getattr(self, name)[slots])
        self.live = np.arange(len(kept))

    def add(self, slots: np.ndarray, tokens: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Give each of these slots its next token; returns those that are finished by it."""
        at = self.count[slots]
        self.drawn[slots, at], self.raw[slots, at] = tokens, raw
        self.last[slots], self.count[slots] = tokens, at + 1
        over = (self.stops[slots] == tokens[:, None]).any(1) | (at + 1 >= self.limit[slots])
        finished: np.ndarray = slots[over]
        return finished

    def completion(self, slot: int) -> Completion:
        """What a row has drawn so far."""
        row, count = self.rows[slot], int(self.count[slot])
        assert row is not None
        ids, raw = self.drawn[slot, :count].tolist(), self.raw[slot, :count].tolist()
        finish: Literal["stop", "length"] = "stop" if ids and ids[-1] in row.stops else "length"
        counts = len(row.request.prompt or ()), row.cached
        return Completion(ids, "", finish, raw, *counts, labels=row.labels)

    def leave(self, slots: np.ndarray) -> None:
        for slot in slots:
            self.rows[slot] = None
        self.live = np.setdiff1d(self.live, slots)
