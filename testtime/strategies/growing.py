"""A chain while it is drawn: stored in parts, so that a kill loses seconds of it and not hours.

Each part continues the call where the last one ended, as a larger cap continues it later; who reads
the pool finds one chain. Whatever is drawn behind a delimiter of several tokens, which no engine
can stop at, is counted and let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testtime.engines.base import Completion
from testtime.storage.tables import CallRow
from testtime.strategies.completions import ended
from testtime.strategies.drawing import Drawing
from testtime.strategies.node import Ids


class Growing:
    """One chain under one request. call: all that is known of it, with no tokens where it is new;
    seed: of the request; stop: token sequences that end it; earlier: tokens of the calls before it,
    in which such a sequence may have begun.
    """

    def __init__(
        self,
        drawing: Drawing,
        call: CallRow,
        seed: int,
        stop: Sequence[Ids],
        earlier: Sequence[int],
    ) -> None:
        self.call = replace(call, seed=seed, finish="length")
        self._drawing, self._stop, self._earlier = drawing, stop, list(earlier)
        self._taken = 0

    def take(self, done: Completion) -> None:
        """Store what has come since the last part; done: all that the request has given so far."""
        fresh = done.token_ids[self._taken :]
        raw = done.logprobs[self._taken :]
        self._taken += len(fresh)
        before, call = self.call.tokens, self.call
        new = 0
        if call.finish == "length":
            known = [*self._earlier, *call.token_ids]
            ids, finish = ended(known, replace(done, token_ids=fresh), self._stop)
            ids = ids[len(self._earlier) :]
            new = len(ids) - before
            part = replace(
                call,
                start=before,
                token_ids=ids[before:],
                logprobs=raw[:new],
                tokens=new,
                finish=finish,
                prompt_tokens=done.prompt_tokens,
                cached_tokens=done.cached_tokens,
            )
            self._drawing.store(part)
            raw = [*call.logprobs, *part.logprobs]
            self.call = replace(part, start=0, token_ids=ids, logprobs=raw, tokens=len(ids))
        self._drawing.spent.chain_tokens += len(fresh)
        self._drawing.spent.discarded_tokens += len(fresh) - new
