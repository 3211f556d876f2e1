"""Process reward models as people publish them, each read where it was trained.

How that is stands in `step_layouts`, what reads in `readers`. Requests that come while a batch is
read make up the next one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testtime.engines.base import EngineError, Scored
from testtime.engines.readers import ReadBy, architecture_of, batches, heads, reader
from testtime.engines.step_layouts import FAMILIES, Read, family_of
from testtime.errors import UserError, suggest


class StepScorer:
    """A process reward model in memory.

    path: a folder or hub id; name: what tells checkpoints apart; family, read_at, label_tokens: as
    `FAMILIES` says where they are None. engine, args: who reads it, and vLLM's engine arguments;
    dtype: "auto" is the checkpoint's own. Raises UserError where it cannot be loaded or read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str = "prm",
        family: str | None = None,
        read_at: str | None = None,
        label_tokens: tuple[str, str] | None = None,
        engine: ReadBy = "transformers",
        args: Mapping[str, Any] | None = None,
        dtype: str = "auto",
        device: str | None = None,
    ) -> None:
        import transformers

        self.name = name
        config = _config(path)
        kind = architecture_of(config)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(path))
        valued = any(key.startswith("v_head.") for key in heads(path))
        known = family or family_of(kind, bool(self.tokenizer.chat_template), valued)
        if known not in FAMILIES:
            raise UserError(f"thinking.prm.family: {known!r} is unknown{suggest(known, FAMILIES)}")
        self.family = FAMILIES[known]
        self.longest = int(config.get("max_position_embeddings") or 2**31)
        self.read_at = self.family.read_at if read_at is None else read_at
        labels = label_tokens or self.family.labels
        signs = (self._token(labels[1]), self._token(labels[0])) if labels else None
        self.reader = reader(engine, path, kind, signs, dtype=dtype, device=device, args=args)
        self._waiting: list[tuple[Read, asyncio.Future[Scored]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        """What the model says of each step. One that it cannot read any more scores 0."""
        plain = [step.strip() for step in steps]
        layout = self.family.layout(self.tokenizer, question, plain, self.read_at)
        future: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        self._waiting.append((layout, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._serve())
        return await future

    async def close(self) -> None:
        """Wait for what is being read, and release the model."""
        if self._reading:
            await self._reading
        self.reader.close()

    async def _serve(self) -> None:
        await asyncio.sleep(0)  # whoever asks in this turn of the loop joins
        while self._waiting:
            batch = self._batch()
            try:
                scores = await asyncio.to_thread(self.read, [layout for layout, _ in batch])
            except Exception as error:
                for _, future in batch:
                    future.set_exception(EngineError(f"verifier: {error}"))
                continue
            for ((_, ends), future), values in zip(batch, scores, strict=True):
                if not future.done():
                    future.set_result(Scored(values, ends))

    def _batch(self) -> list[tuple[Read, asyncio.Future[Scored]]]:
        """The waiting texts that fit one pass, of like length together."""
        self._waiting.sort(key=lambda one: len(one[0][0]))
        tokens = np.array([len(ids) for (ids, _), _ in self._waiting])
        most = len(batches(range(len(tokens)), tokens, self.reader.batch_tokens)[0])
        batch, self._waiting = self._waiting[:most], self._waiting[most:]
        return batch

    def read(self, texts: Sequence[Read]) -> list[list[float]]:
        """The probability of "right" at the end of each step of each text."""
        within = [
            (ids[: self.longest], [end - 1 for end in ends[1:] if end <= self.longest])
            for ids, ends in texts
        ]
        said = self.reader.right(within)
        return [
            [*scores.tolist(), *[0.0] * (len(ends) - 1 - len(scores))]
            for (_, ends), scores in zip(texts, said, strict=True)
        ]

    def _token(self, text: str) -> int:
        return int(self.tokenizer.encode(text, add_special_tokens=False)[-1])


def _config(path: str | Path) -> dict[str, Any]:
    import transformers

    file = Path(path) / "config.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    return dict(transformers.AutoConfig.from_pretrained(str(path)).to_dict())
