"""Servers that send what no server should: each bad reply costs its own request and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testtime.engines.base import Completion, EngineError, Request
from testtime.engines.endpoint import EndpointEngine
from testtime.engines.wire import WIRES
from testtime.errors import UserError

from .server import Server, draw

pytest.importorskip("httpx")
ASKED = Request(None, 30, 1, messages=({"role": "user", "content": "?"},))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def said(content: str = '"42"', tokens: str = "3", prompt: str = "1") -> bytes:
    return (
        f'{{"choices": [{{"message": {{"content": {content}}}, "finish_reason": "stop"}}], '
        f'"usage": {{"prompt_tokens": {prompt}, "completion_tokens": {tokens}}}}}'
    ).encode()


BAD = {
    "lone surrogate": said(r'"\ud800 42"'),
    "list of parts": said('[{"type": "text", "text": "42"}]'),
    "number as text": said("42"),
    "huge count": said(tokens="1e30"),
    "huge whole count": said(tokens="1" + "0" * 30),
    "negative count": said(tokens="-3"),
    "not a number": said(tokens="NaN"),
    "count as text": said(tokens='"3"'),
    "true as count": said(tokens="true"),
    "negative prompt": said(prompt="-1"),
    "nested": b"[" * 200_000,
    "digits": b"9" * 1_000_000,
    "no UTF-8": said('"\xff"').replace(b"\xc3\xbf", b"\xff"),
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "no choices": b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}',
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_a_value_error_of_one_line(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        WIRES["chat"].read(BAD[name], ASKED)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "change",
    [
        {"token_ids": [1e30]}, {"token_ids": [-1, 5]}, {"token_ids": ["5"]}, {"token_ids": list(range(31))},
        {"logprobs": {"token_logprobs": [float("nan")]}}, {"logprobs": {"token_logprobs": [-1e400]}},
        {"text": None}, {"text": "\ud800"}, {"finish_reason": None},
    ],
)  # fmt: skip
def test_a_bad_reply_with_token_ids_is_a_value_error(change: dict[str, Any]) -> None:
    choice = {"text": "", "token_ids": [5], "finish_reason": "stop", **change}
    usage = {"prompt_tokens": 2, "completion_tokens": len(choice["token_ids"])}
    reply = json.dumps({"choices": [choice], "usage": usage}).encode()
    with pytest.raises(ValueError):
        WIRES["completions"].read(reply, Request((1, 2), 30, 1))


def test_four_bad_replies_of_forty_cost_four_requests(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testtime.engines.replicas.LONGEST_WAIT", 0.02)
    bad = [BAD[name] for name in ("lone surrogate", "list of parts", "huge count", "nested")]

    def answer(body: dict[str, Any]) -> Any:
        number = body["seed"]
        return 200, {}, bad[number // 10] if number % 10 == 7 else said()

    engine = EndpointEngine(
        "m", urls=serve(answer=answer).url, api="chat", attempts=2, patience=0.3
    )

    async def work() -> list[Any]:
        requests = [Request(None, 30, n, messages=ASKED.messages) for n in range(40)]
        done = await asyncio.gather(*map(engine.complete, requests), return_exceptions=True)
        await engine.close()
        return done

    done = asyncio.run(work())
    lost = [n for n, outcome in enumerate(done) if not isinstance(outcome, Completion)]
    assert lost == [7, 17, 27, 37]
    assert all(isinstance(done[n], (EngineError, UserError)) for n in lost)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ((500, {}, b"CUDA is out of order"), "500: CUDA is out of order"),
        ((429, {"Retry-After": "86400"}, b"quota used up"), "429: quota used up"),
        ((429, {}, b"quota used up"), "429: quota used up"),
        ((200, {}, said(tokens="NaN")), "completion_tokens"),
        ((200, {}, said(tokens="-1")), "completion_tokens"),
    ],
)
def test_a_server_that_lives_but_only_fails_is_given_up_in_its_own_words(
    serve: Callable[..., Server], reply: Any, says: str
) -> None:
    engine = EndpointEngine(
        "m", urls=serve(answer=lambda body: reply).url, api="chat", attempts=2, patience=0.5
    )

    async def work() -> list[Any]:
        requests = [Request(None, 30, n, messages=ASKED.messages) for n in range(4)]
        every = asyncio.gather(*map(engine.complete, requests), return_exceptions=True)
        done = await asyncio.wait_for(every, 20)
        await engine.close()
        return done

    done = asyncio.run(work())
    assert all(says in str(outcome) for outcome in done)
    assert any(isinstance(outcome, UserError) for outcome in done)
    assert "run again to resume" in str(next(o for o in done if isinstance(o, UserError)))


def test_one_request_that_fails_last_and_alone_is_missing_and_does_not_stop_the_run(
    serve: Callable[..., Server],
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        return (500, {}, b"no") if body["seed"] == 1 else (200, {}, said())

    engine = EndpointEngine(
        "m", urls=serve(answer=answer).url, api="chat", attempts=2, patience=0.3
    )

    async def work() -> None:
        await engine.complete(Request(None, 30, 0, messages=ASKED.messages))
        try:
            await asyncio.wait_for(engine.complete(ASKED), 20)
        finally:
            await engine.close()

    with pytest.raises(EngineError, match="the last: 500: no"):
        asyncio.run(work())


def test_a_reply_without_end_is_cut(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testtime.engines.endpoint.LARGEST", 100_000)
    endless = said('"' + "x" * 10_000_000 + '"')
    engine = EndpointEngine(
        "m",
        urls=serve(answer=lambda body: (200, {}, endless)).url,
        api="chat",
        attempts=1,
        patience=0.2,
    )

    async def work() -> None:
        try:
            await asyncio.wait_for(engine.complete(ASKED), 20)
        finally:
            await engine.close()

    with pytest.raises(EngineError, match="unreadable reply"):
        asyncio.run(work())


def test_the_helper_server_is_read_as_before() -> None:
    body = {"prompt": [1, 2], "seed": 1, "temperature": 1.0, "max_tokens": 30, "stop_token_ids": []}
    reply = draw(body)
    done = WIRES["completions"].read(json.dumps(reply).encode(), Request((1, 2), 30, 1))
    assert done is not None and done.token_ids == reply["choices"][0]["token_ids"]
    assert done.cached_tokens == 2 and done.prompt_tokens == 2
