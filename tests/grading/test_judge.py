"""The judging model, with an engine that answers by rule."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.test_pipeline import config, rows
from tests.tiny import evaluated
from testtime import engines, pipeline
from testtime.engines.base import Completion, EngineError, Request
from testtime.errors import UserError
from testtime.grading import judge
from testtime.grading.judge import Judge
from testtime.models import resolve as models
from testtime.storage.store import Store


class Letters:
    """A tokenizer of one token a letter; 0 is special."""

    chat_template = None
    all_special_ids = (0,)

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join("</think>" if i == 1 else chr(i) for i in ids)


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
        word = (
            "no idea"
            if "unsure" in asked
            else "<think>WRONG</think> So: CORRECT."
            if "Paris" in asked
            else "WRONG"
        )
        return Completion([1], word, "stop", [], 3)

    async def close(self) -> None: ...


def test_verdicts_versions_and_one_request_for_equal_triples() -> None:
    engine = Scripted()
    question = "Capital of France?"
    triples = [
        (question, "P", answer) for answer in ("Paris", "Rome", "unsure", "fail", "", "Paris")
    ]
    found = asyncio.run(Judge(engine).grade(triples))
    assert [g.verdict for g in found] == [
        "correct",
        "wrong",
        "error",
        "error",
        "unparsed",
        "correct",
    ]
    assert len(engine.asked) == 4
    assert all(
        r.sampling.temperature == 0 and r.messages and question in r.messages[0]["content"]
        for r in engine.asked
    )
    assert found[0].version.startswith("judge-2/scripted/")
    assert Judge(engine, prompt="{question}{gold}{answer}?").version != found[0].version


@pytest.mark.parametrize(
    ("said", "finish", "verdict"),
    [
        ([*map(ord, "WRONG"), 1, *map(ord, "CORRECT."), 0, 0], "stop", "correct"),
        ([*map(ord, "CORRECT"), 1, *map(ord, "WRONG")], "stop", "wrong"),
        ([*map(ord, "as it is CORRECT")], "length", "error"),  # cut while it thinks
        ([0], "stop", "error"),
    ],
)
def test_engines_in_process_take_and_give_token_ids(
    said: list[int], finish: Any, verdict: str
) -> None:
    class Ids(Scripted):
        async def complete(self, request: Request) -> Completion:
            self.asked.append(request)
            return Completion(said, "", finish, [], 3)

    engine = Ids()
    (found,) = asyncio.run(
        Judge(engine, Letters(), prompt="{question}{gold}{answer}").grade([("q", "g", "a")])
    )
    assert (
        engine.asked[0].prompt == (ord("q"), ord("g"), ord("a"))
        and engine.asked[0].messages is None
    )
    assert found.verdict == verdict


def test_a_judge_behind_a_chat_server_is_asked_by_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    from testtime.grading import grade

    engine = Scripted()
    monkeypatch.setattr(engines, "make", lambda spec, source, revision: (engine, source))
    server = {"name": "endpoint", "args": {"urls": "http://nowhere/v1", "api": "chat"}}
    pair = ('["Capital of France?", "P"]', "Paris")
    (found,) = grade("judge", [pair], {"model": "hosted", "engine": server})
    assert (
        found.verdict == "correct" and engine.asked[0].messages and engine.asked[0].prompt is None
    )


def test_a_prompt_with_another_field_is_named() -> None:
    with pytest.raises(UserError, match=r"judge prompt: 'reference' is no field"):
        asyncio.run(Judge(Scripted(), prompt="{reference}").grade([("q", "g", "a")]))


class Marker:
    """An engine that judges by a rule over the decoded request, or is out of reach."""

    name, max_num_seqs = "marker", 4

    def __init__(self, decode: Any, trouble: Exception | None = None) -> None:
        self.decode, self.trouble, self.asked = decode, trouble, []

    async def complete(self, request: Request) -> Completion:
        if self.trouble:
            raise self.trouble
        self.asked.append(self.decode(request.prompt))
        words = self.asked[-1].split()
        word = "CORRECT" if words[-1] == words[-2] else "WRONG"
        return Completion([*map(ord, word), 0], "", "stop", [], 3)

    async def close(self) -> None: ...


def test_a_benchmark_is_judged_by_another_model_and_what_it_did_not_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge is named in the YAML; out of reach it leaves verdicts unknown, never wrong, and
    stores none.
    """
    asked = config(tmp_path, samples=2, thinking={"budgets": [0, 40]})
    grader = {
        "name": "judge",
        "options": {"model": "judge/tiny", "prompt": "{question} {gold} {answer}"},
    }
    asked["task"]["overrides"]["grader"] = grader
    make, resolve, tokenizer = engines.make, models.resolve, Letters()
    out_of_reach, made = [EngineError("gone"), UserError("no server answers"), None], []
    found = models.Model("judge/tiny", "judge/tiny", None, tokenizer, {}, "")

    def either(spec: Any, source: str, revision: str | None = None) -> Any:
        if source != "judge/tiny":
            return make(spec, source, revision)
        made.append(Marker(tokenizer.decode, out_of_reach[len(made)]))
        return made[-1], "marker"

    monkeypatch.setattr(engines, "make", either)
    monkeypatch.setattr(
        models,
        "resolve",
        lambda name, *rest: found if name == "judge/tiny" else resolve(name, *rest),
    )
    path = tmp_path / "study" / "quickstart"
    for _ in range(2):
        with pytest.raises(UserError, match="no answer has a score"):
            evaluated(asked)
        assert set(pd.read_parquet(path / "tables" / "scores.parquet")["verdict"]) == {"error"}
        assert len(Store(path).read("grades")) == 0 and not made[-1].asked
    run = pipeline.grade(path)
    assert set(run.scores["verdict"]) == {"correct", "wrong"}
    assert run.scores.query("budget == 40")["score"].mean() > 0.8, "as the numeric grader finds"
    stored = rows(run, "grades")
    assert set(stored["version"]) == {judge.version("judge/tiny", grader["options"]["prompt"])}
    assert len(made[-1].asked) == len(stored) <= len(run.scores)
    before = len(made)
    changed = {**asked["task"]["overrides"]["grader"]["options"], "engine": "transformers"}
    asked["task"]["overrides"]["grader"] = {"name": "judge", "options": changed}
    assert (
        set(evaluated(asked)[0].scores["verdict"]) == {"correct", "wrong"} and len(made) == before
    )


def test_a_model_that_cannot_judge_gives_errors_never_wrong() -> None:
    """The quickstart model, on the real engine: it says no verdict."""
    from testtime.grading import grade

    options = {"model": "quickstart", "engine": "transformers", "max_tokens": 4}
    found = grade("judge", [('["1 + 1 = ?", "2"]', "2"), ('["1 + 1 = ?", "2"]', "")], options)
    assert [one.verdict for one in found] == ["error", "unparsed"]
    assert found[0].version.startswith("judge-2/quickstart/") and "no verdict" in found[0].detail
