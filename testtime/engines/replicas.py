"""Several servers as one: who gets a request, how many at once, and who is out.

Chains go to the least loaded server and their answers to the one that drew them, whose prefix cache holds the chain.
What a server bears is found as TCP does: every success raises its limit a little, every refusal halves it. A server
that refuses or does not answer is left alone for a while, twice as long each time, and its chains move elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

REMEMBERED = 100_000  # affinities kept; a chain's answers follow it closely, so the oldest are done
LONGEST_REST = 30.0  # seconds


class Replica:
    """One server, or one data-parallel rank behind it. limit: requests it may have in flight."""

    def __init__(self, url: str, rank: int | None, most: int) -> None:
        self.url, self.rank = url, rank
        self.most, self.limit = most, float(most)
        self.active = 0
        self._running = 0
        self.served = 0
        self.resumes_at = 0.0
        self._rest = 0.0
        self._halved_at = 0.0
        self._freed = asyncio.Condition()

    @property
    def resting(self) -> bool:
        return time.monotonic() < self.resumes_at

    @property
    def load(self) -> float:
        return self.active / self.limit

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits, first come first served, until this replica bears one more request."""
        while (left := self.resumes_at - time.monotonic()) > 0:
            await asyncio.sleep(left)
        self.active += 1  # those who wait count as load
        try:
            async with self._freed:
                await self._freed.wait_for(lambda: self._running < self.limit)
                self._running += 1
            try:
                yield
            finally:
                async with self._freed:
                    self._running -= 1
                    self._freed.notify(2)  # the limit may have grown
        finally:
            self.active -= 1

    def succeeded(self) -> None:
        self.served += 1
        self._rest = 0.0
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def overloaded(self, rest: float) -> None:
        """It asked for less: halve its limit (once for all refusals of a second), and let it rest so many seconds."""
        now = time.monotonic()
        if now - self._halved_at > 1:
            self.limit, self._halved_at = max(1.0, self.limit / 2), now
        self.resumes_at = max(self.resumes_at, now + rest)

    def silent(self) -> None:
        """It did not answer: leave it alone, longer each time."""
        if not self.resting:
            self._rest = min(LONGEST_REST, 2 * self._rest or 0.25)
            self.resumes_at = time.monotonic() + self._rest


class Replicas:
    """All servers of a run, and which of them drew which chain."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.all = list(replicas)
        self._drew: OrderedDict[str, Replica] = OrderedDict()

    def choose(self, affinity: str) -> Replica:
        """The replica that drew the chain, unless it rests and another does not; for a new chain the least loaded."""
        awake = [replica for replica in self.all if not replica.resting]
        kept = self._drew.get(affinity)
        if kept is not None and (not kept.resting or not awake):
            return kept
        chosen = min(awake, key=lambda r: r.load) if awake else min(self.all, key=lambda r: r.resumes_at)
        if affinity:
            self._drew[affinity] = chosen
            self._drew.move_to_end(affinity)
            if len(self._drew) > REMEMBERED:
                self._drew.popitem(last=False)
        return chosen
