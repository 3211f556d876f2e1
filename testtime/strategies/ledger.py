"""What every strategy stands on: seeds, stores, meters and replays the calls of one sample.

A call's key is a hash of where it stands in the tree and of what is asked there, so resuming,
extending and standing on another strategy's calls are one mechanism: a stored call is read, what
lacks is drawn. The cap of a chain is not in its key: a larger one continues the call, under a seed
of its own, since a resumed run must never replay its noise.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from testtime.config.schema import Sampling
from testtime.engines.base import Completion, ContextError, EngineError, Request
from testtime.storage.tables import CallRow
from testtime.strategies.base import Answer, Call, Chain, Judged
from testtime.strategies.completions import logprobs, split, texts_of
from testtime.strategies.drawing import Drawing
from testtime.strategies.growing import Growing
from testtime.strategies.node import Ids, Node, Turns, key_of
from testtime.tools.base import Result


def seed(key: str, start: int) -> int:
    """A request's own seed, 63 bits. Never shared by two calls, nor by a call and what continues
    it, which would reuse the noise, and never left to the engine, whose default a resumed run would
    replay.
    """
    digest = hashlib.blake2b(f"{key}\x1f{start}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class SampleLedger:
    """The ledger of one sample. stored: its calls by key, parts merged; order: when it was begun;
    failures: what its requests failed for; question: as a verifier reads it.
    """

    def __init__(
        self,
        drawing: Drawing,
        problem_id: str,
        sample: int,
        stored: Mapping[str, CallRow],
        order: int = 0,
        question: str = "",
    ) -> None:
        self.form = drawing.form
        self.failures: list[str] = []
        self._drawing, self._problem, self._sample = drawing, problem_id, sample
        self._order, self._calls, self._question = order, dict(stored), question
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def role(self) -> str:
        return "policy" if self._drawing.model == "policy" else "planner"

    def planner(self) -> SampleLedger:
        if self._drawing.planner is None:
            return self
        other = copy.copy(self)  # of one sample: stored calls, locks and failures are shared
        other._drawing, other.form = self._drawing.planner, self._drawing.planner.form
        return other

    @property
    def answer_tokens(self) -> int:
        return self._drawing.answer_tokens

    def start(self, ids: Ids, turns: Turns = ()) -> Node:
        """The place after a prompt of these ids, or of these turns where a server renders them."""
        asked = [] if self.role == "policy" else [self._drawing.model]
        own = key_of(self._drawing.seed, self._problem, self._sample, ids or turns, *asked)
        return Node(f"#{own}", None, ids, turns=turns)

    def prompt(self, turns: Turns) -> Node:
        return self.start(self._drawing.render(turns), turns)

    def encode(self, text: str) -> Ids:
        return self._drawing.encode(text)

    def quote(self, text: str) -> Ids:
        return self._drawing.quote(text)

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        return (self._drawing.verbatim if special else self._drawing.decode)(ids)

    async def think(
        self,
        at: Node,
        cap: int,
        *,
        stop: Sequence[Ids] = (),
        branch: str = "",
        sampling: Sampling | None = None,
    ) -> Chain:
        chosen = sampling or self._drawing.sampling
        key = _key(at, "think", tuple(stop), branch, chosen)
        async with self._locks[key]:
            call = self._calls.get(key)
            if call is None or (call.finish == "length" and call.tokens < cap):
                before = len(at.context)
                async with self._drawing.admission.place(self._order, before + cap) as place:
                    call = await self._onward(at, key, call, cap, stop, chosen)
                    place.tokens = before + call.tokens
        ids, raw = call.token_ids, call.logprobs
        if call.tokens > cap:
            return Chain(Node(key, at, ids[:cap], raw[:cap]), "length")
        finish: Literal["stop", "eos", "length"] = call.finish  # type: ignore[assignment]
        return Chain(Node(key, at, ids, raw), finish)

    async def _onward(
        self,
        at: Node,
        key: str,
        call: CallRow | None,
        cap: int,
        stop: Sequence[Ids],
        sampling: Sampling,
    ) -> CallRow:
        """Draw a chain on to its cap; what is new of it is stored while it comes."""
        known = call or self._row(at, key, "think")
        single = tuple(ids[0] for ids in stop if len(ids) == 1)
        own = seed(key, known.tokens)
        growing = Growing(self._drawing, known, own, stop, at.sampled)
        request = Request(
            (*at.context, *known.token_ids),
            cap - known.tokens,
            own,
            sampling,
            single,
            affinity=at.first(key),
            on_part=growing.take,
        )
        try:
            growing.take(await self._complete(request))
        finally:
            if growing.call.tokens:
                self._calls[key] = growing.call
        return growing.call

    async def answer(self, at: Node, *, lead: str = "", branch: str = "") -> Answer:
        drawing = self._drawing
        key = _key(at, "answer", branch, drawing.answer, drawing.answer_tokens, lead)
        async with self._locks[key]:
            if key not in self._calls:
                own = seed(key, 0)
                request = Request(
                    tuple(at.context),
                    drawing.answer_tokens,
                    own,
                    drawing.answer,
                    affinity=at.first(key),
                )
                done = await self._complete(request)
                drawing.spent.answer_tokens += len(done.token_ids)
                self._keep(
                    self._row(
                        at,
                        key,
                        "answer",
                        token_ids=done.token_ids,
                        tokens=len(done.token_ids),
                        finish=done.finish,
                        text=lead + drawing.decode(done.token_ids),
                        **logprobs([*at.sampled_logprobs, *done.logprobs], done.logprobs),
                        seed=own,
                        prompt_tokens=done.prompt_tokens,
                        cached_tokens=done.cached_tokens,
                    )
                )
        return _answer(self._calls[key])

    async def own(self, at: Node, text: str | None = None) -> Answer:
        key = _key(at, "own")
        if key not in self._calls:
            thinking = at.context[len(at.root.kept) :]
            self._keep(
                self._row(
                    at,
                    key,
                    "own",
                    text=self._drawing.decode(thinking) if text is None else text,
                    **logprobs(at.sampled_logprobs, []),
                )
            )
        return _answer(self._calls[key])

    async def told(
        self,
        at: Node,
        budget: int,
        tools: tuple[dict[str, Any], ...] = (),
        may_call: bool = True,
    ) -> Answer:
        drawing, close = self._drawing, len(self.form.close)
        heard = [turn["content"] for turn in at.turns if turn["role"] == "tool"]
        more = (tools, may_call, heard) if tools else ()
        key = _key(at, "told", budget, drawing.answer_tokens, drawing.sampling, *more)
        async with self._locks[key]:
            if key not in self._calls:
                own = seed(key, 0)
                request = Request(
                    tuple(at.context) if at.kept else None,
                    budget + close + drawing.answer_tokens,
                    own,
                    drawing.sampling,
                    affinity=at.first(key),
                    messages=at.turns if not at.kept else None,
                    thinking_budget=budget,
                    tools=tools,
                    may_call=may_call,
                )
                most = len(at.context) + request.max_tokens
                async with drawing.admission.place(self._order, most) as place:
                    done = await self._complete(request)
                    place.tokens = done.prompt_tokens + len(done.token_ids)
                thinking, forced = split(done, self.form, budget)
                total = sum(done.counts) if done.counts else len(done.token_ids)
                # Closed right after the budget: the closing tokens are the engine's.
                answer = done.token_ids[thinking + (close if forced else 0) :]
                drawing.spent.chain_tokens += thinking
                drawing.spent.answer_tokens += total - thinking
                after = done.logprobs[len(done.logprobs) - len(answer) :] if done.logprobs else []
                said = done.text if done.counts else drawing.decode(answer)
                self._keep(
                    self._row(
                        at,
                        key,
                        "turn" if done.message else "told",
                        token_ids=done.token_ids,
                        logprobs=done.logprobs,
                        tokens=total,
                        thinking=thinking,
                        forced=forced,
                        finish=done.finish,
                        text=json.dumps(done.message) if done.message else said,
                        **logprobs(done.logprobs, after),
                        seed=own,
                        prompt_tokens=done.prompt_tokens,
                        cached_tokens=done.cached_tokens,
                    )
                )
        return _answer(self._calls[key])

    async def score(self, at: Node, steps: Sequence[int], known: int = 0) -> Judged:
        scorer = self._drawing.scorer
        if scorer is None:
            raise ValueError("this run has no verifier")
        key = _key(at, "score", scorer.name, tuple(steps), known)
        async with self._locks[key]:
            if key not in self._calls:
                ids = at.context[len(at.root.kept) :]
                try:
                    texts = texts_of(ids, steps, self._drawing.decode)
                    done = await scorer.score(self._question, texts)
                except EngineError as error:
                    self.failures.append(str(error))
                    raise
                self._drawing.spent.scored_tokens += done.read[-1]
                self._keep(
                    self._row(
                        at,
                        key,
                        "score",
                        # As they are stored: a replayed search must choose alike.
                        scores=np.asarray(done.scores, np.float32).tolist(),
                        model=scorer.name,
                        prompt_tokens=done.read[-1],
                        cached_tokens=done.read[known],
                    )
                )
        row = self._calls[key]
        new = row.prompt_tokens - row.cached_tokens
        return Judged(tuple(row.scores), Call(row.cached_tokens, new, 0, "prm"))

    async def tool(
        self, at: Node, name: str, call: str, run: Callable[[], Awaitable[Result]], number: int = 0
    ) -> Result:
        key = _key(at, "tool", name, call, *([number] if number else []))
        async with self._locks[key]:
            if key not in self._calls:
                async with self._drawing.tools.place(self._order):
                    try:
                        result = await run()
                    except EngineError as error:
                        self.failures.append(str(error))
                        raise
                seconds = float(np.float32(result.seconds))  # as it is stored
                said = {"text": result.text, "finish": result.status, "model": name}
                row = self._row(at, key, "tool", **said, seconds=seconds)
                self._keep(replace(row, kept=number or row.kept))
        row = self._calls[key]
        status: Any = row.finish
        return Result(row.text, status, row.seconds or 0.0)

    def generator(self, at: Node, branch: str) -> np.random.Generator:
        return np.random.default_rng(seed(_key(at, "random", branch), 0))

    def ends(self, separator: str) -> tuple[Ids, ...]:
        return self._drawing.ends(separator)

    def _row(self, at: Node, key: str, kind: str, **drawn: Any) -> CallRow:
        kept = len(at.kept) if at.base else 0
        own = self._problem, self._sample
        drawn = {"model": self._drawing.model, **drawn}
        return CallRow(key, *own, kind, at.key, kept, list(at.fed), **drawn)

    async def _complete(self, request: Request) -> Completion:
        try:
            done = await self._drawing.engine.complete(request)
        except ContextError as error:
            if not any(turn["role"] == "tool" for turn in request.messages or ()):
                self.failures.append(str(error))
                raise
            # What tools returned is too long, whoever asks: known to have no answer, not missing.
            done = Completion([], "", "length", [], 0, counts=(0, 0))
        except EngineError as error:
            self.failures.append(str(error))
            raise
        self._drawing.spent.prompt_tokens += done.prompt_tokens
        self._drawing.spent.cached_tokens += done.cached_tokens
        return done

    def _keep(self, row: CallRow) -> None:
        self._calls[row.key] = row
        self._drawing.store(row)


def _key(at: Node, *asked: object) -> str:
    return key_of(at.key, len(at.kept) if at.base else 0, at.fed, *asked)


def _answer(row: CallRow) -> Answer:
    counts = row.tokens - row.thinking, row.thinking, row.forced, row.prompt_tokens
    if row.kind == "turn":
        return Answer(row.key, "", *counts, json.loads(row.text))
    return Answer(row.key, row.text, *counts)
