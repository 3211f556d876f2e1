"""Any OpenAI-compatible server (`vllm serve`, SGLang, alone, several, or behind a router; hosted
ones by messages).

Prompts are token ids through `/v1/completions`, so cutting and closing a chain is as exact as in
process; servers that take messages alone can only be told a level (see `wire`). What fails on the
way (429, 5xx, cut connections, stalls, broken JSON) is tried again with the same seed, so nothing
is drawn twice with different noise; a request that keeps failing while others succeed is missing,
never wrong; when no server answers any more the run stops with one line and can be resumed.

Keys come from the environment alone, and appear in no message.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from testtime.engines.base import Completion, EngineError, EngineUnavailable, Request
from testtime.engines.replicas import Replica, Replicas
from testtime.engines.wire import WIRES
from testtime.errors import UserError, suggest

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_OVERLOADED = {429, 503}
_HOPELESS = {401, 403, 404}  # every other request would fail alike


class EndpointEngine:
    """One or several servers of the same model.

    model: what the run calls it; served_model: its name on the servers (default: found there). api:
    "completions" takes and gives token ids; "chat" takes messages, for servers that have nothing
    else. request: further fields of every request; null leaves one of ours out. urls: base URLs
    such as http://host:8000/v1; data_parallel: ranks behind each URL, to which requests are pinned
    by vLLM's header (1: not pinned). timeout: seconds for one request. attempts: failures of one
    request, while others succeed, before it is missing. patience: seconds without any sign of life
    from any server before the run stops. api_key_env: the environment variable that holds the key,
    if the servers ask for one. Raises UserError when no server answers, or none has the model.
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
        self._key = os.environ.get(api_key_env, "")
        bases = [_base(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not bases:
            raise UserError("engine.args.urls: names no server; write urls: [http://host:8000/v1]")
        ranks: list[int | None] = list(range(data_parallel)) if data_parallel > 1 else [None]
        self.max_num_seqs = max_num_seqs or 256 * len(bases) * len(ranks)
        most = -(-self.max_num_seqs // (len(bases) * len(ranks)))
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        if api not in WIRES:
            raise UserError(f"engine.args.api: {api!r} is unknown{suggest(api, WIRES)}")
        self._wire, self._request = WIRES[api], dict(request or {})
        self._model = served_model or _served(httpx, bases, headers, model, api_key_env)
        self._client = httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(timeout, connect=10.0), limits=limits
        )
        self._bases = bases
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
    ) -> Completion | str:
        """One try: the completion, or what went wrong and is worth another try."""
        base, rank = replica.target
        headers = {
            "X-Session-ID": hashlib.blake2b(request.affinity.encode(), digest_size=8).hexdigest()
        }
        if rank is not None:
            headers["X-data-parallel-rank"] = str(rank)
        async with replica.slot():
            try:
                answer = await self._client.post(
                    f"{base}/{self._wire.path}", json=body, headers=headers
                )
            except self._errors as error:
                replica.silent()
                return self._clean(f"{type(error).__name__}: {error}")
        if answer.status_code != 200:
            said = self._clean(f"{answer.status_code}: {answer.text[:300]}")
            if answer.status_code in _HOPELESS:
                raise UserError(
                    f"{base}: refuses every request ({said}); check the key and the model's name"
                )
            if answer.status_code not in _AGAIN:
                raise EngineError(f"{base}: {said}")
            if answer.status_code in _OVERLOADED:
                replica.overloaded(_retry_after(answer.headers.get("Retry-After")))
            return said
        try:
            done = self._wire.read(answer.json(), request)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return f"unreadable reply ({type(error).__name__}: {error})"
        if done is None:
            raise UserError(
                f"{base}: the server gives no token ids, so chains cannot be cut; "
                "serve the model with vLLM (0.10.2 or newer) or SGLang, or write engine.args.api: "
                "chat"
            )
        return done

    async def _alive(self) -> bool:
        """Whether any server gives a sign of life: long generations may succeed rarely."""
        for base in self._bases:
            try:
                if (await self._client.get(f"{base}/models", timeout=10.0)).status_code == 200:
                    return True
            except self._errors:
                continue
        return False

    def _clean(self, text: str) -> str:
        text = " ".join(text.split())
        return text.replace(self._key, "***") if self._key else text

    async def close(self) -> None:
        await self._client.aclose()


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"engine.args.urls: {url!r} is no base URL; write http://host:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UserError(
            f"engine.args.urls: {parts.hostname}: keys belong into the environment, not into the "
            f"URL; "
            "name the variable in api_key_env"
        )
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def _served(
    httpx: Any, bases: Sequence[str], headers: dict[str, str], model: str, api_key_env: str
) -> str:
    """The model's name on the servers that answer."""
    troubles = []
    for base in bases:
        try:
            answer = httpx.get(f"{base}/models", headers=headers, timeout=10.0)
            if answer.status_code in (401, 403):
                raise UserError(
                    f"{base}: refuses the key; put a valid one into the environment variable "
                    f"{api_key_env}"
                )
            names = [str(entry["id"]) for entry in answer.raise_for_status().json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            troubles.append(f"{base}: {type(error).__name__}: {error}")
            continue
        if model in names or len(names) == 1:
            return model if model in names else names[0]
        raise UserError(
            f"{base}: serves {', '.join(names) or 'no model'}; name one in engine.args.served_model"
        )
    raise UserError(
        f"no server answers ({'; '.join(troubles)}); start it, or correct engine.args.urls"
    )


def _retry_after(value: str | None) -> float:
    """Seconds a `Retry-After` header asks for: a number, or a date."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
