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
    """A proxy that counts the tokens of all replies that pass it. one: it refuses requests of
    several completions, as many servers do.
    """

    calls = read = written = 0
    one = False

    async def _forward(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if self.one and body and (json.loads(body).get("n") or 1) > 1:
            return 400, {}, b'{"error": {"message": "n must be 1"}}'
        reply = await super()._forward(path, headers, body)
        if body and reply[0] == 200:
            usage = json.loads(reply[2])["usage"]
            self.calls += 1
            self.read += usage["prompt_tokens"]
            self.written += usage["completion_tokens"]
        return reply


@pytest.fixture(scope="module")
def backend(start: Start) -> Iterator[Counting]:
    environment("optillm")  # skips before anything starts
    serve = own("fastapi", "uvicorn", "openai") / "transformers", "serve", MODEL, "--device", "cpu"
    behind = start([*serve, "--host", "127.0.0.1", "--port", "PORT"], "/health", HF_HUB_OFFLINE="1")
    server = Counting(upstream=behind + "/v1")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(start: Start, backend: Counting) -> str:
    command = environment("optillm") / "optillm", "--base-url", backend.url, "--port", "PORT"
    return start(command, "/health", OPENAI_API_KEY="none")


def spent(
    url: str, backend: Counting, out: Path, method: str, budget: int = 32
) -> tuple[int, int, list[str]]:
    """One method's run: the tokens it says it wrote, those that were written, the lines said."""
    request = {} if method == "none" else {"optillm_approach": method}
    model = {"name": MODEL, "setting": f"method={method}", "request": request}
    backend.calls = backend.read = backend.written = 0
    told = config(out, url, model=model, args={"served_model": MODEL})
    (run,), lines = said({**told, "thinking": {"strategy": "native", "budgets": [budget]}})
    assert (run.scores["verdict"] != "missing").all()
    assert set(run.scores["setting"]) == {f"method={method}"}
    counted = int((run.scores["thinking_tokens"] + run.scores["answer_tokens"]).sum())
    print(
        f"{method}: {backend.calls} calls, {backend.read} read, {backend.written} written; told {counted}"
    )
    return counted, backend.written, lines


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_a_setting_and_its_tokens_are_those_that_were_spent(
    url: str, backend: Counting, tmp_path: Path, method: str
) -> None:
    told, written, lines = spent(url, backend, tmp_path, method)
    assert told == written
    assert any("prompts not counted" in line for line in lines) == (method != "none")


@pytest.mark.parametrize("method", ["bon", "moa"])
def test_drafts_that_are_cut_off_are_spent_and_not_told(
    url: str, backend: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(backend, "one", True)
    told, written, _ = spent(url, backend, tmp_path, method, budget=16)
    assert told < written
