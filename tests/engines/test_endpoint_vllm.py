"""The endpoint engine against real `vllm serve` processes on loopback, started here."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from testtime import engines, pipeline, zoo
from testtime.config.schema import Config
from testtime.errors import UserError
from testtime.runs import draw as drawing
from testtime.runs import prepare as jobs
from testtime.runs import show as shows
from testtime.runs.progress import Progress
from testtime.storage.store import Store
from testtime.strategies import registry
from testtime.strategies.base import Strategy

from .server import FAULTS, Server, one_in_five

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
ARGS = (
    "--block-size 32 --no-enable-chunked-prefill --max-num-batched-tokens 32768 "
    "--enforce-eager --dtype float32"
)
ARGS += " --enable-prompt-tokens-details --max-num-seqs 64 --disable-uvicorn-access-log"
COUNTS = " --reasoning-parser deepseek_r1"  # thinking tokens, and takes thinking budgets
HERE = Path(__file__).parent
CALLS = f" --reasoning-parser-plugin {HERE / 'agent_parsers.py'} --reasoning-parser agent"
CALLS += f" --tool-parser-plugin {HERE / 'agent_parsers.py'} --tool-call-parser agent"
CALLS += f" --enable-auto-tool-choice --chat-template {HERE / 'agent_tools.jinja'}"
STARTING = 600.0  # seconds


class VllmServer:
    """One `vllm serve` with a zoo model; the port is found free beforehand."""

    def __init__(self, model: str, log: Path, more: str = COUNTS) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.log = f"http://127.0.0.1:{port}/v1", log
        environment = {
            **os.environ,
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        # As `vllm serve` does; the CPU build's own `vllm` command looks for a package of another
        # name.
        command = [
            sys.executable,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            str(zoo.path(model)),
        ]
        command += [
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--served-model-name",
            model,
            *(ARGS + more).split(),
        ]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def wait(self) -> VllmServer:
        import httpx

        end = time.monotonic() + STARTING
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if (
                    httpx.get(self.url.removesuffix("/v1") + "/health", timeout=2).status_code
                    == 200
                ):
                    return self
            except httpx.HTTPError:
                time.sleep(1)
        pytest.fail(f"vllm serve did not start:\n{self.log.read_text()[-3000:]}")

    def metric(self, name: str) -> float:
        import httpx

        text = httpx.get(self.url.removesuffix("/v1") + "/metrics", timeout=10).text
        return sum(
            float(value) for value in re.findall(rf"^{re.escape(name)}{{.*}} (\S+)$", text, re.M)
        )

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def started(folder: Path, model: str = "quickstart", more: str = COUNTS) -> Iterator[VllmServer]:
    server = VllmServer(model, folder / "log", more)
    try:
        yield server.wait()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    yield from started(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(server: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    yield from started(tmp_path_factory.mktemp("second"))


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[VllmServer]:
    """A server of the agent that finds its calls."""
    yield from started(tmp_path, "agent", CALLS)


def config(
    out: Path, engine: Any, temperature: float = 0.0, limit: int = 60, samples: int = 1
) -> Config[Strategy]:
    return registry.parse(
        {
            "name": "t",
            "task": [{"name": "chain_sum", "limit": limit}],
            "model": "quickstart",
            "engine": engine,
            "thinking": {"budgets": [0, 16, 32, 64, 96]},
            "answer": {"max_tokens": 8},
            "sampling": {"temperature": temperature},
            "samples": samples,
            "resamples": 200,
            "out": str(out),
        }
    )


def endpoint(*urls: str, **args: Any) -> dict[str, Any]:
    return {"name": "endpoint", "args": {"urls": list(urls), **args}, "max_num_seqs": 64}


def draw(parsed: Config[Strategy]) -> Store:
    """A complete pool."""
    job = jobs.prepare(parsed, parsed.model[0], jobs.load_problems(parsed))
    jobs.register(job)
    assert drawing.draw(job, Progress()) == [] and not drawing.unfinished(job)
    return job.store


def tokens(store: Store) -> dict[tuple[Any, ...], list[int]]:
    """Tokens of every call by where it stands, which is the same whoever drew it; no doubles."""
    rows = [row for part in store.read_parts("calls") for row in part.to_pylist()]
    found = {(r["key"], r["start"]): r["token_ids"] for r in rows}
    assert len(found) == len(rows) and {r["kind"] for r in rows} == {"think", "answer"}
    return found


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], list[int]]:
    return tokens(draw(config(tmp_path_factory.mktemp("greedy"), "transformers")))


def agreement(
    one: dict[tuple[Any, ...], list[int]], other: dict[tuple[Any, ...], list[int]]
) -> float:
    """The share of chains and answers with the same tokens."""
    return sum(other.get(key) == ids for key, ids in one.items()) / len(one)


def test_greedy_tokens_equal_the_in_process_engine_s_and_prefixes_are_cached(
    server: VllmServer, greedy: dict[tuple[Any, ...], list[int]], tmp_path: Path
) -> None:
    before = server.metric("vllm:prefix_cache_hits_total")
    store = draw(config(tmp_path, endpoint(server.url)))
    assert agreement(greedy, tokens(store)) >= 0.99
    hits = server.metric("vllm:prefix_cache_hits_total") - before
    assert hits > 0
    calls = store.read("calls").to_pylist()
    assert hits == sum(row["cached_tokens"] for row in calls)
    chains = [row for row in calls if row["kind"] == "think"]
    assert chains and all(len(row["logprobs"]) == row["tokens"] for row in chains)


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_server_that_closes_the_thinking_itself_agrees_with_cut_chains(
    server: VllmServer, tmp_path: Path, api: str
) -> None:
    cut = pipeline.run(config(tmp_path / "cut", "transformers"))[0].scores
    asked = config(tmp_path / "told", "transformers").model_dump()
    budgets = [96] if api == "chat" else asked["thinking"]["budgets"]
    asked |= {
        "engine": endpoint(server.url, api=api),
        "thinking": {"budgets": budgets, "strategy": "native"},
    }
    if api == "chat":  # vLLM finds the thinking in the text, from which it drops special tokens
        asked["model"] = {"name": "quickstart", "request": {"skip_special_tokens": False}}
    told = pipeline.run(asked)[0].scores
    if api == "chat":  # told no budget, only capped
        assert told["budget"].isna().all()
        told = told.assign(budget=96)
    both = told.merge(cut, on=["problem_id", "sample", "budget"], suffixes=("", "_cut"))
    assert len(both) == len(told) == 60 * len(budgets)
    assert (both["score"] == both["score_cut"]).mean() >= 0.98
    if api == "chat":  # it does not say how many of its tokens were thinking
        both["thinking_tokens_cut"] += both["answer_tokens_cut"]
    assert (both["thinking_tokens"] == both["thinking_tokens_cut"]).mean() >= 0.98
    assert (both["prompt_tokens"] == both["prompt_tokens_cut"]).all()


def test_tools_called_through_messages_give_what_the_same_calls_in_the_text_give(
    caller: VllmServer, tmp_path: Path
) -> None:
    rare = {"where": {"rarest": {"min": 300}, "level": {"min": 2, "max": 3}}}
    lookup = {"name": "lookup", "function": "testtime.zoo.facts:lookup"}
    thinking = {"strategy": "tools", "budgets": [64], "turns": [0, 1, 4], "tools": lookup}
    told = {
        **config(tmp_path, "transformers").model_dump(),
        "model": "agent",
        "task": {"name": "facts", "limit": 20, "overrides": rare},
    }
    in_text = {**thinking, "dialect": "tags", "system": "lookup"}
    text = pipeline.run({**told, "name": "text", "thinking": in_text})[0]
    stop = {"stop": ["</tool_call>"], "include_stop_str_in_output": True}
    asked = {"name": "agent", "request": {"skip_special_tokens": False, **stop}}
    spoken = {"model": asked, "engine": endpoint(caller.url, api="chat")}
    in_chat = {**thinking, "dialect": "chat"}
    chat = pipeline.run({**told, **spoken, "name": "chat", "thinking": in_chat})[0]
    place = ["problem_id", "setting"]
    both = chat.scores.merge(text.scores, on=place, suffixes=("", "_text"))
    assert len(both) == 3 * 20 and both["tool_calls"].sum() > 20
    # With the last turn used up, the text's thinking is closed by force; a server's goes on.
    free = both[both["setting"] == "turn=4"]
    for name in ("score", "tool_calls", "answer_key"):
        assert (free[name] == free[f"{name}_text"]).mean() >= 0.9, name
    assert free["score"].mean() > both.loc[both["setting"] == "turn=0", "score"].mean()
    told_of = shows.show(chat.path, free.loc[free["tool_calls"] > 1, "problem_id"].iloc[0], [0])
    assert 'lookup({"input": "' in told_of and "[lookup, ok, " in told_of


def test_sampled_accuracies_are_within_the_paired_interval(
    server: VllmServer, second: VllmServer, tmp_path: Path
) -> None:
    tables = []
    for name, engine in (
        ("in process", "transformers"),
        ("served", endpoint(server.url, second.url)),
    ):
        run = pipeline.run(config(tmp_path / name, engine, temperature=1.0, limit=60, samples=8))[0]
        tables.append(
            run.scores[run.scores["budget"] == 96].pivot(
                index="problem_id", columns="sample", values="score"
            )
        )
    difference = (tables[0] - tables[1]).mean(axis=1)
    # The mean difference within 3.3 standard errors of nothing (99.9 %), over problems.
    assert abs(difference.mean()) <= 3.3 * difference.std() / len(difference) ** 0.5


def test_a_proxy_that_fails_a_fifth_of_requests_changes_nothing(
    server: VllmServer, greedy: dict[tuple[Any, ...], list[int]], tmp_path: Path
) -> None:
    proxy = Server(fault=one_in_five(), upstream=server.url)
    try:
        store = draw(config(tmp_path, endpoint(proxy.url, timeout=60.0)))
    finally:
        proxy.stop()
    assert set(proxy.faults) == set(FAULTS)
    found = tokens(store)
    assert found.keys() == greedy.keys()
    assert agreement(greedy, found) >= 0.99


def test_one_of_two_servers_is_killed_and_nothing_is_lost_or_double(
    server: VllmServer,
    second: VllmServer,
    greedy: dict[tuple[Any, ...], list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    make = engines.make

    def watched(*args: Any) -> Any:
        made.append(make(*args)[0])
        return made[-1], "watched"

    def kill() -> None:
        while not made or min(made[0].replicas.served.values()) < 20:
            time.sleep(0.01)
        second.kill()

    monkeypatch.setattr(engines, "make", watched)
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    store = draw(config(tmp_path, endpoint(server.url, second.url)))
    killer.join(1)
    assert second.process.poll() is not None
    assert agreement(greedy, tokens(store)) >= 0.99


def test_when_the_last_server_is_gone_the_run_stops_clearly_and_resumes(
    server: VllmServer, greedy: dict[tuple[Any, ...], list[int]], tmp_path: Path
) -> None:
    def fault(number: int) -> str | None:
        return "cut" if number > 60 else None

    proxy = Server(fault=fault, upstream=server.url)
    down = threading.Thread(target=proxy.stop)
    proxy.fault = lambda number: (down.start() if number == 61 else None, fault(number))[1]
    with pytest.raises(UserError, match=r"no answer any more .*run again to resume"):
        draw(config(tmp_path, endpoint(proxy.url, patience=2.0)))
    store = draw(config(tmp_path, endpoint(server.url)))
    assert agreement(greedy, tokens(store)) >= 0.99
