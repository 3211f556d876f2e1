"""The ledger: whatever happens on the way, a strategy replays to the same attempts, drawing only
what is missing, and nothing that an engine generated is unaccounted for.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.drawn import Drawn, draw, strategy
from tests.tiny import CLOSE, EOS, FORM, MemorylessEngine
from testtime.engines.base import Completion, EngineError, Request
from testtime.strategies.base import Attempt, Strategy
from testtime.strategies.drawing import Admission
from testtime.strategies.ledger import seed

WEIGHTS = {10: 0.5, 11: 0.3, CLOSE: 0.15, EOS: 0.05}
STRATEGIES = {
    "nested": strategy(),
    "fresh": strategy("fresh"),
    "wait": strategy("wait", extensions=2),
    "native": strategy("native"),
}


class Mortal(MemorylessEngine):
    """Dies at request number `left`; what was stored before stays."""

    def __init__(self, left: int) -> None:
        super().__init__(WEIGHTS)
        self.left, self.generated = left, 0

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        done = await super().complete(request)
        self.generated += len(done.token_ids)
        return done


def said(drawn: Drawn) -> dict[tuple[str, int], list[Attempt]]:
    return drawn.attempts


@pytest.mark.parametrize("name", STRATEGIES)
def test_killed_at_every_request_it_replays_to_identical_attempts(name: str) -> None:
    chosen = STRATEGIES[name]
    undisturbed = draw(Mortal(1 << 30), chosen, samples=2, problems=2)
    requests = len([call for call in undisturbed.calls if call.kind != "own"])
    for death in range(requests):
        partial = draw(Mortal(death), chosen, samples=2, problems=2)
        engine = Mortal(1 << 30)
        rest = draw(engine, chosen, samples=2, problems=2, stored=partial.calls)
        assert said(rest) == said(undisturbed)
        assert len(engine.requests) == requests - death
        keys = [call.key for call in (*partial.calls, *rest.calls)]
        assert sorted(keys) == sorted(call.key for call in undisturbed.calls)


@pytest.mark.parametrize("name", STRATEGIES)
def test_complete_it_makes_no_request(name: str) -> None:
    first = draw(Mortal(1 << 30), STRATEGIES[name], samples=3)
    again = draw(Mortal(0), STRATEGIES[name], samples=3, stored=first.calls)
    assert not again.calls and said(again) == said(first)


@pytest.mark.parametrize("name", STRATEGIES)
def test_more_samples_and_budgets_draw_only_what_is_new(name: str) -> None:
    chosen = STRATEGIES[name]
    first = draw(Mortal(1 << 30), chosen, samples=2)
    larger = chosen.model_copy(update={"budgets": [0, 4, 8, 12, 16, 24]})
    rest = draw(Mortal(1 << 30), larger, samples=3, stored=first.calls)
    old = {(call.key, call.start) for call in first.calls}
    assert not old & {(call.key, call.start) for call in rest.calls}
    for sample in range(2):
        kept = [a for a in rest.attempts["p0", sample] if a.amounts["budget"] in (0, 4, 8, 16)]
        assert kept == first.attempts["p0", sample]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.lists(st.integers(0, 12), max_size=4),
    st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True),
    st.integers(0, 5),
)
def test_what_the_engine_generated_is_what_is_stored_and_what_was_discarded(
    name: str, deaths: list[int], budgets: list[int], number: int
) -> None:
    chosen = STRATEGIES[name].model_copy(update={"budgets": sorted(budgets)})
    calls, generated, discarded = [], 0, 0
    for left in (*deaths, 1 << 30):
        engine = Mortal(left)
        drawn = draw(engine, chosen, samples=2, stored=calls, seed=number)
        calls += drawn.calls
        generated += engine.generated
        discarded += drawn.spent.discarded_tokens
    assert sum(call.tokens for call in calls) + discarded == generated
    assert len({(call.key, call.start) for call in calls}) == len(calls)


def test_two_awaits_of_one_call_share_one_request() -> None:
    class Twice(Strategy):
        strategy: str = "twice"

        def cells(self, form: Any) -> list[dict[str, int]]:
            return []

        async def attempts(self, prompt: Any, ledger: Any) -> list[Attempt]:
            one, two = await asyncio.gather(
                ledger.think(prompt, 8, stop=[FORM.close]),
                ledger.think(prompt, 8, stop=[FORM.close]),
            )
            assert one.node.context == two.node.context
            return []

    engine = Mortal(1 << 30)
    draw(engine, Twice())
    assert len(engine.requests) == 1


def test_seeds_are_63_bits_and_differ_by_call_and_start() -> None:
    seeds = {seed(key, start) for key in ("a", "b") for start in (0, 8)}
    assert len(seeds) == 4 and all(0 <= s < 2**63 for s in seeds)


def test_another_run_seed_problem_or_sample_has_other_seeds() -> None:
    pools = [draw(Mortal(1 << 30), samples=2, problems=2, seed=number) for number in (0, 1)]
    seeds = [call.seed for drawn in pools for call in drawn.calls]
    assert len(set(seeds)) == len(seeds)


def test_admission_serves_the_oldest_and_survives_who_gives_up() -> None:
    async def work() -> list[int]:
        admission, order = Admission(1), list[int]()

        async def one(number: int) -> None:
            async with admission.place(number):
                order.append(number)
                await asyncio.sleep(0)

        async with admission.place(0):
            tasks = {n: asyncio.create_task(one(n)) for n in random.Random(0).sample(range(6), 6)}
            await asyncio.sleep(0)
            tasks[2].cancel()
        await asyncio.gather(*(task for n, task in tasks.items() if n != 2))
        return order

    assert asyncio.run(work()) == [0, 1, 3, 4, 5]


def test_admission_follows_what_the_cache_holds_and_the_lengths_seen() -> None:
    async def work() -> list[int]:
        admission, flying, peaks = Admission(100, 1000), set[int](), list[int]()

        async def one(number: int) -> None:
            async with admission.place(number, 250) as place:
                flying.add(number)
                peaks.append(len(flying))
                for _ in range(3):
                    await asyncio.sleep(0)
                place.tokens = 25
                flying.discard(number)

        await asyncio.gather(*map(one, range(300)))
        return peaks

    peaks = asyncio.run(work())
    assert max(peaks[:10]) == 8  # as many as fit at half their cap
    assert 20 < max(peaks) <= 40 and len(peaks) == 300


def test_a_chain_larger_than_the_cache_is_drawn_alone() -> None:
    async def work() -> None:
        admission = Admission(4, 10)
        async with admission.place(0, 100), admission.place(1, 100):
            raise AssertionError("two in flight")

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(work(), 0.05))


def test_rows_keep_what_selectors_weigh_by() -> None:
    drawn = draw(MemorylessEngine({10: 1.0}), strategy(budgets=[4]))
    (answer,) = drawn.of("answer")
    assert (answer.logprob_mean, answer.logprob_min) == (-1.0, -1.0)
    assert answer.answer_logprob == -5.0 and replace(answer).text == answer.text
