"""Servers that take messages alone: effort levels, their own token counts, what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import testtime
from tests.tiny import evaluated, without_report
from testtime import pipeline
from testtime.errors import UserError
from testtime.runs import show as shows
from testtime.storage.store import Store

from .server import Server, one_in_five

pytest.importorskip("httpx")
THOUGHT = {"low": 10, "high": 50}


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """Right where the effort is high; the question is two lines of the ladder's sums."""
    level = body["reasoning_effort"]
    right = (
        eval(body["messages"][-1]["content"]) if level == "high" else "no idea"
    )  # our own test's sums
    usage = {"prompt_tokens": 7, "completion_tokens": THOUGHT[level] + 4}
    usage["completion_tokens_details"] = {"reasoning_tokens": THOUGHT[level]}  # type: ignore[assignment]
    return {
        "choices": [{"message": {"content": str(right)}, "finish_reason": "stop"}],
        "usage": usage,
    }


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        servers[-1].models = ["thinker"]
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def config(out: Path, server: Server, **changes: Any) -> dict[str, Any]:
    return {
        "name": "levels",
        "task": {"name": "chain_sum", "limit": 6},
        "model": [
            {"name": "thinker", "setting": f"effort={e}", "request": {"reasoning_effort": e}}
            for e in THOUGHT
        ],
        "engine": {"name": "endpoint", "args": {"urls": server.url, "api": "chat", "timeout": 5.0}},
        "thinking": {"budgets": [1000], "strategy": "native"},
        "answer": {"max_tokens": 20},
        "samples": 2,
        "resamples": 200,
        "out": str(out),
        **changes,
    }


def test_effort_levels_are_drawn_graded_counted_and_compared(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(answer=reply, fault=one_in_five())
    low, high = testtime.run(config(tmp_path, server))
    assert (
        low.scores["score"].eq(0).all()
        and high.scores["score"].eq(1).all()
        and len(low.scores) == 12
    )
    for run, level in ((low, "low"), (high, "high")):
        scores = run.scores
        assert set(scores["setting"]) == {f"effort={level}"} and scores["budget"].isna().all()
        assert (
            scores["thinking_tokens"].eq(THOUGHT[level]).all()
            and scores["answer_tokens"].eq(4).all()
        )
        assert scores["prompt_tokens"].eq(7).all() and scores["flops"].isna().all()
        assert run.path.name == f"thinker--effort={level}" and any((run.path / "report").iterdir())
    body, _ = server.requests[0]
    assert (
        body["max_completion_tokens"] == 1020
        and body["model"] == "thinker"
        and "prompt" not in body
    )
    assert not {"top_k", "min_p", "repetition_penalty", "return_token_ids", "logprobs"} & set(body)
    cells = testtime.load(high.path).cells
    assert cells["value"].eq(1).all() and set(cells["n"]) == {1, 2}
    asked = len(server.requests)
    evaluated(config(tmp_path, server))
    assert len(server.requests) == asked  # complete: nothing is drawn again


def test_a_kill_between_the_tables_parts_asks_for_nothing_again(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """It leaves a call without the attempt that it is part of."""
    server = serve(answer=reply)
    (first, _) = evaluated(config(tmp_path, server))
    asked = len(server.requests)
    for part in (first.path / "attempts").glob("*.parquet"):
        part.unlink()
    (run, _) = evaluated(config(tmp_path, server))
    assert len(server.requests) == asked
    for table in ("calls", "attempts"):
        rows = Store(run.path).read(table, [])
        parts = sum(len(part) for part in Store(run.path).read_parts(table, ["sample"]))
        assert len(rows) == parts == len(run.scores) == 12
    pd.testing.assert_frame_equal(run.scores, first.scores)


def test_a_field_can_be_added_or_left_out_and_a_changed_one_is_refused(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(answer=reply)
    model = {"name": "thinker", "request": {"reasoning_effort": "low", "temperature": None}}
    evaluated(config(tmp_path, server, model=model))
    assert "temperature" not in server.requests[0][0]
    changed = {"name": "thinker", "request": {"reasoning_effort": "high"}}
    with pytest.raises(UserError, match=r"another model\.request"):
        evaluated(config(tmp_path, server, model=changed))


def test_fields_of_the_engine_join_those_of_each_level_and_are_part_of_what_was_drawn(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(answer=reply)
    asked = config(tmp_path, server)
    asked["engine"]["args"]["request"] = {"service_tier": "flex", "reasoning_effort": "medium"}
    low, high = evaluated(asked)
    assert low.scores["score"].eq(0).all() and high.scores["score"].eq(1).all()
    assert {body["service_tier"] for body, _ in server.requests} == {"flex"}
    asked["engine"]["args"]["request"] = {"service_tier": "slow"}
    with pytest.raises(UserError, match=r"another model\.request"):
        evaluated(asked)
    asked["engine"]["args"]["request"] = "flex"
    with pytest.raises(UserError, match=r"engine.args.request: 'flex' is not a group of fields"):
        evaluated({**asked, "name": "other"})


def test_thinking_of_which_no_ids_are_known_is_counted_where_it_is_shown(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    _, high = evaluated(config(tmp_path, serve(answer=reply)))
    assert "50 thinking tokens" in shows.show(high.path, "chain_sum/0/1")


@pytest.mark.parametrize(
    ("message", "details", "thinking", "verdict"),
    [
        ("12", None, 30, "wrong"),  # all its tokens count as thinking where it does not say
        (None, {"reasoning_tokens": 30}, 30, "unparsed"),
    ],
)
def test_what_a_server_leaves_unsaid(
    tmp_path: Path,
    serve: Callable[..., Server],
    message: Any,
    details: Any,
    thinking: int,
    verdict: str,
) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        usage = {"prompt_tokens": 7, "completion_tokens": 30, "completion_tokens_details": details}
        return {
            "choices": [{"message": {"content": message}, "finish_reason": "length"}],
            "usage": usage,
        }

    (run,) = evaluated(config(tmp_path, serve(answer=answer), model="thinker"))
    assert run.scores["thinking_tokens"].eq(thinking).all() and run.scores["truncated"].all()
    assert set(run.scores["verdict"]) == {verdict}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"thinking": {"budgets": [1000]}}, "strategy: native"),
        ({"thinking": {"budgets": [10, 1000], "strategy": "native"}}, "write one"),
        ({"engine": "transformers", "model": "quickstart"}, "write engine: vllm"),
        ({"engine": "vllm"}, "write engine.args.api: chat"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, serve: Callable[..., Server], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        evaluated(config(tmp_path, serve(answer=reply), **changes))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_server_chooses_from_its_own_answers(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    def chooses(body: dict[str, Any]) -> dict[str, Any]:
        if "Answer 2:" not in body["messages"][-1]["content"]:
            return reply(body)
        said = reply({**body, "reasoning_effort": "low"})
        said["choices"][0]["message"]["content"] = "Both agree. Judgment: 2"
        return said

    server = serve(answer=chooses)
    model = {"name": "thinker", "request": {"reasoning_effort": "high"}}
    (run,) = evaluated(config(tmp_path, server, model=model))
    before = len(server.requests)
    with without_report():
        cells = pipeline.choose(run.path, k=2, subsets=3).cells
    chosen = cells[cells["selector"] == "genselect:choice_2"]
    assert chosen["value"].tolist() == [1.0] and chosen["n"].tolist() == [2]
    rows = Store(run.path).read("choices").to_pylist()
    assert len(rows) == 6 * 3 and {row["chosen"] for row in rows} == {1}
    asked = [body for body, _ in server.requests[before:]]
    assert all(body["reasoning_effort"] == "high" for body in asked)
    with without_report():
        pipeline.choose(run.path, k=2, subsets=3)
    assert len(server.requests) == before + len(asked)
