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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_soak_of_20000_requests_with_a_fifth_of_faults_draws_the_same_tokens(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    import random

    monkeypatch.setattr("testtime.engines.replicas.LONGEST_WAIT", 0.5)
    noise = random.Random(9)
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    junk = [
        *(BAD[name] for name in ("nested", "no UTF-8", "a list", "null", "nothing", "no choices")),
        rb'{"choices": [{"text": "\ud800", "token_ids": [1], "finish_reason": "stop"}], "usage": '
        + json.dumps(usage).encode()
        + b"}",
        *(
            json.dumps({"choices": [{"text": "", "token_ids": ids, "finish_reason": "stop"}], "usage": {**usage, "completion_tokens": count}}).encode()
            for ids, count in (([1], 1e30), ([-1], 1), ([1, 2], 1), (list(range(999)), 999), ([1], float("nan")))
        ),
    ]  # fmt: skip
    kinds = ["429", "500", "cut", "truncated"]

    def fault(number: int) -> str | None:
        return (
            noise.choice(kinds)
            if noise.random() < 0.1
            else "stall"
            if noise.random() < 0.001
            else None
        )

    def answer(body: dict[str, Any]) -> Any:
        return (200, {}, noise.choice(junk)) if noise.random() < 0.1 else draw(body)

    server = serve(fault=fault, answer=answer)
    engine = EndpointEngine("m", urls=server.url, timeout=2.0, max_num_seqs=64, attempts=12)
    slots = asyncio.Semaphore(64)

    async def one(number: int) -> list[int]:
        async with slots:
            done = await engine.complete(Request((1, 2, 3), 30, number, affinity=str(number)))
            return done.token_ids

    async def work() -> list[list[int]]:
        try:
            return await asyncio.gather(*map(one, range(20_000)))
        finally:
            await engine.close()

    got = asyncio.run(work())
    for number, ids in enumerate(got):
        body = {
            "prompt": [1, 2, 3],
            "seed": number,
            "temperature": 1.0,
            "max_tokens": 30,
            "stop_token_ids": [],
        }
        assert ids == draw(body)["choices"][0]["token_ids"]
    assert engine.replicas.retries > 3000
