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
from testtime.strategies.base import Ids, Turns


class Admission:
    """Lets `most` chains be drawn at a time, the oldest sample's first. Answers need no admission:
    an engine serves first come first, and their prefixes must still be cached.
    """

    def __init__(self, most: int) -> None:
        self._free, self._numbers = most, itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, order: int) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (order, next(self._numbers), turn))
            await turn
        try:
            yield
        finally:
            while self._waiting and self._waiting[0][2].cancelled():
                heapq.heappop(self._waiting)
            if self._waiting:
                heapq.heappop(self._waiting)[2].set_result(None)
            else:
                self._free += 1


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
    finished call; ends: what ends a step, from its separator; tools: lets so many run at a time.
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
    spent: Spent = field(default_factory=Spent)
    tools: Admission = field(default_factory=lambda: Admission(os.cpu_count() or 1))
