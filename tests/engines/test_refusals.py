"""Servers that take no token ids, list no models or ignore the cap: one line says what to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testtime.engines.base import EngineError, Request
from testtime.engines.endpoint import EndpointEngine
from testtime.errors import UserError
from testtime.pipeline import Progress, run

from .server import Reply, Server, draw

pytest.importorskip("httpx")
Answer = Callable[[dict[str, Any]], dict[str, Any] | Reply]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer=answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def complete(server: Server, *requests: Request, **args: Any) -> None:
    async def work() -> None:
        engine = EndpointEngine("x", urls=server.url, **args)
        try:
            await asyncio.gather(*map(engine.complete, requests))
        finally:
            await engine.close()

    asyncio.run(work())


def ids(seed: int = 0) -> Request:
    return Request((5, 6, 7), 20, seed)


TEXT = {"choices": [{"text": "1", "finish_reason": "length"}]}


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_that_takes_text_alone_is_named_at_once(
    serve: Callable[..., Server], status: int
) -> None:
    """As transformers serve (400, 422) and llama-cpp-python (500) do."""
    server = serve(lambda b: TEXT if b["prompt"] == "1" else (status, {}, b"prompt: a string"))
    with pytest.raises(UserError, match=r"takes text and no token ids .*a string.*api: chat"):
        complete(server, *map(ids, range(8)))


def test_a_router_that_refuses_ids_and_knows_no_model_is_named_too(
    serve: Callable[..., Server],
) -> None:
    """As sglang-router before vLLM, whose model it lists as `unknown`."""
    server = serve(lambda b: (404 if b["prompt"] == "1" else 422, {}, b"prompt: StringOrArray"))
    with pytest.raises(UserError, match=r"takes text and no token ids .*StringOrArray"):
        complete(server, ids())


@pytest.mark.parametrize("status", [400, 422])
def test_one_refused_request_says_nothing_of_the_others(
    serve: Callable[..., Server], status: int
) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | Reply:
        if body["prompt"] == "1":
            return TEXT
        return (
            (status, {}, b"too long")
            if body.get("seed") == 1 and body["max_tokens"] == 20
            else draw(body)
        )

    with pytest.raises(EngineError, match="too long"):
        complete(serve(answer), ids(1), ids(2))


def test_a_server_that_refuses_text_too_is_not_taken_for_one(serve: Callable[..., Server]) -> None:
    server = serve(lambda body: (500, {}, b"broken"))
    with pytest.raises(EngineError, match="attempts failed, the last: 500: broken"):
        complete(server, ids(), patience=0.05, attempts=1)


def test_a_field_that_a_chat_server_does_not_know_can_be_left_out(
    serve: Callable[..., Server],
) -> None:
    server = serve(lambda body: (422, {}, b"Unexpected fields: {'seed'}"))
    asked = Request(None, 20, 1, messages=({"role": "user", "content": "1 + 1"},))
    with pytest.raises(EngineError, match=r"'seed'.*request: \{FIELD: null\} leaves a field"):
        complete(server, asked, api="chat")


@pytest.mark.parametrize("models", [(500, {}, b"no cache"), (404, {}, b""), (200, {}, b"<html>")])
def test_a_server_that_lists_no_models_asks_for_the_name(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, models: Reply
) -> None:
    monkeypatch.setattr("tests.engines.server._json", lambda data: models)
    with pytest.raises(UserError, match=r"says what it serves .*engine\.args\.served_model"):
        complete(serve(draw), ids())


def test_messages_longer_than_their_cap_are_said(
    tmp_path: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        usage = {"completion_tokens": 40 if "max_tokens" in body else 61}
        return {"choices": [{"message": {"content": "1"}, "finish_reason": "stop"}], "usage": usage}

    server = serve(answer)
    args = {"urls": server.url, "api": "chat"}
    config = {
        "name": "long",
        "task": {"name": "chain_sum", "limit": 2},
        "model": "m",
        "engine": {"name": "endpoint", "args": args},
        "thinking": {"budgets": [30], "strategy": "native"},
        "answer": {"max_tokens": 20},
        "samples": 2,
        "resamples": 100,
        "out": str(tmp_path),
    }
    heard: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", heard.append)
    run(config, progress=progress)
    assert [line for line in heard if " not kept" in line or " not counted" in line] == [
        "prompts not counted: for 4 of 4 messages the server does not say how many tokens it read; "
        "all figures leave them out",
        "cap not kept: 4 of 4 messages are longer than the 50 tokens asked for, by up to 11; where "
        "the server does not obey max_completion_tokens, write engine.args.request: "
        "{max_completion_tokens: null, max_tokens: 50}",
    ]
    args["request"] = {"max_completion_tokens": None, "max_tokens": 50}
    heard.clear()
    run({**config, "name": "capped"}, progress=progress)
    assert not any("cap not kept" in line for line in heard)
