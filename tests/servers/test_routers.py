"""vllm-router and sglang-router before two of vLLM's servers: the answers of a chain must go where
its prefix is cached, by the header that names the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest

from testtime.runs.run import Run

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


ROUTERS = {
    "vllm-router": ("vllm_router.launch_router", "consistent_hash"),
    "sglang-router": ("sglang_router.launch_router", "manual"),
}


@pytest.mark.parametrize("name", ROUTERS)
def test_answers_find_the_prefix_of_their_chain(
    start: Start, servers: list[VllmServer], tmp_path: Path, name: str
) -> None:
    module, by_header = ROUTERS[name]
    behind = [server.url.removesuffix("/v1") for server in servers]
    cached = {}
    for seed, policy in enumerate((by_header, "round_robin")):
        command = environment("routers") / "python", "-m", module, "--worker-urls", *behind
        at = "--host", "127.0.0.1", "--port", "PORT", "--prometheus-port", "METRICS"
        url = start([*command, "--policy", policy, *at], "/health")
        before = [server.metric("vllm:request_success_total") for server in servers]
        told = nested(
            tmp_path,
            url,
            name=policy,
            seed=seed,
            samples=8,
            args={"served_model": "quickstart"},
        )
        told["thinking"] = {"budgets": [0, 64, 96]}
        (run,), _ = said(told)
        after = [server.metric("vllm:request_success_total") for server in servers]
        done = [now - then for now, then in zip(after, before, strict=True)]
        cached[policy] = shares(run)
        print(name, policy, done, cached[policy])
        assert (run.scores["verdict"] != "missing").all() and min(done) > 0
    assert cached[by_header] > cached["round_robin"]


def shares(run: Run) -> float:
    """Of the prompt tokens that the run sent, the share that the servers had cached."""
    (session,) = run.manifest.sessions
    return session["cached_tokens"] / session["prompt_tokens"]
