"""The decoding loop of the embedded engine: admit, step, deliver, in a thread of its own.

Rows are prefilled in groups, join free slots and are decoded together. What a row was computed for
is kept under its affinity, so that the answers of a chain read only their ending.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from testtime.engines.base import PART_SECONDS, Completion, EngineError
from testtime.engines.batch import Batch, Row
from testtime.engines.kvcache import Piece, Prefixes, Rows
from testtime.engines.sampler import draw

PREFILL_TOKENS = 16384  # padded tokens of one prefill pass, those from the cache included
PATIENCE = 8  # steps after which a waiting request joins even alone

Inbox = queue.SimpleQueue[Row | None]  # None: stop


class Decoder:
    """Decodes what comes through the inbox, `slots` rows together, until it is told to stop."""

    def __init__(self, model: Any, slots: int, inbox: Inbox) -> None:
        self._model, self._slots, self._inbox = model, slots, inbox
        self._device = model.device
        self._batch, self._cache = Batch(slots), Rows(np.zeros(0, int), 0)
        self._prefixes = Prefixes()
        self._waiting: deque[Row] = deque()
        self._fresh: list[Row] = []  # taken from there, and not in the batch yet
        config = model.config.get_text_config()
        windows = ("sliding_window", "attention_chunk_size")
        # Elsewhere the library makes the masks, out of which columns hold a token of the row.
        self._own_masks = config._attn_implementation == "sdpa" and not any(
            getattr(config, name, None) for name in windows
        )

    def run(self) -> None:
        try:
            with torch.inference_mode():
                self._loop()
        except BaseException as error:
            failure = EngineError(f"the decoding loop stopped: {error}")
            held = [row for row in self._batch.rows if row is not None]
            _settle((row, failure) for row in (*held, *self._fresh, *self._waiting))
            # What comes later fails too, until the engine is closed.
            while (late := self._inbox.get()) is not None:
                _settle([(late, failure)])

    def _loop(self) -> None:
        batch, waiting = self._batch, self._waiting
        since, due = 0, time.monotonic() + PART_SECONDS
        while True:
            while not (self._inbox.empty() and (len(batch.live) or waiting)):
                row = self._inbox.get()
                if row is None:
                    return
                waiting.append(row)
            live, since = len(batch.live), since + 1
            ready = min(self._slots - live, len(waiting))
            if ready and (ready * 4 >= live or since > PATIENCE):
                self._admit(ready)
                since = 0
            elif live * 2 < self._cache.window.rows:
                self._repack(live)
            if len(batch.live):
                self._step()
            if time.monotonic() >= due:
                self._tell()
                due = time.monotonic() + PART_SECONDS

    def _admit(self, count: int) -> None:
        """Prefill the rows that waited longest, those alike in one pass, and let them join."""
        self._fresh = [self._waiting.popleft() for _ in range(count)]
        # Asked once: what the first of them leave behind may take the place of what others found.
        known = {
            row: self._prefixes.find(row.request.affinity, _prompt(row)) for row in self._fresh
        }
        uncached = {row: len(_prompt(row)) - length for row, (_, length) in known.items()}
        self._fresh.sort(key=lambda row: -uncached[row])
        while self._fresh:
            new, width, size = uncached[self._fresh[0]], 0, 0
            for row in self._fresh:
                width = max(width, len(_prompt(row)))
                if size and ((size + 1) * width > PREFILL_TOKENS or uncached[row] * 2 < new):
                    break
                size += 1
            group = [(row, known[row][0]) for row in self._fresh[:size]]
            self._join(group, new, len(self._batch.live) + len(self._fresh))
            self._fresh = self._fresh[size:]

    def _join(self, found: Sequence[tuple[Row, Piece]], new: int, total: int) -> None:
        """Prefill rows, of which the last `new` tokens are computed and those before are found, and
        give them slots among `total` ones; draws each row's first token.
        """
        rows = [row for row, _ in found]
        batch, prompts = self._batch, [_prompt(row) for row in rows]
        width = max(map(len, prompts))
        group = Rows(width - np.array([len(p) for p in prompts]), width)
        ids = np.zeros((len(rows), new), int)
        for i, ((row, piece), prompt) in enumerate(zip(found, prompts, strict=True)):
            row.cached = max(0, len(prompt) - new)
            if row.cached:
                group.put(i, piece, row.cached)
            ids[i, new - len(prompt) + row.cached :] = prompt[row.cached :]
        group.window.end = width - new
        slots = [i for i in batch.free() if i < self._cache.window.rows][: len(rows)]
        if len(slots) < len(rows) or width > self._cache.window.end:
            self._repack(total, width)
            slots = list(range(len(batch.live), len(batch.live) + len(rows)))
        batch.join(slots, rows)  # before the pass, so that a failure reaches them too
        logits = self._forward(group, ids)
        for row, raw in zip(rows, logits, strict=True):
            if row.request.labels:
                row.labels = tuple(raw[list(row.request.labels)].tolist())
        self._cache.take(slots, group)
        self._draw(np.array(slots), logits)

    def _repack(self, rows: int, width: int = 0) -> None:
        """Move the rows that go on into the first of so many slots."""
        self._cache = self._cache.moved(self._batch.live, rows, width)
        self._batch.move(self._batch.live)

    def _step(self) -> None:
        cache, batch = self._cache, self._batch
        if cache.window.end == cache.capacity:
            self._repack(cache.window.rows)
            cache = self._cache
        rows = cache.window.rows
        logits = self._forward(cache, batch.last[:rows, None])
        if len(batch.live) < rows:
            logits = logits[torch.from_numpy(batch.live).to(logits.device)]
        self._draw(batch.live, logits)

    def _forward(self, cache: Rows, ids: np.ndarray) -> torch.Tensor:
        """Logits (rows, vocabulary) behind new tokens ids (rows, tokens), which the cache takes."""
        cache.advance(ids.shape[1])
        w, device = cache.window, self._device
        columns = torch.arange(w.begin, w.end, device=device)
        own, starts = columns[-ids.shape[1] :], torch.from_numpy(cache.starts).to(device)[:, None]
        mask = columns >= starts
        if self._own_masks:
            # A column before the row's first reads itself alone: reading nothing gives NaN.
            past, itself = columns <= own[:, None], columns == own[:, None]
            mask = ((mask[:, None] & past) | itself)[:, None]
        logits = self._model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=mask,
            position_ids=(own - starts).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return torch.log_softmax(logits[:, -1].float(), dim=-1)

    def _draw(self, slots: np.ndarray, logprobs: torch.Tensor) -> None:
        """Give each row its next token, and deliver those that finish."""
        batch = self._batch
        uniforms = batch.noise[slots, batch.count[slots]]
        tokens = draw(logprobs, batch.filters[slots], uniforms)
        chosen = logprobs.gather(1, tokens[:, None])[:, 0]
        over = batch.add(slots, tokens.cpu().numpy(), chosen.cpu().numpy())
        if not len(over):
            return
        done = [(batch.rows[slot], batch.completion(slot)) for slot in over]
        for slot, (row, completion) in zip(over, done, strict=True):
            # The last token was drawn and never read.
            known = (*_prompt(row), *completion.token_ids[:-1])
            if self._prefixes.wants(row.request.affinity, len(known)):
                piece = self._cache.cut(slot, len(known))
                self._prefixes.keep(row.request.affinity, known, piece)
        batch.leave(over)
        self._cache.leave(over)
        _settle(done)

    def _tell(self) -> None:
        """Give every row that goes on to whoever wants to keep parts of it."""
        for slot in self._batch.live:
            row = self._batch.rows[slot]
            if row is not None and row.request.on_part:
                _call(row.loop, row.request.on_part, self._batch.completion(slot))


def _prompt(row: Row) -> tuple[int, ...]:
    return row.request.prompt or ()


def _settle(outcomes: Iterable[tuple[Row, Completion | EngineError]]) -> None:
    """Deliver to every loop in one call: waking it costs more than what it is told."""
    by_loop = defaultdict[Any, list[tuple[Row, Completion | EngineError]]](list)
    for row, outcome in outcomes:
        by_loop[row.loop].append((row, outcome))
    for loop, settled in by_loop.items():
        _call(loop, _set, settled)


def _set(outcomes: Sequence[tuple[Row, Completion | EngineError]]) -> None:
    for row, outcome in outcomes:
        if row.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, EngineError):
            row.future.set_exception(outcome)
        else:
            row.future.set_result(outcome)


def _call(loop: Any, action: Callable[[Any], None], value: Any) -> None:
    with contextlib.suppress(RuntimeError):  # whoever waited has closed its loop
        loop.call_soon_threadsafe(action, value)
