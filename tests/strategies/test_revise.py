"""Sequential revision on an engine whose answers are known, and on the shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.strategies.drawn import PROMPT, Drawn, draw, strategy
from tests.strategies.test_ledger import Mortal
from tests.tiny import CLOSE, OPEN, MemorylessEngine
from testtime.models.delimiters import Format
from testtime.runs import prepare
from testtime.runs.draw import draw as draw_job
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.strategies.registry import parse

REVISE = strategy("revise", budgets=[0, 4, 16], rounds=3)


def by_cell(drawn: Drawn, sample: int = 0) -> dict[tuple[int, int], Any]:
    attempts = drawn.attempts["p0", sample]
    return {(a.amounts["budget"], a.amounts["round"]): a for a in attempts}


def test_each_round_reads_the_attempts_before_it_and_pays_for_them() -> None:
    engine = MemorylessEngine({10: 1.0})  # never closes; every answer is the same five tokens
    cells = by_cell(draw(engine, REVISE))
    assert set(cells) == {(b, r) for b in (0, 4, 16) for r in (1, 2, 3)}
    for budget in (0, 4, 16):
        for number in (2, 3):
            before, now = cells[budget, number - 1], cells[budget, number]
            assert now.spent[: len(before.spent)] == before.spent
            assert now.path == before.path + budget + 5
    # The dialogue grows by an answer and a request: two turns, a token each in this tokenizer.
    asked = {len(r.prompt or ()) for r in engine.requests if r.max_tokens == 16}
    assert asked == {len(PROMPT), 3, 5}
    last = cells[16, 3].spent[-2:]
    assert last[0].context == 3 and last[0].fed == 2  # the earlier dialogue is cached


def test_budgets_whose_attempts_read_alike_share_the_rounds_that_follow() -> None:
    engine = MemorylessEngine({CLOSE: 1.0})  # closes at once: 4 and 16 are one natural chain
    drawn = draw(engine, REVISE)
    cells = by_cell(drawn)
    for number in (1, 2, 3):
        keys = {cells[b, number].answers[0][0].key for b in (4, 16)}
        assert len(keys) == 1
    assert len([r for r in engine.requests if r.max_tokens == 16]) == 3


@pytest.mark.parametrize(
    ("token", "closed"), [(10, f"[{OPEN}, 10, 10, 10, 10, {CLOSE}]"), (CLOSE, f"[{OPEN}, {CLOSE}]")]
)
def test_the_attempt_before_is_shown_whole_where_it_is_asked_for(token: int, closed: str) -> None:
    told = list[str]()

    def render(turns: Any) -> tuple[int, ...]:
        told.extend(turn["content"] for turn in turns if turn["role"] == "assistant")
        return (40, *(41 for _ in turns))

    whole = strategy("revise", budgets=[4], rounds=2, show="attempt")
    (rounds,) = draw(MemorylessEngine({token: 1.0}), whole, render=render).attempts.values()
    assert told == [closed + rounds[0].answers[0][0].text]


@pytest.mark.parametrize("death", range(0, 40, 3))
def test_killed_it_replays_to_identical_attempts(death: int) -> None:
    undisturbed = draw(Mortal(1 << 30), REVISE, samples=2)
    partial = draw(Mortal(death), REVISE, samples=2)
    rest = draw(Mortal(1 << 30), REVISE, samples=2, stored=partial.calls)
    assert rest.attempts == undisturbed.attempts
    assert not draw(Mortal(0), REVISE, samples=2, stored=[*partial.calls, *rest.calls]).calls


def test_more_rounds_stand_on_those_that_are_there_and_on_a_nested_pool() -> None:
    nested = draw(Mortal(1 << 30), strategy(budgets=[0, 4, 16]))
    first = draw(Mortal(1 << 30), REVISE, stored=nested.calls)
    assert not {call.key for call in nested.calls} & {call.key for call in first.calls}
    stored = [*nested.calls, *first.calls]
    more = strategy("revise", budgets=[0, 4, 16], rounds=4)
    rest = draw(Mortal(1 << 30), more, stored=stored)
    assert rest.calls and not {call.key for call in stored} & {call.key for call in rest.calls}
    assert by_cell(first).items() <= by_cell(rest).items() and len(rest.all) == 12


def test_without_delimiters_the_working_is_part_of_what_is_revised() -> None:
    said: list[str] = []
    form = Format((), (), (50,), "so ")

    chosen = strategy("revise", budgets=[4], rounds=2)
    original = chosen.__class__.attempts

    async def spied(self: Any, prompt: Any, ledger: Any) -> Any:
        inner = ledger.prompt

        def prompt_of(turns: Any) -> Any:
            said.extend(turn["content"] for turn in turns if turn["role"] == "assistant")
            return inner(turns)

        ledger.prompt = prompt_of
        return await original(self, prompt, ledger)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chosen.__class__, "attempts", spied)
        draw(MemorylessEngine({10: 1.0}), chosen, form=form)
    assert said == ["[10, 10, 10, 10]so [10, 10, 10, 10, 10]"]


def test_the_shipped_model_gives_the_parallel_by_sequential_grid(tmp_path: Path) -> None:
    config = parse(
        {
            "name": "r",
            "task": {"name": "chain_sum", "limit": 3},
            "model": "quickstart",
            "engine": "transformers",
            "thinking": {"strategy": "revise", "budgets": [0, 40], "rounds": 2},
            "answer": {"max_tokens": 8},
            "samples": 2,
            "resamples": 100,
            "out": str(tmp_path),
        }
    )
    job = prepare.prepare(config, config.model[0], prepare.load_problems(config))
    prepare.register(job)
    assert draw_job(job, Progress()) == []
    run = evaluate(job.store, Progress())
    cells = run.cells[run.cells["selector"] == "majority"]
    assert set(zip(cells["setting"], cells["n"], strict=True)) == {
        (f"round={r}", n) for r in (1, 2) for n in (1, 2)
    }
    cost = run.scores.groupby(["setting", "budget"])["flops"].mean()
    assert (cost["round=2"] > cost["round=1"]).all()
    assert set(run.scores["round"]) == {1, 2}
