"""LiteLLM's proxy: in front of a real server, and before stubs that speak Anthropic's and Gemini's
own formats.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testtime import zoo
from testtime.errors import UserError

from ..engines.server import Server
from .conftest import Start, config, environment, nested, own, said

MODEL = str(zoo.path("quickstart"))
CLAUDE, GEMINI = "anthropic/claude-opus-4-6", "gemini/gemini-3.5-flash"
THOUGHT = {"low": 11, "high": 44}
LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}


def claude(body: dict[str, Any]) -> dict[str, Any]:
    thought = THOUGHT[body["output_config"]["effort"]]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [
            {"type": "thinking", "thinking": "Let me add.", "signature": "s"},
            {"type": "text", "text": "12"},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "output_tokens": thought + 3,
            "output_tokens_details": {"thinking_tokens": thought},
        },
    }


def gemini(body: dict[str, Any]) -> dict[str, Any]:
    thought = THOUGHT[body["generationConfig"]["thinkingConfig"]["thinkingLevel"]]
    content = {"role": "model", "parts": [{"text": "12"}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": thought,
            "totalTokenCount": 12 + thought,
        },
        "modelVersion": "gemini-3.5-flash",
    }


@pytest.fixture(scope="module")
def stubs() -> Iterator[dict[str, Server]]:
    servers = {CLAUDE: Server(answer=claude), GEMINI: Server(answer=gemini)}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def url(
    start: Start, stubs: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    program = environment("litellm") / "litellm"
    serve = own("fastapi", "uvicorn", "openai") / "transformers", "serve", MODEL, "--device", "cpu"
    behind = start([*serve, "--host", "127.0.0.1", "--port", "PORT"], "/health", HF_HUB_OFFLINE="1")
    listed = [("quickstart", f"openai/{MODEL}", behind + "/v1")]
    listed += [(name, name, stub.url.removesuffix("/v1")) for name, stub in stubs.items()]
    told = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": model, "api_base": base, "api_key": "none"},
            }
            for name, model, base in listed
        ],
        "litellm_settings": {"drop_params": True},
    }
    path = tmp_path_factory.mktemp("litellm") / "config.yaml"
    path.write_text(yaml.safe_dump(told))
    command = program, "--config", path, "--host", "127.0.0.1", "--port", "PORT"
    key = "sk-" + secrets.token_hex(32)  # without one it does not start
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTTIME_API_KEY", key)
        yield start(command, "/health/liveliness", LITELLM_MASTER_KEY=key, **LOCAL)


def test_nested_budgets_are_refused_in_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"takes text and no token ids .*api: chat"):
        said(nested(tmp_path, url, args={"served_model": "quickstart", "patience": 5}))


def test_messages_go_through_to_a_real_server(url: str, tmp_path: Path) -> None:
    request = {"max_completion_tokens": None, "max_tokens": 40}
    (run,), lines = said(config(tmp_path, url, args={"request": request}))
    tokens = run.scores["thinking_tokens"] + run.scores["answer_tokens"]
    assert (run.scores["verdict"] != "missing").all() and tokens.between(1, 40).all()
    assert not any("not kept" in line or "not counted" in line for line in lines)


@pytest.mark.parametrize("name", [CLAUDE, GEMINI])
def test_levels_and_measured_reasoning_tokens_come_through(
    url: str, tmp_path: Path, name: str, stubs: dict[str, Server]
) -> None:
    model = [
        {"name": name, "setting": f"effort={level}", "request": {"reasoning_effort": level}}
        for level in THOUGHT
    ]
    runs, _ = said(
        config(tmp_path, url, model=model, thinking={"strategy": "native", "budgets": [9000]})
    )
    for run, thought in zip(runs, THOUGHT.values(), strict=True):
        scores = run.scores
        assert len(scores) == 4 and scores["thinking_tokens"].eq(thought).all()
        assert scores["answer_tokens"].eq(3).all() and scores["prompt_tokens"].eq(9).all()
    print(name, json.dumps(stubs[name].requests[0][0]))
