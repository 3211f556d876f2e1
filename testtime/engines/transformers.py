"""The embedded default: a plain batched decoding loop over `AutoModelForCausalLM`.

No server and no GPU, and it starts in seconds. Requests are prefilled in groups and decoded
together; finished rows leave the batch and waiting ones join. The loop lives in a thread of its
own, so `complete` is an ordinary awaitable. Each request draws one uniform number a token from its
own counter-based stream and inverts the distribution, so its noise does not depend on who else is
in the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers

from testtime.engines.base import Completion, EngineError, Request, Sampling
from testtime.engines.kvcache import join, new_cache
from testtime.errors import UserError

PREFILL_TOKENS = 16384  # padded tokens of one prefill pass
SMALL_MODEL = 50_000_000  # parameters below which a second thread costs more than it brings
PATIENCE = 8  # steps after which a waiting request joins even alone


@dataclass(eq=False)
class _Row:
    """A request in flight: its noise, and what it has generated."""

    request: Request
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Completion]
    uniforms: np.ndarray
    stops: frozenset[int]
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def finish(self) -> Literal["stop", "length"] | None:
        if self.token_ids and self.token_ids[-1] in self.stops:
            return "stop"
        return "length" if len(self.token_ids) >= self.request.max_tokens else None


class TransformersEngine:
    """Batched decoding in this process.

    model: a local folder or hub id; dtype: "auto" is float32 on CPU, the checkpoint's own on CUDA.
    Raises UserError when the model cannot be loaded.
    """

    name = "transformers"

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        max_num_seqs: int = 128,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        self.max_num_seqs = max_num_seqs
        self.device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        chosen = ("float32" if self.device.type == "cpu" else "auto") if dtype == "auto" else dtype
        try:
            self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                str(model), revision=revision, dtype=chosen
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"model {model}: transformers cannot load it: {str(error).splitlines()[0]}"
            ) from error
        self.model.to(self.device).eval()
        if self.device.type == "cpu" and self.model.num_parameters() < SMALL_MODEL:
            torch.set_num_threads(1)
        eos = self.model.generation_config.eos_token_id
        self._eos = frozenset([eos] if isinstance(eos, int) else eos or ())
        self.context = int(getattr(self.model.config, "max_position_embeddings", 1 << 30))
        self._inbox: queue.SimpleQueue[_Row | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="testtime-decoding", daemon=True)
        self._thread.start()

    async def complete(self, request: Request) -> Completion:
        if request.prompt is None:
            raise UserError("the transformers engine takes token ids, not messages")
        s = request.sampling
        if s.presence_penalty or s.frequency_penalty or s.repetition_penalty != 1:
            raise UserError(
                "the transformers engine has no penalties; write engine: vllm, or leave them out"
            )
        if len(request.prompt) + request.max_tokens > self.context:
            raise EngineError(
                f"prompt of {len(request.prompt)} + {request.max_tokens} tokens "
                f"exceeds the model's context of {self.context}"
            )
        loop = asyncio.get_running_loop()
        # A counter-based generator: cheap to seed, the same stream whatever the batch.
        uniforms = np.random.Generator(np.random.Philox(request.seed)).random(request.max_tokens)
        stops = frozenset(request.stop_token_ids) | (
            frozenset() if request.ignore_eos else self._eos
        )
        row = _Row(request, loop, loop.create_future(), uniforms, stops)
        self._inbox.put(row)
        return await row.future

    async def close(self) -> None:
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    # The decoding thread.

    def _run(self) -> None:
        rows: list[_Row] = []
        waiting: deque[_Row] = deque()
        try:
            with torch.inference_mode():
                self._decode(rows, waiting)
        except BaseException as error:
            failure = EngineError(f"the decoding loop stopped: {error}")
            for row in (*rows, *waiting):
                if row.finish is None:
                    _settle(row, failure)
            while (
                late := self._inbox.get()
            ) is not None:  # what comes later fails too, until the engine is closed
                _settle(late, failure)

    def _decode(self, rows: list[_Row], waiting: deque[_Row]) -> None:
        """Until told to stop: admit, step, deliver. `rows` is the batch, finished rows included
        until they leave.
        """
        cache, mask = new_cache(), torch.zeros(0, 0, dtype=torch.long)
        since = 0
        while True:
            while not (self._inbox.empty() and (rows or waiting)):
                row = self._inbox.get()
                if row is None:
                    return
                waiting.append(row)
            alive = [i for i, row in enumerate(rows) if row.finish is None]
            free = self.max_num_seqs - len(alive)
            ready = min(free, len(waiting))
            since += 1
            if (ready and (not alive or ready * 4 >= self.max_num_seqs or since > PATIENCE)) or len(
                alive
            ) * 4 < len(rows) * 3:
                parts = [(cache, mask, torch.tensor(alive, device=self.device))] if alive else []
                rows[:] = [rows[i] for i in alive]
                fresh = sorted(
                    (waiting.popleft() for _ in range(ready)),
                    key=lambda r: -len(r.request.prompt or ()),
                )
                rows.extend(fresh)  # before the pass, so that a failure reaches them too
                parts += self._prefill(fresh)
                if not parts:
                    continue
                cache, mask = join(parts)
                since = 0
                if not any(row.finish is None for row in rows):
                    continue
            self._step(rows, cache, mask)
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)

    def _prefill(self, fresh: list[_Row]) -> list[tuple[Any, torch.Tensor, torch.Tensor]]:
        """Prompts in groups of similar length; draws each one's first token."""
        parts = []
        while fresh:
            width = len(fresh[0].request.prompt or ())
            group, fresh = (
                fresh[: max(1, PREFILL_TOKENS // width)],
                fresh[max(1, PREFILL_TOKENS // width) :],
            )
            ids = torch.zeros(len(group), width, dtype=torch.long)
            mask = torch.zeros(len(group), width, dtype=torch.long)
            for i, row in enumerate(group):
                prompt = torch.tensor(row.request.prompt)
                ids[i, width - len(prompt) :] = prompt
                mask[i, width - len(prompt) :] = 1
            mask = mask.to(self.device)
            cache = new_cache()
            self._forward(group, ids, mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
            parts.append((cache, mask, torch.arange(len(group), device=self.device)))
        return parts

    def _step(self, rows: list[_Row], cache: Any, mask: torch.Tensor) -> None:
        last = torch.tensor([[row.token_ids[-1]] for row in rows])
        positions = mask.sum(1, keepdim=True)
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        self._forward(rows, last, mask, positions, cache)

    def _forward(
        self,
        rows: list[_Row],
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
    ) -> None:
        """One pass; draws and appends the next token of every unfinished row, delivers those that
        finish.
        """
        logits = (
            self.model(
                input_ids=ids.to(self.device),
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            .logits[:, -1]
            .float()
        )
        live = [i for i, row in enumerate(rows) if row.finish is None]
        if len(live) < len(rows):
            logits = logits[live]
        logprobs = torch.log_softmax(logits, dim=-1)
        uniforms = torch.tensor(
            [rows[i].uniforms[len(rows[i].token_ids)] for i in live], device=self.device
        )
        tokens = draw(logprobs, [rows[i].request.sampling for i in live], uniforms)
        chosen = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        for i, token, logprob in zip(live, tokens.tolist(), chosen, strict=True):
            rows[i].token_ids.append(token)
            rows[i].logprobs.append(logprob)
            if (finish := rows[i].finish) is not None:
                row = rows[i]
                _settle(
                    row,
                    Completion(
                        row.token_ids, "", finish, row.logprobs, len(row.request.prompt or ())
                    ),
                )


def _settle(row: _Row, outcome: Completion | EngineError) -> None:
    def deliver() -> None:
        if row.future.done():  # cancelled meanwhile
            return
        if isinstance(outcome, EngineError):
            row.future.set_exception(outcome)
        else:
            row.future.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # whoever waited has closed its loop
        row.loop.call_soon_threadsafe(deliver)


def draw(logprobs: torch.Tensor, samplings: list[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Next tokens (rows,) from raw log-probabilities (rows, vocabulary) and one uniform number a
    row.

    Temperature first, then top-k, top-p and min-p, as vLLM does; temperature 0 takes the most
    likely token. Penalties are not known to this engine.
    """
    greedy = logprobs.argmax(-1)
    if all(s.temperature == 0 for s in samplings):
        return greedy

    def column(name: str) -> Any:
        return torch.tensor([getattr(s, name) for s in samplings], device=logprobs.device)[:, None]

    temperature = column("temperature").to(logprobs.dtype)
    scaled = (logprobs / temperature.where(temperature > 0, torch.ones_like(temperature))).double()
    probs = torch.softmax(scaled, dim=-1)
    if any(s.top_k or s.top_p < 1 or s.min_p for s in samplings):
        top_k, top_p, min_p = column("top_k"), column("top_p"), column("min_p")
        values, order = probs.sort(dim=-1, descending=True)
        rank = torch.arange(values.shape[1], device=values.device)[None]
        values = values.where((top_k == 0) | (rank < top_k), 0)
        values = values / values.sum(1, keepdim=True)
        values = values.where((values.cumsum(1) - values < top_p) | (rank == 0), 0)
        values = values.where(values >= min_p * values[:, :1], 0)
        probs = torch.zeros_like(probs).scatter(1, order, values)
    cumulative = probs.cumsum(-1)
    drawn = torch.searchsorted(
        cumulative, (uniforms.double() * cumulative[:, -1])[:, None], right=True
    )[:, 0]
    drawn = drawn.clamp(max=logprobs.shape[1] - 1)
    return torch.where(temperature[:, 0] > 0, drawn, greedy)
