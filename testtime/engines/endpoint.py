"""Any OpenAI-compatible server (`vllm serve`, SGLang, alone, several, or behind a router; hosted
ones by messages).

Prompts are token ids through `/v1/completions`, so cutting and closing a chain is as exact as in
process; servers that take messages alone can only be told a level (see `wire`). What fails on the
way (429, 5xx, cut connections, stalls, broken JSON) is tried again with the same seed, so nothing
is drawn twice with different noise; a request that keeps failing while others succeed is missing,
never wrong; when no server answers any more, or all of them answer with errors alone, the run stops
with one line in the server's own words and can be resumed.

Keys come from the environment alone, and appear in no message (see `redact`).
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from testtime.engines.base import (
    Completion,
    ContextError,
    EngineError,
    EngineUnavailable,
    Request,
)
from testtime.engines.replicas import Failure, Replica, Replicas
from testtime.engines.wire import WIRES, model_names
from testtime.errors import UserError, suggest
from testtime.redact import redact, register, register_environment, vet

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_OVERLOADED = {429, 503}
# As OpenAI (context_length_exceeded), vLLM, SGLang and llama.cpp say it.
_TOO_LONG = re.compile(r"context[ _](length|size|window)", re.IGNORECASE)
_HOPELESS = {401, 403, 404}  # every other request would fail alike
_REFUSED = {400, 422, 500, 501}  # how servers say that they take no token ids
_AWAY = {502, 503, 504}  # a proxy's word for a server that is not there
INSTEAD = (
    "serve the model with vLLM (0.10.2 or newer) or SGLang, or write engine.args.api: chat with "
    "thinking.strategy: native"
)
LARGEST = 256 << 20  # bytes of a reply; a longer one is no completion
QUOTED = 300  # characters of an error that are passed on


class EndpointEngine:
    """One or several servers of the same model.

    model: what the run calls it; served_model: its name on the servers (default: found there). api:
    "completions" takes and gives token ids; "chat" takes messages, for servers that have nothing
    else. request: further fields of every request; null leaves one of ours out. urls: base URLs
    such as http://host:8000/v1; data_parallel: ranks behind each URL, to which requests are pinned
    by vLLM's header (1: not pinned). timeout: seconds for one request. attempts: failures of one
    request, while others succeed, before it is missing. patience: seconds without any success after
    which a server that is silent, or answers with errors alone, is given up. api_key_env: the
    environment variable that holds the key, if the servers ask for one. Raises UserError when no
    server answers, or none has the model.
    """

    name = "endpoint"

    def __init__(
        self,
        model: str,
        *,
        urls: str | Sequence[str],
        served_model: str | None = None,
        api: str = "completions",
        request: Mapping[str, Any] | None = None,
        max_num_seqs: int | None = None,
        data_parallel: int = 1,
        timeout: float = 1800.0,
        attempts: int = 8,
        patience: float = 120.0,
        api_key_env: str = "TESTTIME_API_KEY",
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise EngineUnavailable(
                "engine endpoint: httpx is not installed; install testtime[endpoint]"
            ) from None
        self._errors = httpx.HTTPError, httpx.InvalidURL
        key = _key(api_key_env)
        if trouble := vet({"urls": urls, "request": request}, "engine.args"):
            raise UserError(trouble)
        bases = [_base(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not bases:
            raise UserError("engine.args.urls: names no server; write urls: [http://host:8000/v1]")
        ranks: list[int | None] = list(range(data_parallel)) if data_parallel > 1 else [None]
        self.max_num_seqs = max_num_seqs or 256 * len(bases) * len(ranks)
        most = -(-self.max_num_seqs // (len(bases) * len(ranks)))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        if api not in WIRES:
            raise UserError(f"engine.args.api: {api!r} is unknown{suggest(api, WIRES)}")
        self._wire, self._request = WIRES[api], dict(request or {})
        self._model = served_model or _served(httpx, bases, headers, model, api_key_env)
        self._client = httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(timeout, connect=10.0), limits=limits
        )
        self._bases, self._patience = bases, patience
        self._doubted, self._doubt = set[str](), asyncio.Lock()
        targets = [
            (base if rank is None else f"{base} rank {rank}", (base, rank))
            for base in bases
            for rank in ranks
        ]
        self.replicas = Replicas(
            [Replica(name, target, most) for name, target in targets],
            attempts,
            patience,
            self._alive,
        )

    async def complete(self, request: Request) -> Completion:
        body = {"model": self._model, **self._wire.body(request), **self._request}
        body = {key: value for key, value in body.items() if value is not None}
        return await self.replicas.serve(
            request.affinity, lambda replica: self._attempt(replica, body, request)
        )

    async def _attempt(
        self, replica: Replica, body: dict[str, Any], request: Request
    ) -> Completion | Failure:
        """One try: the completion, or what went wrong and is worth another try."""
        base, rank = replica.target
        headers = {
            "X-Session-ID": hashlib.blake2b(request.affinity.encode(), digest_size=8).hexdigest()
        }
        if rank is not None:
            headers["X-data-parallel-rank"] = str(rank)
        async with replica.slot():
            try:
                status, asked_rest, reply = await self._post(base, body, headers)
            except self._errors as error:
                replica.silent()
                return Failure(_quoted(f"{type(error).__name__}: {error}"), answered=False)
        if status != 200:
            said = _quoted(f"{status}: {reply[:100_000].decode(errors='replace')}")
            if status in _HOPELESS:
                raise UserError(
                    f"{base}: refuses every request ({said}); check the key and the model's name"
                )
            if status in _REFUSED and "prompt" in body and await self._text_alone(base, body):
                raise UserError(
                    f"{base}: takes text and no token ids ({said}), so chains cannot be cut there; "
                    f"{INSTEAD}, which draws levels"
                )
            if status not in _AGAIN:
                hint = "; engine.args.request: {FIELD: null} leaves a field of ours out"
                full = _TOO_LONG.search(said)
                unknown = status in _REFUSED and "messages" in body and not full
                kind = ContextError if full else EngineError
                raise kind(f"{redact(base)}: {said}{hint if unknown else ''}")
            rest = _retry_after(asked_rest) if status in _OVERLOADED else 0.0
            if status in _OVERLOADED:  # whoever asks for longer than we wait is asked once more
                replica.overloaded(min(rest, self._patience))
            return Failure(said, later=rest > self._patience)
        try:
            done = self._wire.read(reply, request)
        except ValueError as error:
            return Failure(_quoted(f"unreadable reply ({error})"))
        if done is None:
            raise UserError(
                f"{base}: the server gives no token ids, so chains cannot be cut; {INSTEAD}"
            )
        return done

    async def _text_alone(self, base: str, body: dict[str, Any]) -> bool:
        """Whether a server that refused a request takes the least one of text, and of ids does not:
        then it would refuse them all. Asked once.
        """
        least = {"prompt": body["prompt"][:1], "max_tokens": 1}
        text = {"model": self._model, "prompt": "1", "max_tokens": 1}
        async with self._doubt:
            if base in self._doubted:
                return False
            self._doubted.add(base)
            try:
                refused, _, _ = await self._post(base, {**body, **least}, {})
                taken, _, _ = await self._post(base, text, {})
            except self._errors:
                return False
            # A router may refuse ids itself, and find no model behind it under the name it gave.
            return refused in _REFUSED and (taken == 200 or taken in _HOPELESS)

    async def _post(
        self, base: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, str | None, bytes]:
        """(status, Retry-After, body) of one request; a body that is too long is cut, so that it
        cannot be read as a reply.
        """
        parts: list[bytes] = []
        size = 0
        async with self._client.stream(
            "POST", f"{base}/{self._wire.path}", json=body, headers=headers
        ) as answer:
            async for part in answer.aiter_bytes(1 << 16):
                parts.append(part)
                size += len(part)
                if size > LARGEST:
                    break
            return answer.status_code, answer.headers.get("Retry-After"), b"".join(parts)

    async def _alive(self) -> bool:
        """Whether any server gives a sign of life: long generations may succeed rarely."""
        for base in self._bases:
            try:
                answer = await self._client.get(f"{base}/models", timeout=10.0)
            except self._errors:
                continue
            if answer.status_code not in _AWAY:
                return True
        return False

    async def close(self) -> None:
        await self._client.aclose()


def _key(variable: str) -> str:
    """The key in an environment variable, registered as a secret; empty where there is none."""
    key = os.environ.get(variable, "").strip()
    register(os.environ.get(variable, ""))
    register_environment()
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise UserError(
            f"the key in the environment variable {variable} holds a space, a line break or a "
            f"character that no HTTP header can carry; set it to the key alone"
        )
    return key


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"engine.args.urls: {url!r} is no base URL; write http://host:8000/v1")
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def _quoted(said: str) -> str:
    """What a server said, without keys, on one line, cut."""
    return redact(" ".join(redact(said).split()))[:QUOTED]


def _served(
    httpx: Any, bases: Sequence[str], headers: dict[str, str], model: str, api_key_env: str
) -> str:
    """The model's name on the servers that answer."""
    troubles, silent = [], True
    for base in bases:
        try:
            answer = httpx.get(f"{base}/models", headers=headers, timeout=10.0)
            if answer.status_code in (401, 403):
                raise UserError(
                    f"{base}: refuses the key; put a valid one into the environment variable "
                    f"{api_key_env}"
                )
            names = model_names(answer.raise_for_status().content)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            silent &= isinstance(error, (httpx.TransportError, httpx.InvalidURL))
            troubles.append(f"{base}: {_quoted(f'{type(error).__name__}: {error}')}")
            continue
        if model in names or len(names) == 1:
            return model if model in names else names[0]
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise UserError(
            f"{base}: serves {listed or 'no model'}; name one in engine.args.served_model"
        )
    if silent:
        raise UserError(
            f"no server answers ({'; '.join(troubles)}); start it, or correct engine.args.urls"
        )
    raise UserError(
        f"no server says what it serves ({'; '.join(troubles)}); name the model in "
        "engine.args.served_model, or correct engine.args.urls"
    )


def _retry_after(value: str | None) -> float:
    """Seconds a `Retry-After` header asks for: a number, or a date."""
    if not value:
        return 0.0
    try:
        asked = float(value)
    except ValueError:
        try:
            asked = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return asked if 0 < asked < 1e9 else 0.0
