"""The endpoint engine against a small server that misbehaves; `test_endpoint_vllm` has the real
one.
"""

from __future__ import annotations

import asyncio
import email.utils
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testtime import engines
from testtime.config.schema import EngineSpec, Sampling
from testtime.engines.base import Completion, ContextError, EngineError, Request
from testtime.engines.endpoint import EndpointEngine
from testtime.errors import UserError
from testtime.runs import draw as drawing
from testtime.runs import prepare as jobs
from testtime.runs.progress import Progress
from testtime.strategies import registry

from .server import Server, draw, one_in_five

pytest.importorskip("httpx")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def request(number: int = 0, **changes: Any) -> Request:
    return Request(
        **{
            "prompt": (1, 2, 3),
            "max_tokens": 30,
            "seed": number,
            "affinity": str(number),
            **changes,
        }
    )


def dying(server: Server, after: int) -> Callable[[int], str | None]:
    """The server is gone for good after so many requests."""

    def fault(number: int) -> str | None:
        if number == after:
            threading.Thread(target=server.stop).start()
        return "cut" if number >= after else None

    return fault


def complete(engine: EndpointEngine, *requests: Request) -> list[Completion]:
    async def work() -> list[Completion]:
        try:
            return await asyncio.gather(*map(engine.complete, requests))
        finally:
            await engine.close()

    return asyncio.run(work())


def ids(number: int) -> list[int]:
    body = {
        "prompt": [1, 2, 3],
        "seed": number,
        "temperature": 1.0,
        "max_tokens": 30,
        "stop_token_ids": [],
    }
    return draw(body)["choices"][0]["token_ids"]


def test_every_sampling_parameter_is_sent_so_that_the_server_fills_in_none(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    sampling = Sampling(
        temperature=0.7,
        top_p=0.9,
        top_k=40,
        min_p=0.05,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
    )
    (done,) = complete(
        EndpointEngine("x", urls=server.url),
        request(2**62, sampling=sampling, stop_token_ids=(7,), ignore_eos=True),
    )
    body, headers = server.requests[0]
    expected = {
        "model": "m",
        "prompt": [1, 2, 3],
        "max_tokens": 30,
        "seed": 2**62,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "repetition_penalty": 1.1,
        "stop_token_ids": [7],
        "ignore_eos": True,
        "logprobs": 0,
        "return_token_ids": True,
    }
    assert body == expected and "authorization" not in headers
    assert (
        done.prompt_tokens == 3
        and done.cached_tokens == 2
        and len(done.logprobs) == len(done.token_ids)
    )


def test_answers_go_where_their_chain_went_and_both_servers_work(
    serve: Callable[..., Server],
) -> None:
    servers = [serve(delay=0.01), serve(delay=0.01)]
    engine = EndpointEngine("x", urls=[server.url for server in servers], max_num_seqs=8)

    async def life(number: int) -> None:
        for _ in range(3):
            await engine.complete(request(number))

    async def work() -> None:
        await asyncio.gather(*map(life, range(40)))
        await engine.close()

    asyncio.run(work())
    where: defaultdict[int, set[int]] = defaultdict(set)
    for index, server in enumerate(servers):
        for body, _ in server.requests:
            where[body["seed"]].add(index)
    assert all(len(at) == 1 for at in where.values())
    assert min(Counter(next(iter(at)) for at in where.values()).values()) >= 10
    assert sum(engine.replicas.served.values()) == 120 and all(
        server.peak <= 4 for server in servers
    )


def test_data_parallel_ranks_are_pinned_by_header(serve: Callable[..., Server]) -> None:
    server = serve()
    engine = EndpointEngine("x", urls=server.url, data_parallel=4)
    complete(engine, *(request(number) for number in range(16)))
    assert {headers["x-data-parallel-rank"] for _, headers in server.requests} == {
        "0",
        "1",
        "2",
        "3",
    }


def test_with_a_fifth_of_requests_failing_everything_is_drawn_once_with_the_same_tokens(
    serve: Callable[..., Server],
) -> None:
    server = serve(fault=one_in_five())
    engine = EndpointEngine("x", urls=server.url, timeout=1.0, max_num_seqs=32)
    done = complete(engine, *map(request, range(120)))
    assert [completion.token_ids for completion in done] == [ids(number) for number in range(120)]
    assert len(server.faults) == 5


def test_too_many_requests_halve_what_is_in_flight_and_retry_after_is_obeyed(
    serve: Callable[..., Server],
) -> None:
    asked: list[float] = []

    def busy(body: dict[str, Any]) -> Any:
        asked.append(time.monotonic())
        return (429, {"Retry-After": "0.7"}, b"{}") if len(asked) == 1 else draw(body)

    engine = EndpointEngine("x", urls=serve(answer=busy).url, max_num_seqs=16)
    complete(engine, request())
    assert asked[1] - asked[0] >= 0.7
    assert 8 <= engine.replicas.all[0].limit < 9


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("2", 2, 2),
        ("-1", 0, 0),
        ("soon", 0, 0),
        (None, 0, 0),
        # named, since two workers must collect the same names
        pytest.param(email.utils.formatdate(time.time() + 3600), 3000, 3600, id="in an hour"),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, least: float, most: float) -> None:
    from testtime.engines.endpoint import _retry_after

    assert least <= _retry_after(header) <= most


def test_a_request_that_keeps_failing_while_others_succeed_is_an_engine_error(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testtime.engines.replicas.LONGEST_WAIT", 0.05)
    server = serve(
        answer=lambda body: (500, {}, b"broken") if body["seed"] == 666 else draw(body), delay=0.01
    )
    engine = EndpointEngine("x", urls=server.url, attempts=3)

    async def work() -> None:
        doomed = asyncio.create_task(engine.complete(request(666)))
        number = 0
        while not doomed.done():
            number += 1
            await engine.complete(request(number))
        await engine.close()
        await doomed

    with pytest.raises(EngineError, match="attempts failed, the last: 500: broken"):
        asyncio.run(work())


def test_a_request_the_server_cannot_take_is_missing_at_once(serve: Callable[..., Server]) -> None:
    server = serve(answer=lambda body: (400, {}, b"too long"))
    with pytest.raises(EngineError, match="400: too long") as refused:
        complete(EndpointEngine("x", urls=server.url), request())
    asked = [body for body, _ in server.requests if body["max_tokens"] == 30]
    assert len(asked) == 1 and not isinstance(refused.value, ContextError)


@pytest.mark.parametrize(
    "said",
    [
        b"This model's maximum context length is 2048 tokens. However, you requested 2050 tokens",
        b'{"error": {"code": "context_length_exceeded"}}',
        b"the request exceeds the available context size",
    ],
)
def test_a_full_context_is_told_apart(serve: Callable[..., Server], said: bytes) -> None:
    server = serve(answer=lambda body: (400, {}, said))
    with pytest.raises(ContextError, match="400: "):
        complete(EndpointEngine("x", urls=server.url), request())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda reply: reply["usage"].update(completion_tokens=99),
        lambda reply: reply["choices"][0].update(finish_reason="abort"),
        lambda reply: reply["choices"][0].update(logprobs={"token_logprobs": [0.0] * 99}),
        lambda reply: reply.update(choices=[]),
    ],
)
def test_a_reply_that_contradicts_itself_is_asked_again(
    serve: Callable[..., Server], break_it: Callable[[dict[str, Any]], None]
) -> None:
    asked = 0

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        reply = draw(body)
        if asked == 1:
            break_it(reply)
        return reply

    (done,) = complete(EndpointEngine("x", urls=serve(answer=answer).url), request(5))
    assert done.token_ids == ids(5) and asked == 2


def test_one_of_two_servers_dies_and_the_other_takes_over(serve: Callable[..., Server]) -> None:
    first, second = serve(delay=0.02), serve(delay=0.02)
    first.fault = dying(first, 30)
    engine = EndpointEngine("x", urls=[first.url, second.url], max_num_seqs=8)
    done = complete(engine, *map(request, range(150)))
    assert [completion.token_ids for completion in done] == [ids(number) for number in range(150)]
    assert (
        all(engine.replicas.served.values())
        and engine.replicas.served[second.url] > engine.replicas.served[first.url]
    )


def test_when_no_server_answers_any_more_the_run_stops_with_one_line_and_resumes(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    first = serve()
    first.fault = dying(first, 30)

    def work(url: str) -> jobs.Job:
        parsed = registry.parse(
            {
                "name": "t",
                "task": [{"name": "chain_sum", "limit": 4}],
                "model": "quickstart",
                "engine": {
                    "name": "endpoint",
                    "args": {"urls": url, "patience": 0.5},
                    "max_num_seqs": 2,
                },
                "thinking": {"budgets": [0, 8, 24]},
                "answer": {"max_tokens": 6},
                "samples": 8,
                "out": str(tmp_path),
            }
        )
        job = jobs.prepare(parsed, parsed.model[0], jobs.load_problems(parsed))
        jobs.register(job)
        return job

    with pytest.raises(UserError, match=r"no answer any more .*run again to resume"):
        drawing.draw(work(first.url), Progress())
    kept = work(first.url).store.read("calls").to_pylist()
    assert any(row["kind"] == "answer" for row in kept)
    second = work(serve().url)
    assert drawing.draw(second, Progress()) == [] and not drawing.unfinished(second)
    dead, alive = second.store.manifest().sessions
    assert dead["retries"] > 0 and alive["retries"] == 0
    assert all(row in second.store.read("calls").to_pylist() for row in kept)


def test_the_key_comes_from_the_environment_and_shows_in_no_message(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    server = serve(answer=lambda body: (403, {}, b"bad key sk-secret"))
    engine = EndpointEngine("x", urls=server.url, api_key_env="MY_KEY")
    with pytest.raises(UserError, match="refuses every request") as caught:
        complete(engine, request())
    assert server.requests[0][1]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(caught.value) and "***" in str(caught.value)


def test_a_server_without_token_ids_is_refused(serve: Callable[..., Server]) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        reply = draw(body)
        del reply["choices"][0]["token_ids"]
        return reply

    with pytest.raises(UserError, match="gives no token ids"):
        complete(EndpointEngine("x", urls=serve(answer=answer).url), request())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "'urls' is missing"),
        ({"urls": "localhost:8000"}, "is no base URL; write http"),
        ({"urls": "http://me:pw@host/v1"}, "keys belong into the environment"),
        ({"urls": []}, "names no server"),
        (
            {"urls": "http://127.0.0.1:9/v1"},
            "no server answers .*start it, or correct engine.args.urls",
        ),
        ({"url": "http://127.0.0.1:9/v1"}, "no argument 'url'; did you mean 'urls'"),
    ],
)
def test_what_a_user_can_mend_is_one_line(args: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        engines.make(EngineSpec(name="endpoint", args=args), "x")


def test_a_server_with_several_models_must_be_told_which(serve: Callable[..., Server]) -> None:
    server = serve()
    server.models = ["a", "b"]
    with pytest.raises(UserError, match=r"serves a, b; name one in engine\.args\.served_model"):
        EndpointEngine("x", urls=server.url)
    assert EndpointEngine("b", urls=server.url)._model == "b"
    assert EndpointEngine("x", urls=server.url, served_model="a")._model == "a"
