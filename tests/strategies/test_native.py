"""One request a cell: an engine that closes the thinking itself, obeying its budget or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.strategies.drawn import ANSWER_TOKENS, Drawn, draw, strategy
from tests.tiny import CLOSE, EOS, MemorylessEngine
from testtime.engines.base import Completion, Request
from testtime.models.delimiters import UNSEEN
from testtime.strategies.base import Call
from testtime.strategies.budget import cut

BUDGETS = [0, 2, 5]


class Closing(MemorylessEngine):
    """Thinks for `natural` tokens unless told less, closes, answers 12."""

    def __init__(self, natural: int, obeys: bool = True, ends: bool = True) -> None:
        super().__init__({10: 1.0})
        self.natural, self.obeys, self.ends = natural, obeys, ends

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        told = request.thinking_budget
        thinking = min(self.natural, told) if self.obeys and told is not None else self.natural
        ids = [*[10] * thinking, CLOSE, 12, EOS] if self.ends else [10] * request.max_tokens
        return Completion(ids, "", "stop" if self.ends else "length", [-0.5] * len(ids), 2)


def pool(engine: Any) -> Drawn:
    return draw(engine, strategy("native", budgets=BUDGETS))


def test_a_closing_that_comes_with_the_budget_is_forced_and_its_token_is_not_thinking() -> None:
    engine = Closing(natural=3)
    drawn = pool(engine)
    told = [attempt.answers[0][0] for attempt in drawn.all]
    assert [(a.thinking, a.forced) for a in told] == [(0, True), (2, True), (4, False)]
    assert all(call.text == str([12, EOS]) and call.answer_logprob == -1 for call in drawn.calls)
    asked = {r.thinking_budget: r for r in engine.requests}
    assert [asked[b].max_tokens for b in BUDGETS] == [b + 1 + ANSWER_TOKENS for b in BUDGETS]
    assert len({r.seed for r in engine.requests}) == 3
    # The whole request is one call: the closing tokens are drawn too.
    assert [a.spent for a in drawn.all] == [(Call(0, 2, n),) for n in (3, 5, 6)]


def test_an_engine_that_ignores_its_budget_is_stored_as_what_it_did() -> None:
    drawn = pool(Closing(natural=6, obeys=False))
    assert [(a.answers[0][0].thinking, a.forced) for a in drawn.all] == [(7, False)] * 3


def test_a_chain_that_never_closes_has_no_answer() -> None:
    for call in pool(Closing(natural=3, ends=False)).calls:
        assert call.finish == "length" and call.thinking == call.tokens and call.text == "[]"


def test_a_server_without_ids_says_how_much_it_thought() -> None:
    class Chat(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            assert request.prompt is None
            assert request.messages == ({"role": "user", "content": "1+1"},)
            return Completion([], "two", "stop", [], 9, counts=(40, 3))

    drawn = draw(Chat({10: 1.0}), strategy("native", budgets=[100]), form=UNSEEN, prompt=())
    (attempt,) = drawn.all
    ((answer, _),) = attempt.answers
    assert (answer.thinking, answer.tokens, answer.text) == (40, 3, "two")
    assert attempt.amounts == {} and attempt.spent == (Call(0, 9, 43),) and not attempt.forced
    assert drawn.calls[0].logprob_mean is None


@pytest.mark.parametrize("natural", [0, 1, 4, 5, 6])
def test_what_is_forced_agrees_with_the_contract_of_cut_chains(natural: int) -> None:
    for attempt, budget in zip(pool(Closing(natural)).all, BUDGETS, strict=True):
        expected = cut(natural + 1, "natural", budget)
        ((answer, _),) = attempt.answers
        assert expected is not None
        assert (answer.thinking, answer.forced) == (expected.tokens, expected.forced)
