"""A small HTTP server for tests: it answers as told, or as another server does, and misbehaves as
told.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

FAULTS = ("429", "500", "cut", "stall", "truncated")
Reply = tuple[int, dict[str, str], bytes]
STALL = 3.0  # seconds a stalled request hangs


def draw(body: dict[str, Any]) -> dict[str, Any]:
    """A reply of `/v1/completions` whose tokens only the request determines."""
    noise = random.Random(str((body["prompt"], body.get("seed"), body["temperature"])))
    ids = [noise.randrange(4, 20) for _ in range(min(body["max_tokens"], noise.randrange(1, 40)))]
    stop = len(ids) < body["max_tokens"]
    if stop and body["stop_token_ids"]:
        ids[-1] = body["stop_token_ids"][0]
    usage = {
        "prompt_tokens": len(body["prompt"]),
        "completion_tokens": len(ids),
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    choice = {
        "text": "",
        "token_ids": ids,
        "finish_reason": "stop" if stop else "length",
        "logprobs": {"token_logprobs": [-0.5] * len(ids)},
    }
    return {"choices": [choice], "usage": usage}


class Server:
    """Listens on a loopback port of its own until `stop`; `upstream` makes it a proxy.

    fault(number): what goes wrong with the number-th completion request, or None. requests: bodies
    and headers seen.
    """

    def __init__(
        self,
        fault: Callable[[int], str | None] = lambda number: None,
        answer: Callable[[dict[str, Any]], dict[str, Any] | Reply] = draw,
        upstream: str | None = None,
        delay: float = 0.0,
    ) -> None:
        self.fault, self.answer, self.upstream, self.delay = fault, answer, upstream, delay
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.faults: Counter[str] = Counter()
        self.active = self.peak = 0
        self.models = ["m"]
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    def stop(self) -> None:
        """As a killed server: the port closes, open connections are cut."""

        def close() -> None:
            self._server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.05, self._loop.stop)

        if self._loop.is_running():
            self._loop.call_soon_threadsafe(close)
            self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split()[1].decode()
                headers = {}
                while (line := await reader.readline()).strip():
                    key, _, value = line.decode().partition(":")
                    headers[key.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.active += 1
                self.peak = max(self.peak, self.active)
                try:
                    whole = await self._reply(path, headers, body)
                finally:
                    self.active -= 1
                if whole is None:
                    return
                writer.write(whole)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _reply(self, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        if not body:
            return _http(
                await self._forward(path, headers, b"")
                if self.upstream
                else _json({"data": [{"id": m} for m in self.models]})
            )
        parsed = json.loads(body)
        self.requests.append((parsed, headers))
        fault = self.fault(len(self.requests))
        if fault:
            self.faults[fault] += 1
        if fault == "stall":
            await asyncio.sleep(STALL)
            return None
        if fault == "cut":
            return None
        if fault in ("429", "500"):
            return _http(
                (int(fault), {"Retry-After": "0.1"} if fault == "429" else {}, b'{"error": "busy"}')
            )
        await asyncio.sleep(self.delay)
        if self.upstream:
            reply = await self._forward(path, headers, body)
        else:
            answer = self.answer(parsed)
            reply = answer if isinstance(answer, tuple) else _json(answer)
        if fault == "truncated":
            reply = (reply[0], reply[1], reply[2][: len(reply[2]) // 2])
        return _http(reply)

    async def _forward(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        import httpx

        kept = {
            k: v
            for k, v in headers.items()
            if k not in ("host", "content-length", "accept-encoding")
        }
        async with httpx.AsyncClient(timeout=300) as client:
            answer = await client.request(
                "POST" if body else "GET",
                f"{self.upstream}{path.removeprefix('/v1')}",
                content=body,
                headers=kept,
            )
        return answer.status_code, {}, answer.content


def _json(data: Any) -> Reply:
    return 200, {}, json.dumps(data).encode()


def _http(reply: Reply) -> bytes:
    status, headers, body = reply
    lines = [
        f"HTTP/1.1 {status} X",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{k}: {v}" for k, v in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def one_in_five(seed: int = 5) -> Callable[[int], str | None]:
    """A fifth of all requests go wrong, in every way."""
    noise = random.Random(seed)
    return lambda number: noise.choice(FAULTS) if noise.random() < 0.2 else None


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
