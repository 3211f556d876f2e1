"""A pool drawn in memory: a strategy over a ledger on an engine whose distribution is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.tiny import FORM
from testtime.config.schema import Sampling
from testtime.engines.base import EngineError, Scorer
from testtime.models.delimiters import Format
from testtime.storage.tables import CallRow
from testtime.strategies import registry
from testtime.strategies.base import Attempt, Strategy
from testtime.strategies.drawing import Admission, Drawing, Spent
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.node import Turns

PROMPT = (7, 8)
ANSWER_TOKENS = 5


@dataclass
class Drawn:
    """attempts and failures by (problem, sample); calls in the order they were stored."""

    attempts: dict[tuple[str, int], list[Attempt]] = field(default_factory=dict)
    failures: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    calls: list[CallRow] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)

    def of(self, kind: str) -> list[CallRow]:
        return [call for call in self.calls if call.kind == kind]

    @property
    def all(self) -> list[Attempt]:
        return [attempt for attempts in self.attempts.values() for attempt in attempts]


def strategy(name: str = "nested", **options: Any) -> Strategy:
    return registry.strategy(name)(**{"budgets": [0, 4, 8, 16], **options})


def draw(
    engine: Any,
    chosen: Strategy | None = None,
    *,
    form: Format = FORM,
    samples: int = 1,
    problems: int = 1,
    stored: Iterable[CallRow] = (),
    seed: int = 0,
    turns: tuple[dict[str, str], ...] = ({"role": "user", "content": "1+1"},),
    prompt: tuple[int, ...] = PROMPT,
    scorer: Scorer | None = None,
    planner: Any = None,
    separators: tuple[tuple[int, ...], ...] = (),
    decode: Callable[[Sequence[int]], str] = lambda ids: str(list(ids)),
    render: Callable[[Turns], tuple[int, ...]] = lambda turns: tuple(
        40 + len(turn["content"]) % 9 for turn in turns
    ),
) -> Drawn:
    """Run a strategy for some problems and samples; `stored`: calls of an earlier pool; `planner`:
    the engine of another model, which marks its thinking alike.
    """
    drawn = Drawn()
    drawing = Drawing(
        engine,
        form,
        seed,
        Sampling(),
        Sampling(),
        ANSWER_TOKENS,
        render=render,
        encode=lambda text: tuple(30 + i for i in range(len(text))),
        quote=lambda text: tuple(30 + i for i in range(len(text))),
        decode=decode,
        store=drawn.calls.append,
        admission=Admission(engine.max_num_seqs),
        scorer=scorer,
        ends=lambda separator: separators,
    )
    if planner is not None:
        drawing.planner = replace(drawing, engine=planner, model="other")
    merged = whole(stored)

    async def one(problem: str, sample: int, order: int) -> None:
        mine = {
            key: call
            for key, call in merged.items()
            if (call.problem_id, call.sample) == (problem, sample)
        }
        ledger = SampleLedger(drawing, problem, sample, mine, order, f"question {problem}")
        place, attempts = ledger.start(prompt, turns), list[Attempt]()
        try:
            attempts = await (chosen or strategy()).attempts(place, ledger)
        except EngineError:
            assert ledger.failures
        drawn.attempts[problem, sample] = attempts
        drawn.failures[problem, sample] = ledger.failures

    async def work() -> None:
        todo = [(f"p{p}", s) for p in range(problems) for s in range(samples)]
        async with asyncio.TaskGroup() as group:
            for order, (problem, sample) in enumerate(todo):
                group.create_task(one(problem, sample, order))

    asyncio.run(work())
    drawn.spent = drawing.spent
    return drawn


def whole(calls: Iterable[CallRow]) -> dict[str, CallRow]:
    """Calls by key, their parts merged."""
    merged: dict[str, CallRow] = {}
    for call in calls:
        before = merged.get(call.key)
        if before is None:
            merged[call.key] = replace(call)
        elif call.start == before.tokens:
            merged[call.key] = replace(
                before,
                token_ids=[*before.token_ids, *call.token_ids],
                logprobs=[*before.logprobs, *call.logprobs],
                tokens=before.tokens + call.tokens,
                finish=call.finish,
            )
    return merged
