"""The sampler on an engine whose distribution is known."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.tiny import CLOSE, EOS, FORM, MemorylessEngine
from testtime.engines.base import Completion, EngineError, Request, Sampling
from testtime.models.delimiters import Format
from testtime.strategies.budget import Chain
from testtime.strategies.plan import Life, Plan
from testtime.strategies.sampler import draw_pool

WEIGHTS = {10: 0.6, 11: 0.28, CLOSE: 0.1, EOS: 0.02}
PLAN = Plan(FORM, (0, 4, 8, 16), 3, 0, Sampling(), Sampling(), 5)


def lives(plan: Plan, problems: int = 1) -> list[Life]:
    return [
        Life(f"p{p}", (7, 8), s, v)
        for p in range(problems)
        for s in range(plan.samples)
        for v in plan.variants()
    ]


def pool(
    engine: Any, plan: Plan, todo: list[Life]
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    rows: dict[str, list[dict[str, Any]]] = {"chains": [], "answers": []}
    failed = asyncio.run(
        draw_pool(engine, plan, todo, lambda t, r: rows[t].append(r), str, lambda _: None)
    )
    return rows, failed


def test_one_chain_answers_every_budget_and_a_natural_chain_has_one_answer_for_all_that_hold_it() -> (
    None
):
    engine = MemorylessEngine({10: 0.0, CLOSE: 1.0})  # closes at once
    rows, _ = pool(engine, PLAN, lives(PLAN))
    assert [r["tokens"] for r in rows["chains"]] == [1, 1, 1]
    assert sorted((r["sample"], r["cut"], r["forced"]) for r in rows["answers"]) == [
        (s, c, f) for s in range(3) for c, f in ((0, True), (1, False))
    ]


def test_requests_are_ids_with_the_ending_behind_a_cut_and_seeds_of_their_own() -> None:
    engine = MemorylessEngine({10: 1.0})  # never closes
    rows, _ = pool(engine, replace(PLAN, samples=1), lives(replace(PLAN, samples=1)))
    chain, *answers = engine.requests
    assert chain.prompt == (7, 8) and chain.max_tokens == 16 and chain.stop_token_ids == (CLOSE,)
    assert sorted(len(r.prompt or ()) for r in answers) == [3, 7, 11, 19]
    assert all(
        r.prompt and r.prompt[-1] == CLOSE and r.max_tokens == 5 and not r.stop_token_ids
        for r in answers
    )
    assert (
        len({r.seed for r in engine.requests}) == 5
        and len({r.affinity for r in engine.requests}) == 1
    )
    assert {r["seed"] for r in rows["answers"]} == {r.seed for r in answers}


def test_fresh_draws_a_chain_for_each_budget_and_none_for_zero() -> None:
    plan = replace(PLAN, fresh=True, samples=1)
    engine = MemorylessEngine({10: 1.0})
    rows, _ = pool(engine, plan, lives(plan))
    assert sorted(r["tokens"] for r in rows["chains"]) == [4, 8, 16]
    assert len(engine.requests) == 3 + 4


def test_a_budget_of_zero_alone_makes_no_chain_request() -> None:
    plan = replace(PLAN, budgets=(0,), samples=1)
    engine = MemorylessEngine(WEIGHTS)
    rows, _ = pool(engine, plan, lives(plan))
    assert len(engine.requests) == 1 and not rows["chains"] and rows["answers"][0]["forced"]


def test_without_delimiters_a_chain_that_ends_is_its_own_answer() -> None:
    plan = replace(PLAN, form=Format((), (), (50, 51), "lead"), budgets=(8,), samples=1)
    rows, _ = pool(MemorylessEngine({EOS: 1.0}), plan, lives(plan))
    assert rows["answers"][0]["tokens"] == 0 and rows["answers"][0]["text"] == str([EOS])
    rows, _ = pool(MemorylessEngine({10: 1.0}), plan, lives(plan))
    assert rows["answers"][0]["text"].startswith("lead") and rows["answers"][0]["forced"]


def test_a_larger_budget_continues_the_stored_chain_and_keeps_its_answers() -> None:
    plan = replace(PLAN, budgets=(4, 8), samples=1)
    short, _ = pool(MemorylessEngine({10: 1.0}), plan, lives(plan))
    larger = replace(plan, budgets=(4, 8, 12))
    stored = short["chains"][0]
    life = replace(
        lives(larger)[0],
        known=Chain(stored["token_ids"], stored["finish"]),
        logprobs=tuple(stored["logprobs"]),
        answered=frozenset((r["cut"], r["spec"]) for r in short["answers"]),
    )
    engine = MemorylessEngine({10: 1.0})
    rows, _ = pool(engine, larger, [life])
    assert [(r["start"], r["tokens"]) for r in rows["chains"]] == [(8, 4)]
    assert (
        engine.requests[0].prompt == (7, 8, *[10] * 8) and engine.requests[0].seed != stored["seed"]
    )
    assert [r["cut"] for r in rows["answers"]] == [12]


def test_nested_and_fresh_have_the_same_distribution_and_a_shared_seed_would_not() -> None:
    """Share of natural ends and mean tokens by budget against their exact values."""
    plan = replace(PLAN, budgets=(2, 4), samples=4000)
    rate = WEIGHTS[CLOSE]
    for fresh in (False, True):
        chosen = replace(plan, fresh=fresh)
        rows, _ = pool(MemorylessEngine(WEIGHTS), chosen, lives(chosen))
        for budget in (2, 4):
            if fresh:
                at = [r for r in rows["answers"] if r["variant"] == f"budget={budget}"]
                natural = sum(not r["forced"] for r in at)
            else:
                natural = sum(not r["forced"] and r["cut"] <= budget for r in rows["answers"])
            alive = 1 - rate - WEIGHTS[EOS]
            exact = sum(alive**i * rate for i in range(budget))
            assert natural / 4000 == pytest.approx(
                exact, abs=4 * (exact * (1 - exact) / 4000) ** 0.5
            )


class Failing(MemorylessEngine):
    """Refuses the answers of one problem for good."""

    async def complete(self, request: Request) -> Completion:
        if request.affinity.startswith("p1") and request.max_tokens == 5:
            raise EngineError("too long")
        return await super().complete(request)


def test_a_request_that_fails_for_good_leaves_the_rest_of_the_pool_whole() -> None:
    rows, failed = pool(Failing({10: 1.0}), PLAN, lives(PLAN, problems=3))
    assert len(failed) == 3 and all("too long" in line for line in failed)
    assert {r["problem_id"] for r in rows["answers"]} == {"p0", "p2"} and len(
        rows["answers"]
    ) == 2 * 3 * 4


def test_at_most_max_num_seqs_lives_are_in_flight() -> None:
    active = peak = 0

    class Counting(MemorylessEngine):
        async def complete(self, request: Request) -> Completion:
            nonlocal active, peak
            if request.max_tokens != 5:
                active, peak = active + 1, max(peak, active + 1)
                await asyncio.sleep(0)
                active -= 1
            return await super().complete(request)

    pool(Counting({10: 1.0}, max_num_seqs=4), PLAN, lives(PLAN, problems=10))
    assert peak == 4


def test_a_chain_that_ended_is_extended_from_its_last_thought_and_shares_what_comes_before() -> (
    None
):
    plan = replace(
        PLAN, form=replace(FORM, marker=(20, 21)), budgets=(2, 16), samples=1, extensions=1
    )
    (first,), (second,) = plan.passes()
    assert second.base == first.name == ""
    base = Chain([10, 10, 11, CLOSE], "natural")
    life = Life("p0", (7, 8), 0, second, base=base, base_logprobs=(-0.1, -0.2, -0.3, -0.4))
    engine = MemorylessEngine({10: 1.0})
    rows, _ = pool(engine, plan, [life])
    chain = rows["chains"][0]
    assert (
        engine.requests[0].prompt == (7, 8, 10, 10, 11, 20, 21)
        and engine.requests[0].max_tokens == 16 - 5
    )
    assert chain["token_ids"] == [10, 10, 11, 20, 21, *[10] * 11] and (
        chain["start"],
        chain["finish"],
    ) == (0, "length")
    assert chain["logprobs"][:3] == [-0.1, -0.2, -0.3] and all(
        x != x for x in chain["logprobs"][3:5]
    )
    # The cut at 2 lies in what the chains share: its answer is the base's.
    assert [(r["cut"], r["forced"]) for r in rows["answers"]] == [(16, True)]
    assert rows["answers"][0]["logprob_mean"] == pytest.approx((-0.6 - 11 - 5) / 19)


def test_an_extension_without_room_is_cut_at_the_cap_without_a_request() -> None:
    plan = replace(PLAN, form=replace(FORM, marker=(20, 21)), budgets=(4,), samples=1, extensions=1)
    base = Chain([10, 10, 11, CLOSE], "natural")
    engine = MemorylessEngine({10: 1.0})
    rows, _ = pool(
        engine,
        plan,
        [Life("p0", (7, 8), 0, plan.passes()[1][0], base=base, base_logprobs=(-1.0,) * 4)],
    )
    assert rows["chains"][0]["token_ids"] == [10, 10, 11, 20] and len(engine.requests) == 1
