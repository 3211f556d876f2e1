"""The embedded default: a plain batched decoding loop over `AutoModelForCausalLM`.

No server and no GPU, and it starts in seconds. The loop lives in a thread of its own (see
`decoding`), so `complete` is an ordinary awaitable.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path
from typing import Any

import torch
import transformers

from testtime.engines.base import Completion, EngineError, Request
from testtime.engines.batch import Row
from testtime.engines.decoding import Decoder, Inbox
from testtime.errors import UserError

SMALL_MODEL = 50_000_000  # parameters below which a second thread costs more than it brings


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
        max_num_seqs: int = 256,
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
        if kept := _beside_attention(self.model):
            raise UserError(
                f"model {model}: keeps a state beside keys and values ({kept}), which the embedded "
                f"engine cannot batch; use engine vllm"
            )
        self.model.to(self.device).eval()
        if self.device.type == "cpu" and self.model.num_parameters() < SMALL_MODEL:
            torch.set_num_threads(1)
        eos = self.model.generation_config.eos_token_id
        self._eos = frozenset([eos] if isinstance(eos, int) else eos or ())
        self.context = int(getattr(self.model.config, "max_position_embeddings", 1 << 30))
        self._inbox: Inbox = queue.SimpleQueue()
        decoder = Decoder(self.model, max_num_seqs, self._inbox)
        self._thread = threading.Thread(target=decoder.run, name="testtime-decoding", daemon=True)
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
        stops = frozenset(request.stop_token_ids) | (
            frozenset() if request.ignore_eos else self._eos
        )
        row = Row(request, loop, loop.create_future(), stops)
        self._inbox.put(row)
        return await row.future

    async def close(self) -> None:
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)


def _beside_attention(model: Any) -> str:
    """What of a model is no attention over keys and values: a state that our cache would lose, so
    that the tokens came out wrong without a word. Empty where there is nothing.
    """
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    other = sorted(kinds - {"full_attention", "sliding_attention", "chunked_attention"})
    return ", ".join(other) or (model.config.model_type if model._is_stateful else "")
