"""Routers before two of vLLM's servers. Behind vllm-router the answers of a chain must go where its
prefix is cached, by the header that names the chain; sglang-router's completions take text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.runs.run import Run

from ..engines.test_endpoint_vllm import VllmServer
from .conftest import Start, config, environment, nested, said


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


def routed(start: Start, servers: list[VllmServer], router: str, policy: str) -> str:
    behind = [server.url.removesuffix("/v1") for server in servers]
    command = environment("routers") / "python", "-m", f"{router}.launch_router"
    at = "--host", "127.0.0.1", "--port", "PORT", "--prometheus-port", "METRICS"
    return start([*command, "--worker-urls", *behind, "--policy", policy, *at], "/health")


def test_behind_vllm_router_answers_find_the_prefix_of_their_chain(
    start: Start, servers: list[VllmServer], tmp_path: Path
) -> None:
    cached = {}
    for seed, policy in enumerate(("consistent_hash", "random")):
        url = routed(start, servers, "vllm_router", policy)
        before = [server.metric("vllm:request_success_total") for server in servers]
        told = nested(tmp_path, url, name=policy, seed=seed, samples=8)
        (run,), _ = said({**told, "thinking": {"budgets": [0, 64, 96]}})
        after = [server.metric("vllm:request_success_total") for server in servers]
        done = [now - then for now, then in zip(after, before, strict=True)]
        cached[policy] = shares(run)
        print("vllm-router", policy, done, cached[policy])
        assert (run.scores["verdict"] != "missing").all() and min(done) > 0
    assert cached["consistent_hash"] > cached["random"]


def test_sglang_router_takes_no_ids_and_passes_messages_on(
    start: Start, servers: list[VllmServer], tmp_path: Path
) -> None:
    url = routed(start, servers, "sglang_router", "round_robin")
    for named in ({}, {"served_model": "quickstart"}):
        with pytest.raises(UserError, match=r"takes text and no token ids .*422"):
            said(nested(tmp_path, url, args=named))
    (run,), _ = said(config(tmp_path, url, name="level", args={"served_model": "quickstart"}))
    assert (run.scores["verdict"] != "missing").all()


def shares(run: Run) -> float:
    """Of the prompt tokens that the run sent, the share that the servers had cached."""
    (session,) = run.manifest.sessions
    return session["cached_tokens"] / session["prompt_tokens"]
