"""The judging model, with an engine that answers by rule."""

from __future__ import annotations

import asyncio

import pytest

from testtime.engines.base import Completion, EngineError, Request
from testtime.errors import UserError
from testtime.grading.judge import Judge


class Scripted:
    """An engine that says what the test wants and keeps what it was asked."""

    name = "scripted"
    max_num_seqs = 2

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        await asyncio.sleep(0)
        asked = request.messages[0]["content"] if request.messages else str(request.prompt)
        if "fail" in asked:
            raise EngineError("gone")
        word = "no idea" if "unsure" in asked else "<think>WRONG</think> So: CORRECT." if "Paris" in asked else "WRONG"
        return Completion([1], word, "stop", [], 3)

    async def close(self) -> None: ...


def test_verdicts_versions_and_one_request_for_equal_triples() -> None:
    engine = Scripted()
    question = "Capital of France?"
    triples = [(question, "P", answer) for answer in ("Paris", "Rome", "unsure", "fail", "", "Paris")]
    found = asyncio.run(Judge(engine).grade(triples))
    assert [g.verdict for g in found] == ["correct", "wrong", "error", "error", "unparsed", "correct"]
    assert len(engine.asked) == 4
    assert all(
        r.sampling.temperature == 0 and r.messages and question in r.messages[0]["content"] for r in engine.asked
    )
    assert found[0].version.startswith("judge-1/scripted/")
    assert Judge(engine, prompt="{question}{gold}{answer}?").version != found[0].version


def test_token_ids_where_the_engine_wants_them() -> None:
    engine = Scripted()
    asyncio.run(Judge(engine, encode=lambda turns: range(len(turns))).grade([("q", "g", "a")]))
    assert engine.asked[0].prompt == (0,) and engine.asked[0].messages is None


def test_a_prompt_with_another_field_is_named() -> None:
    with pytest.raises(UserError, match=r"judge prompt: 'reference' is no field"):
        asyncio.run(Judge(Scripted(), prompt="{reference}").grade([("q", "g", "a")]))
