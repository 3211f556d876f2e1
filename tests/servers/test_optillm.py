"""optillm as a test-compute method behind an address: each of its methods is a setting of one
model, and what it says it spent is set against what a proxy of ours counted behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from testtime import zoo

from ..engines.server import Reply, Server
from .conftest import Start, config, environment, own, said

MODEL = str(zoo.path("quickstart"))
METHODS = "none", "cot_reflection", "bon", "moa"


class Counting(Server):
    """A proxy that counts the tokens of all replies that pass it."""

    prompt_tokens = completion_tokens = calls = 0

    async def _forward(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        reply = await super()._forward(path, headers, body)
        if body and reply[0] == 200:
            usage = json.loads(reply[2])["usage"]
            self.calls += 1
            self.prompt_tokens += usage["prompt_tokens"]
            self.completion_tokens += usage["completion_tokens"]
        return reply


@pytest.fixture(scope="module")
def backend(start: Start) -> Iterator[Counting]:
    serve = own("fastapi", "uvicorn", "openai") / "transformers", "serve", MODEL, "--device", "cpu"
    behind = start([*serve, "--host", "127.0.0.1", "--port", "PORT"], "/health", HF_HUB_OFFLINE="1")
    server = Counting(upstream=behind + "/v1")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(start: Start, backend: Counting) -> str:
    command = environment("optillm") / "optillm", "--base-url", backend.url, "--port", "PORT"
    return start(command, "/health", OPENAI_API_KEY="none")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_a_setting_and_its_tokens_are_those_that_were_spent(
    url: str, backend: Counting, tmp_path: Path, method: str
) -> None:
    model = {
        "name": MODEL,
        "setting": f"method={method}",
        "request": {"optillm_approach": method},
    }
    counted = backend.calls, backend.prompt_tokens, backend.completion_tokens
    (run,), lines = said(
        config(tmp_path, url, model=model, args={"served_model": MODEL}, samples=1)
    )
    scores = run.scores
    assert (scores["verdict"] != "missing").all() and set(scores["setting"]) == {f"method={method}"}
    calls, read, written = (
        now - before
        for now, before in zip(
            (backend.calls, backend.prompt_tokens, backend.completion_tokens), counted, strict=True
        )
    )
    told = int((scores["thinking_tokens"] + scores["answer_tokens"]).sum())
    print(f"{method}: {calls} calls, {read} read, {written} written; it says {told} written", lines)
    assert told == written
    assert any("prompts not counted" in line for line in lines) == (method != "none")
