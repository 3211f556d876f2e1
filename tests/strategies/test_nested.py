"""Nested, fresh and wait on an engine whose distribution is known."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.strategies.drawn import ANSWER_TOKENS, PROMPT, draw, strategy
from tests.tiny import CLOSE, EOS, FORM, MemorylessEngine
from testtime.engines.base import Completion, EngineError, Request
from testtime.models.delimiters import Format
from testtime.strategies.base import Call

WEIGHTS = {10: 0.6, 11: 0.28, CLOSE: 0.1, EOS: 0.02}


def test_one_chain_answers_every_budget_and_a_natural_chain_has_one_answer_for_all_that_hold_it() -> (
    None
):
    drawn = draw(MemorylessEngine({10: 0.0, CLOSE: 1.0}), samples=3)  # closes at once
    assert [call.tokens for call in drawn.of("think")] == [1, 1, 1]
    assert sorted((call.sample, call.kept, len(call.fed)) for call in drawn.of("answer")) == [
        (sample, kept, fed) for sample in range(3) for kept, fed in ((0, 1), (1, 0))
    ]
    assert [a.forced for a in drawn.attempts["p0", 0]] == [True, False, False, False]


def test_requests_are_ids_with_the_ending_behind_a_cut_and_seeds_of_their_own() -> None:
    engine = MemorylessEngine({10: 1.0})  # never closes
    drawn = draw(engine)
    chain, *answers = engine.requests
    assert chain.prompt == PROMPT and chain.max_tokens == 16 and chain.stop_token_ids == (CLOSE,)
    assert sorted(len(r.prompt or ()) for r in answers) == [3, 7, 11, 19]
    assert all(
        r.prompt and r.prompt[-1] == CLOSE and r.max_tokens == ANSWER_TOKENS for r in answers
    )
    assert all(not r.stop_token_ids for r in answers)
    assert len({r.seed for r in engine.requests}) == 5
    behind = [r for r in answers if len(r.prompt or ()) > 3]
    assert {r.affinity for r in behind} == {chain.affinity}  # the replica that holds the chain
    assert {call.seed for call in drawn.of("answer")} == {r.seed for r in answers}


def test_attempts_pay_for_the_requests_that_deploying_them_takes() -> None:
    forced = draw(MemorylessEngine({10: 1.0})).attempts["p0", 0]
    a = ANSWER_TOKENS
    assert [attempt.spent for attempt in forced] == [
        (Call(0, 3, a),),  # no chain is asked for
        *((Call(0, 2, b), Call(2 + b, 1, a)) for b in (4, 8, 16)),
    ]
    assert [attempt.path for attempt in forced] == [a, 4 + a, 8 + a, 16 + a]
    closed = draw(MemorylessEngine({CLOSE: 1.0})).attempts["p0", 0]
    assert closed[-1].spent == (Call(0, 2, 1 + a),)  # the model goes on by itself


def test_fresh_draws_a_chain_for_each_budget_and_none_for_zero() -> None:
    engine = MemorylessEngine({10: 1.0})
    drawn = draw(engine, strategy("fresh"))
    assert sorted(call.tokens for call in drawn.of("think")) == [4, 8, 16]
    assert len(engine.requests) == 3 + 4 and len({r.seed for r in engine.requests}) == 7


def test_a_budget_of_zero_alone_makes_no_chain_request() -> None:
    engine = MemorylessEngine(WEIGHTS)
    drawn = draw(engine, strategy(budgets=[0]))
    assert len(engine.requests) == 1 and not drawn.of("think") and drawn.all[0].forced


def test_without_delimiters_a_chain_that_ends_is_its_own_answer() -> None:
    form = Format((), (), (50, 51), "lead")
    drawn = draw(MemorylessEngine({EOS: 1.0}), strategy(budgets=[8]), form=form)
    ((answer, _),) = drawn.all[0].answers
    assert answer.tokens == 0 and answer.text == str([EOS]) and not drawn.of("answer")
    drawn = draw(MemorylessEngine({10: 1.0}), strategy(budgets=[8]), form=form)
    assert drawn.of("answer")[0].text.startswith("lead") and drawn.all[0].forced


def test_a_larger_budget_continues_the_stored_chain_and_keeps_its_answers() -> None:
    short = draw(MemorylessEngine({10: 1.0}), strategy(budgets=[4, 8]))
    engine = MemorylessEngine({10: 1.0})
    drawn = draw(engine, strategy(budgets=[4, 8, 12]), stored=short.calls)
    assert [(call.start, call.tokens) for call in drawn.of("think")] == [(8, 4)]
    assert engine.requests[0].prompt == (*PROMPT, *[10] * 8)
    assert engine.requests[0].seed != short.of("think")[0].seed
    assert [call.kept for call in drawn.of("answer")] == [12]
    assert not draw(
        MemorylessEngine({11: 1.0}), strategy(budgets=[4]), stored=[*short.calls, *drawn.calls]
    ).calls


@pytest.mark.parametrize("name", ["nested", "fresh"])
def test_nested_and_fresh_have_the_same_distribution(name: str) -> None:
    """Share of natural ends by budget against its exact value."""
    drawn = draw(
        MemorylessEngine(WEIGHTS, max_num_seqs=64), strategy(name, budgets=[2, 4]), samples=4000
    )
    rate, alive = WEIGHTS[CLOSE], 1 - WEIGHTS[CLOSE] - WEIGHTS[EOS]
    for budget in (2, 4):
        at = [a for a in drawn.all if a.amounts["budget"] == budget]
        exact = sum(alive**i * rate for i in range(budget))
        share = sum(not a.forced for a in at) / 4000
        assert share == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 4000) ** 0.5)


class Failing(MemorylessEngine):
    """Refuses one answer of one problem for good."""

    async def complete(self, request: Request) -> Completion:
        if request.max_tokens == ANSWER_TOKENS and len(request.prompt or ()) == len(PROMPT) + 5:
            raise EngineError("too long")
        return await super().complete(request)


def test_a_request_that_fails_for_good_takes_its_own_attempt_alone() -> None:
    drawn = draw(Failing({10: 1.0}), problems=2)
    for attempts, failures in zip(drawn.attempts.values(), drawn.failures.values(), strict=True):
        assert [a.amounts["budget"] for a in attempts] == [0, 8, 16] and failures == ["too long"]


def test_at_most_max_num_seqs_chains_are_in_flight_and_the_oldest_sample_goes_first() -> None:
    active = peak = 0

    class Counting(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            nonlocal active, peak
            if request.max_tokens != ANSWER_TOKENS:
                active, peak = active + 1, max(peak, active + 1)
                await asyncio.sleep(0)
                active -= 1
            return await super().complete(request)

    engine = Counting({10: 1.0}, max_num_seqs=4)
    drawn = draw(engine, samples=30)
    assert peak == 4
    assert [call.sample for call in drawn.of("think")] == list(range(30))


def test_a_chain_that_ended_is_extended_from_its_last_thought_and_shares_what_comes_before() -> (
    None
):
    class Closing(MemorylessEngine):
        """Thinks three tokens and closes; after the marker it never does."""

        async def complete(self, request: Request) -> Completion:
            first = request.prompt == PROMPT
            ids = [10, 10, 11, CLOSE] if first else [12] * request.max_tokens
            self.requests.append(request)
            return Completion(ids, "", "stop" if first else "length", [-1.0] * len(ids), 2)

    chosen = strategy("wait", budgets=[2, 4, 16], extensions=1, marker="ab")
    engine = Closing({10: 1.0})
    drawn = draw(engine, chosen)
    base, onward = drawn.of("think")
    assert (onward.parent, onward.kept, onward.fed) == (base.key, 3, [30, 31])
    assert onward.tokens == 16 - 3 - 2
    by_cell = {(a.amounts["budget"], a.amounts.get("wait", 0)): a for a in drawn.all}
    same = [by_cell[2, wait].answers[0][0].key for wait in (0, 1)]
    assert same[0] == same[1]  # up to where the chains part, the answer is the base's
    assert not by_cell[4, 0].forced and by_cell[4, 1].forced  # cut in the middle of the marker
    assert by_cell[4, 1].spent == (Call(0, 2, 3), Call(5, 2, 5))
    last = by_cell[16, 1].spent
    assert last == (Call(0, 2, 3), Call(5, 2, 11), Call(18, 1, 5))
    plain = draw(Closing({10: 1.0}), strategy(budgets=[2, 4, 16]))
    more = Closing({10: 1.0})
    draw(more, chosen, stored=plain.calls)  # wait after nested draws only what is new
    assert len(more.requests) == len(engine.requests) - 1 - len(plain.of("answer"))


def test_a_failed_extension_leaves_the_chain_it_stands_on() -> None:
    class Tired(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            if 30 in (request.prompt or ()):
                raise EngineError("too long")
            return await super().complete(request)

    drawn = draw(Tired({CLOSE: 1.0}), strategy("wait", budgets=[4, 8]))
    assert [a.amounts for a in drawn.all] == [{"budget": 4}, {"budget": 8}]
    assert drawn.failures["p0", 0] == ["too long"]


def test_a_chain_that_did_not_end_says_the_same_again_when_extended() -> None:
    engine: Any = MemorylessEngine({10: 1.0})
    drawn = draw(engine, strategy("wait", budgets=[4, 8], extensions=2))
    assert len(drawn.of("think")) == 1 and len(drawn.all) == 6
    assert len({a.answers[0][0].key for a in drawn.all}) == 2


def test_a_delimiter_of_several_tokens_is_found_afterwards_and_the_rest_is_discarded() -> None:
    class Talking(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            self.requests.append(request)
            ids = [10, 5, 6, 12, 12, 12][: request.max_tokens]
            return Completion(ids, "", "length", [-1.0] * len(ids), 2)

    form = replace(FORM, close=(5, 6), ending=(5, 6))
    drawn = draw(Talking({10: 1.0}), strategy(budgets=[6]), form=form)
    (chain,) = drawn.of("think")
    assert chain.tokens == 3 and chain.finish == "stop" and not drawn.all[0].forced
    assert drawn.spent.discarded_tokens == 3
