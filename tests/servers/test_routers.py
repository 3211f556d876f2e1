"""Routers before two of vLLM's servers. Behind vllm-router the answers of a chain must go where its
prefix is cached, by the header that names the chain; sglang-router's completions take text alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import util
from pathlib import Path

import pytest

from testtime.engines.base import Request
from testtime.engines.endpoint import EndpointEngine
from testtime.errors import UserError
from testtime.runs.run import Run

from ..engines.server import Server
from ..engines.test_endpoint_vllm import VllmServer
from .conftest import Start, environment, nested, said


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VllmServer]]:
    environment("routers")
    if util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    folder = tmp_path_factory.mktemp("vllm")
    started = [VllmServer("quickstart", folder / f"log{i}") for i in range(2)]
    try:
        yield [server.wait() for server in started]
    finally:
        for server in started:
            server.kill()


def routed(start: Start, servers: Sequence[VllmServer | Server], router: str, policy: str) -> str:
    behind = [server.url.removesuffix("/v1") for server in servers]
    command = environment("routers") / "python", "-m", f"{router}.launch_router"
    at = "--host", "127.0.0.1", "--port", "PORT", "--prometheus-port", "METRICS"
    return start([*command, "--worker-urls", *behind, "--policy", policy, *at], "/health")


@pytest.mark.parametrize("policy", ["consistent_hash", "random"])
def test_vllm_router_keeps_a_chain_at_one_server_by_our_header(start: Start, policy: str) -> None:
    servers = [Server(), Server()]
    url = routed(start, servers, "vllm_router", policy)

    async def work() -> None:
        engine = EndpointEngine("m", urls=url, max_num_seqs=4)
        for _ in range(3):
            await asyncio.gather(
                *(engine.complete(Request((1, 2), 4, i, affinity=str(i))) for i in range(40))
            )
        await engine.close()

    asyncio.run(work())
    drew = [Counter(body["seed"] for body, _ in server.requests) for server in servers]
    split = drew[0].keys() & drew[1].keys()
    print(policy, [len(one) for one in drew], "chains;", len(split), "at both")
    assert drew[0].total() + drew[1].total() == 120
    assert not split and min(map(len, drew)) > 5 if policy == "consistent_hash" else split
    for server in servers:
        server.stop()


def test_behind_vllm_router_answers_find_the_prefix_of_their_chain(
    start: Start, servers: list[VllmServer], tmp_path: Path
) -> None:
    url = routed(start, servers, "vllm_router", "consistent_hash")
    before = [server.metric("vllm:request_success_total") for server in servers]
    told = nested(tmp_path, url, samples=8)
    (run,), _ = said({**told, "thinking": {"budgets": [0, 64, 96]}})
    after = [server.metric("vllm:request_success_total") for server in servers]
    done = [now - then for now, then in zip(after, before, strict=True)]
    print(done, shares(run))
    assert (run.scores["verdict"] != "missing").all() and min(done) > 0
    assert shares(run) > 0.3


def test_sglang_router_takes_no_ids(
    start: Start, servers: list[VllmServer], tmp_path: Path
) -> None:
    url = routed(start, servers, "sglang_router", "round_robin")
    with pytest.raises(UserError, match=r"takes text and no token ids .*422"):
        said(nested(tmp_path, url, args={"served_model": "quickstart"}))


def shares(run: Run) -> float:
    """Of the prompt tokens that the run sent, the share that the servers had cached."""
    (session,) = run.manifest.sessions
    return session["cached_tokens"] / session["prompt_tokens"]
