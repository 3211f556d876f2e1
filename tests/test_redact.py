"""No key is shown: by value, whole or cut in half, in errors, logs and plain data."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from testtime import redact
from testtime.engines.base import EngineError, Request
from testtime.errors import UserError

from .engines.server import Server

KEY = "sk-test-4f9aQ7z81LmN0pXw"
ASKED = Request(None, 30, 1, messages=({"role": "user", "content": "?"},))


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redact, "_secrets", set())
    monkeypatch.setattr(redact, "_pattern", None)
    yield


@pytest.mark.parametrize(
    "text",
    [
        f"bad key {KEY}", f"Bearer {KEY}!", json.dumps({"key": KEY}), f"https://h/{KEY}/v1#{KEY}",
        f"cut after half: {KEY[:15]}", f"...{KEY[-14:]} is wrong", f"model {KEY} not found",
    ],
)  # fmt: skip
def test_a_registered_key_is_taken_out_by_value(text: str) -> None:
    redact.register(KEY)
    shown = redact.redact(text)
    assert "***" in shown and KEY[:12] not in shown and KEY[-12:] not in shown


def test_a_key_is_found_in_every_spelling() -> None:
    odd = 'pa"ss wörd+/=\nsecond-line-of-it'
    redact.register(odd)
    for text in (
        odd,
        " ".join(odd.split()),
        json.dumps(odd),
        repr(odd),
        "x%2B%2F%3D second-line-of-it",
    ):
        assert "second-line" not in redact.redact(text)


def test_errors_logs_and_trees_are_clean(caplog: pytest.LogCaptureFixture) -> None:
    redact.register(KEY)
    assert KEY not in str(UserError(f"{KEY} is refused"))
    logging.getLogger("httpx").warning("HTTP Request: POST %s", f"http://h/{KEY}/v1")
    assert KEY not in caplog.text and "***" in caplog.text
    assert redact.redact_tree({KEY: [KEY, 1, None, {"a": (KEY,)}]}) == {
        "***": ["***", 1, None, {"a": ("***",)}]
    }


def test_ordinary_words_stay() -> None:
    redact.register("sk")
    redact.register("")
    redact.register(KEY)
    assert redact.redact("ask the desk for 4 tests") == "ask the desk for 4 tests"


def test_an_error_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in str(UserError("model \x1b[2J\x1b]0;x\x07 \ud800 ‮evil"))
    str(UserError("\ud800")).encode()


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@host/v1", f"https://{KEY}@host/v1", f"http://host/v1?key={KEY}",
        f"http://host/v1#{KEY}", f"http://user:{KEY}@[::1",
    ],
)  # fmt: skip
def test_a_url_with_a_key_is_refused_and_the_key_forgotten_everywhere(url: str) -> None:
    config = {"engine": {"name": "endpoint", "args": {"urls": [url]}}}
    trouble = redact.vet(config)
    assert trouble and "keys belong into the environment" in trouble and KEY not in trouble
    assert KEY not in json.dumps(redact.redact_tree(config))


def test_keys_in_a_path_and_in_the_request_are_registered() -> None:
    path = "d2f9c1e0b7a84f6e9c3b5a7d8e1f2a3b"
    args = {"urls": f"https://gateway/{path}/v1", "request": {"api_key": KEY, "top_k": 4}}
    assert redact.vet({"args": args}) is None
    shown = json.dumps(redact.redact_tree(args))
    assert path not in shown and KEY not in shown and '"top_k": 4' in shown


def test_ordinary_configs_pass() -> None:
    config = {
        "engine": {"args": {"urls": ["http://node-1:8000/v1", "http://127.0.0.1:8000/v1"]}},
        "license": "https://example.org/license?version=2#text", "out": "s3://bucket/run-1",
    }  # fmt: skip
    assert redact.vet(config) is None and redact.redact_tree(config) == config


class TestEngine:
    """The endpoint against a server that quotes the key."""

    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("httpx")
        monkeypatch.setenv("MY_KEY", KEY)

    def ask(self, answer: Any, **more: Any) -> str:
        from testtime.engines.endpoint import EndpointEngine

        server = Server(answer=answer)
        try:
            engine = EndpointEngine("m", urls=server.url, api="chat", api_key_env="MY_KEY", **more)

            async def work() -> None:
                try:
                    await engine.complete(ASKED)
                finally:
                    await engine.close()

            with pytest.raises((EngineError, UserError)) as caught:
                asyncio.run(work())
            return str(caught.value)
        finally:
            server.stop()

    @pytest.mark.parametrize("status", [400, 401, 404])
    def test_an_error_body_cut_within_the_key(self, status: int) -> None:
        for filler in (270, 276, 280, 285, 290, 295):
            body = b"x" * filler + f" key {KEY} is bad".encode()
            said = self.ask(lambda _, body=body: (status, {}, body))
            assert "sk-test" not in said and "4f9a" not in said

    def test_a_model_named_like_the_key(self) -> None:
        from testtime.engines.endpoint import EndpointEngine

        server = Server()
        server.models = [KEY, "other"]
        with pytest.raises(UserError, match="serves") as caught:
            EndpointEngine("m", urls=server.url, api_key_env="MY_KEY")
        server.stop()
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("key", [f"{KEY}\nsecond", f"{KEY} x", f"{KEY}ä", f"{KEY}\x00"])
    def test_a_key_that_no_header_can_carry(
        self, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from testtime.engines.endpoint import EndpointEngine

        if "\x00" in key:  # no environment can hold it
            monkeypatch.setattr("os.environ", {"MY_KEY": key})
        else:
            monkeypatch.setenv("MY_KEY", key)
        with pytest.raises(UserError, match="MY_KEY holds a space, a line break") as caught:
            EndpointEngine("m", urls="http://127.0.0.1:9/v1", api_key_env="MY_KEY")
        assert "sk-test" not in str(caught.value)
