"""Several servers or actors as one: who gets a request, how many at once, who is out, and when to
give up.

Chains go to the least loaded and their answers to the one that drew them, whose prefix cache holds
the chain. What a replica bears is found as TCP does: every success raises its limit a little, every
refusal halves it. One that refuses or does not answer is left alone for a while, twice as long each
time, and its chains move elsewhere.

A request that fails while others succeed is tried a few times, then it is missing. While nothing
succeeds at all, nobody is blamed but the replicas: when they stay silent, or answer several
requests with errors alone, for longer than the patience, the run stops with one line in their own
words.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from testtime.engines.base import Completion, EngineError
from testtime.errors import UserError

REMEMBERED = 100_000  # affinities kept; a chain's answers follow it closely, so the oldest are done
LONGEST_REST = 30.0  # seconds a silent replica is left alone
LONGEST_WAIT = 30.0  # seconds between two attempts of a request
ALL_FAIL = 3  # requests that failed for good, with no success in between, after which all would


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one try. answered: the replica lives and said so, however it did; later:
    it asked for more patience than there is.
    """

    said: str
    answered: bool = True
    later: bool = False


class Replica:
    """One server, data-parallel rank or actor. target: where it is; most: requests it may have in
    flight at best.
    """

    def __init__(self, name: str, target: Any, most: int) -> None:
        self.name, self.target = name, target
        self.most, self.limit = most, float(most)
        self.active = 0
        self.served = 0
        self.resumes_at = 0.0
        self._running = 0
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
        """It asked for less: halve its limit (once for all refusals of a second), and let it rest
        so many seconds.
        """
        now = time.monotonic()
        if now - self._halved_at > 1:
            self.limit, self._halved_at = max(1.0, self.limit / 2), now
        self.resumes_at = max(self.resumes_at, now + rest)

    def silent(self) -> None:
        """It did not answer: leave it alone, longer each time."""
        if not self.resting:
            self._rest = min(LONGEST_REST, 2 * self._rest or 0.25)
            self.resumes_at = time.monotonic() + self._rest


class Balance:
    """Which replica gets a request: a new chain the least loaded, its answers the one that drew
    it.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.all = list(replicas)
        self._drew: OrderedDict[str, Replica] = OrderedDict()

    @property
    def served(self) -> dict[str, int]:
        """Requests that each replica has answered."""
        return {replica.name: replica.served for replica in self.all}

    def choose(self, affinity: str) -> Replica:
        """The replica that drew the chain, unless it rests and another does not; for a new chain
        the least loaded.
        """
        awake = [replica for replica in self.all if not replica.resting]
        kept = self._drew.get(affinity)
        if kept is not None and (not kept.resting or not awake):
            return kept
        chosen = (
            min(awake, key=lambda r: r.load) if awake else min(self.all, key=lambda r: r.resumes_at)
        )
        if affinity:
            self._drew[affinity] = chosen
            self._drew.move_to_end(affinity)
            if len(self._drew) > REMEMBERED:
                self._drew.popitem(last=False)
        return chosen


class Replicas(Balance):
    """Replicas that may fail.

    attempts: failures of one request, while others succeed, before it is missing; patience: seconds
    without any success after which replicas that answer with errors are believed, and silent ones
    are asked for a sign of life by `alive`.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        attempts: int,
        patience: float,
        alive: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(replicas)
        self._attempts, self._patience, self._alive = attempts, patience, alive
        self._succeeded_at = 0.0
        self._untried = 0  # requests in flight that have not failed yet: they may still succeed
        self._lost: set[object] = set()  # requests at their end, with no success since
        self.retries = 0  # attempts beyond each request's first

    async def serve(
        self, affinity: str, attempt: Callable[[Replica], Awaitable[Completion | Failure]]
    ) -> Completion:
        """Try until it is done: `attempt` gives the completion, or says what went wrong and is
        worth another try.

        Raises EngineError when this request keeps failing, UserError when every one does or nobody
        answers any more.
        """
        request, failures, tries = object(), 0, 0
        wait, failed_at, silence = 0.25, 0.0, 0.0
        while True:
            replica = self.choose(affinity)
            self._untried += not tries
            try:
                outcome = await attempt(replica)
            finally:
                self._untried -= not tries
            now = time.monotonic()
            if isinstance(outcome, Completion):
                replica.succeeded()
                self._succeeded_at = now
                self._lost.clear()
                return outcome
            tries += 1
            if failures and self._succeeded_at <= failed_at:  # nobody succeeded since it failed
                if now - silence > self._patience:
                    if not outcome.answered and not await self._alive():
                        raise UserError(self._given_up("no answer any more", outcome))
                    at_end = tries > self._attempts or outcome.later
                    failures, silence = failures + 1, now
                    if at_end:
                        self._lost.add(request)
                else:
                    at_end = False
            else:  # others succeeded meanwhile, so it may be this request
                failures, silence = failures + 1, now
                at_end = failures > self._attempts
            if at_end:
                if len(self._lost) >= ALL_FAIL and not self._untried:
                    raise UserError(self._given_up("every request fails", outcome))
                raise EngineError(
                    f"{replica.name}: {tries} attempts failed, the last: {outcome.said}"
                )
            failed_at = now
            self.retries += 1
            await asyncio.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LONGEST_WAIT)

    def _given_up(self, how: str, outcome: Failure) -> str:
        names = ", ".join(one.name for one in self.all[:4])
        return f"{names}: {how} ({outcome.said}); mend or start one, then run again to resume"
