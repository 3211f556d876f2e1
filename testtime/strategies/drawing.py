"""What all samples of a run share while they are drawn: engine, texts, meter, who goes first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from testtime.config.schema import Sampling
from testtime.engines.base import Engine, Scorer
from testtime.models.delimiters import Format
from testtime.storage.tables import CallRow
from testtime.strategies.node import Ids, Turns


@dataclass(eq=False)
class Place:
    """A chain's. tokens: what it may fill of the engine's cache, prompt included; set to what it
    did fill when it is drawn.
    """

    tokens: int


class Admission:
    """Lets `most` chains be drawn at a time, the oldest sample's first; fewer where the engine's
    cache, `capacity` tokens (None: not known), holds fewer of the length seen so far, since it
    would draw parts of them again. Answers need no admission: an engine serves first come first,
    and their prefixes must still be cached.
    """

    def __init__(self, most: int, capacity: int | None = None) -> None:
        self._most, self._capacity, self._numbers = most, capacity, itertools.count()
        self._flying: dict[Place, int] = {}  # what each may fill
        self._landed = self._filled = 0  # chains, and their tokens
        self._waiting: list[tuple[int, int, asyncio.Future[None], Place]] = []

    @asynccontextmanager
    async def place(self, order: int, tokens: int = 0) -> AsyncIterator[Place]:
        place, turn = Place(tokens), asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._numbers), turn, place))
        self._admit()
        try:
            await turn
            yield place
        finally:
            if self._flying.pop(place, None) is not None:
                self._landed, self._filled = self._landed + 1, self._filled + place.tokens
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._waiting[0][2].cancelled() or self._room()):
            _, _, turn, place = heapq.heappop(self._waiting)
            if not turn.cancelled():
                self._flying[place] = place.tokens
                turn.set_result(None)

    def _room(self) -> bool:
        count = len(self._flying)
        if not count or self._capacity is None:
            return count < self._most
        # Who is in flight counts at half its cap: those that end first are the short ones.
        length = (self._filled + sum(self._flying.values()) / 2) / (self._landed + count)
        return count < self._most and (count + 1) * length <= self._capacity


@dataclass
class Spent:
    """What an engine did for a pool: tokens it generated of thinking and of answers, those that no
    call kept (beyond a delimiter of several tokens), prompt tokens, how many were cached, and those
    that a verifier read.
    """

    chain_tokens: int = 0
    answer_tokens: int = 0
    discarded_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    scored_tokens: int = 0


@dataclass
class Drawing:
    """What all samples of a run share. answer: how answers are drawn, at most answer_tokens long;
    render: chat turns to a prompt's ids; quote: a text that others wrote to ids; store: takes each
    finished call; ends: what ends a step, from its separator; tools: lets so many run at a time;
    verbatim: decodes with special tokens; planner: the same of the model that plans, where it is
    another one, whose own `model` is its fingerprint.
    """

    engine: Engine
    form: Format
    seed: int
    sampling: Sampling
    answer: Sampling
    answer_tokens: int
    render: Callable[[Turns], Ids]
    encode: Callable[[str], Ids]
    quote: Callable[[str], Ids]
    decode: Callable[[Sequence[int]], str]
    store: Callable[[CallRow], None]
    admission: Admission
    scorer: Scorer | None = None
    ends: Callable[[str], tuple[Ids, ...]] = lambda separator: ()
    verbatim: Callable[[Sequence[int]], str] = str
    spent: Spent = field(default_factory=Spent)
    tools: Admission = field(default_factory=lambda: Admission(os.cpu_count() or 1))
    model: str = "policy"
    planner: Drawing | None = None
