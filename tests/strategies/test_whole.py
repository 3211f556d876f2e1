"""Lives in one request: an engine that closes the thinking itself, obeying its budget or not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.tiny import CLOSE, EOS, FORM, MemorylessEngine
from testtime.engines.base import Completion, Request, Sampling
from testtime.strategies.plan import Life, Plan
from testtime.strategies.sampler import draw_pool

PLAN = Plan(FORM, (0, 2, 5), 1, 0, Sampling(), Sampling(), 3, whole=True)


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


def pool(engine: Any, plan: Plan = PLAN) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The chain and answer of each budget."""
    rows: dict[str, list[dict[str, Any]]] = {"chains": [], "answers": []}
    todo = [Life("p", (7, 8), s, v) for s in range(plan.samples) for v in plan.variants()]
    assert not asyncio.run(
        draw_pool(engine, plan, todo, lambda t, r: rows[t].append(r), str, lambda _: None)
    )
    by_budget = [
        sorted(rows[table], key=lambda r: int(r["variant"][7:])) for table in ("chains", "answers")
    ]
    return list(zip(*by_budget, strict=True))


def test_a_closing_that_comes_with_the_budget_is_forced_and_its_token_is_not_thinking() -> None:
    engine = Closing(natural=3)
    found = pool(engine)
    assert [(c["tokens"], c["finish"], a["cut"], a["forced"]) for c, a in found] == [
        (0, "length", 0, True), (2, "length", 2, True), (4, "natural", 4, False)
    ]  # fmt: skip
    assert all(a["token_ids"] == [12, EOS] and a["answer_logprob"] == -1.0 for _, a in found)
    assert [len(c["token_ids"]) == len(c["logprobs"]) == c["tokens"] for c, _ in found] == [
        True
    ] * 3
    asked = {r.thinking_budget: r for r in engine.requests}
    assert [asked[b].max_tokens for b in (0, 2, 5)] == [4, 6, 9] and len(
        {r.seed for r in engine.requests}
    ) == 3


def test_an_engine_that_ignores_its_budget_is_stored_as_what_it_did() -> None:
    assert [(c["tokens"], a["forced"]) for c, a in pool(Closing(natural=6, obeys=False))] == [
        (7, False)
    ] * 3


def test_a_chain_that_never_closes_has_no_answer() -> None:
    for chain, answer in pool(Closing(natural=3, ends=False)):
        assert chain["finish"] == answer["finish"] == "length" and answer[
            "token_ids"
        ] == [] == list(answer["text"][2:])


def test_a_server_without_ids_says_how_much_it_thought() -> None:
    class Chat(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            assert request.prompt is None and request.messages == (
                {"role": "user", "content": "1+1"},
            )
            return Completion([], "two", "stop", [], 9, counts=(40, 3))

    plan = replace(PLAN, budgets=(100,))
    rows: list[tuple[str, dict[str, Any]]] = []
    life = Life("p", (), 0, plan.variants()[0], ({"role": "user", "content": "1+1"},))
    asyncio.run(
        draw_pool(Chat({10: 1.0}), plan, [life], lambda *row: rows.append(row), str, lambda _: None)
    )
    (_, chain), (_, answer) = rows
    assert (chain["tokens"], answer["cut"], answer["tokens"], answer["text"]) == (40, 40, 3, "two")
    assert answer["logprob_mean"] is None and not answer["forced"]


@pytest.mark.parametrize("natural", [0, 1, 4, 5, 6])
def test_what_is_forced_agrees_with_the_contract_of_cut_chains(natural: int) -> None:
    from testtime.strategies.budget import cut

    for (chain, answer), budget in zip(pool(Closing(natural)), PLAN.budgets, strict=True):
        expected = cut(natural + 1, "natural", budget)
        assert expected is not None and (answer["cut"], answer["forced"]) == (
            expected.tokens,
            expected.forced,
        )
        assert chain["tokens"] == expected.tokens
