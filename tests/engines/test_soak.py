"""A pool of 20,000 requests through servers that get a fifth of them wrong, cell by cell."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testtime import engines
from testtime.engines.base import Completion, Request
from testtime.engines.wire import WIRES
from testtime.runs import draw as drawing
from testtime.runs import prepare as jobs
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.runs.run import Run
from testtime.strategies.registry import parse

from .server import Server, draw
from .test_hostile_server import BAD

pytest.importorskip("httpx")
REQUESTS, PROBLEMS, SERVERS = 20_000, 120, 4
DONE = '{"choices": [{"text": %s, "token_ids": %s, "finish_reason": "stop"}], "usage": {"prompt_tokens": %s, "completion_tokens": %s}}'  # fmt: skip
JUNK = [
    *(BAD[name] for name in ("nested", "no UTF-8", "a list", "null", "nothing", "no choices")),
    *(
        (DONE % parts).encode()
        for parts in (
            (r'"\ud800"', "[4]", 3, 1), ('""', "[4]", 3, "1e30"), ('""', "[-1]", 3, 1), ('""', "[4, 5]", 3, 1),
            ('""', list(range(999)), 3, 999), ('""', "[4]", 3, "NaN"), ('""', "[4]", -3, 1),
        )
    ),
]  # fmt: skip


class Direct:
    """What the servers draw, without a wire between."""

    name, max_num_seqs = "endpoint", 64

    async def complete(self, request: Request) -> Completion:
        asked = {"prompt": list(request.prompt or ()), "seed": request.seed, "temperature": 1.0}
        asked |= {"max_tokens": request.max_tokens, "stop_token_ids": [*request.stop_token_ids]}
        done = WIRES["completions"].read(json.dumps(draw(asked)).encode(), request)
        assert done is not None
        return done

    async def close(self) -> None: ...


def faulty(seed: int) -> tuple[Callable[[int], str | None], Callable[[dict[str, Any]], Any]]:
    """Of a server: what goes wrong with a tenth of its requests, and junk for a tenth."""
    noise = random.Random(seed)
    kinds = ["429", "500", "cut", "truncated"] * 20 + ["stall"]

    def fault(number: int) -> str | None:
        return noise.choice(kinds) if noise.random() < 0.1 else None

    def answer(body: dict[str, Any]) -> Any:
        return (200, {}, noise.choice(JUNK)) if noise.random() < 0.11 else draw(body)

    return fault, answer


def run(out: Path, urls: list[str]) -> Run:
    args = {"urls": urls, "timeout": 2.0, "attempts": 12}
    told = {
        "name": "t",
        "task": [{"name": "chain_sum", "limit": PROBLEMS}],
        "model": "quickstart",
        "engine": {"name": "endpoint", "args": args, "max_num_seqs": 64},
        "thinking": {"budgets": [0, 4, 8, 16, 24]},
        "answer": {"max_tokens": 6},
        "samples": 32,
        "resamples": 100,
        "out": str(out),
    }
    config = parse(told)
    job = jobs.prepare(config, config.model[0], jobs.load_problems(config))
    jobs.register(job)
    assert drawing.draw(job, Progress()) == []
    return evaluate(job.store, Progress())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_soak_with_a_fifth_of_faults_has_the_same_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testtime.engines.replicas.LONGEST_WAIT", 0.5)
    servers = [Server(*faulty(seed)) for seed in range(SERVERS)]
    try:
        disturbed = run(tmp_path / "faults", [server.url for server in servers])
    finally:
        for server in servers:
            server.stop()
    asked = sum(len(server.requests) for server in servers)
    (session,) = disturbed.manifest.sessions
    assert asked >= REQUESTS and session["retries"] > 0.15 * asked
    monkeypatch.setattr(engines, "make", lambda *_: (Direct(), "direct"))
    calm = run(tmp_path / "calm", [server.url for server in servers])
    pd.testing.assert_frame_equal(disturbed.cells, calm.cells)
    pd.testing.assert_frame_equal(disturbed.scores, calm.scores)
