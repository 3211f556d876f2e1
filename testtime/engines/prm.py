"""Process reward models as people publish them, each read where it was trained.

How that is stands in `step_layouts`; here the model is loaded and reads. Attention is causal, so a
text is read up to its last step only, and padding on the right changes nothing before it. Requests
that come while a batch is read make up the next one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testtime.engines.base import EngineError, Scored
from testtime.engines.step_layouts import FAMILIES, Read, family_of
from testtime.errors import UserError, suggest

BATCH_TOKENS = 16384  # of one pass, padding included


class StepScorer:
    """A process reward model in memory, through transformers.

    path: a folder or hub id; name: what tells checkpoints apart; family, read_at, label_tokens: as
    `FAMILIES` says where they are None. dtype: "auto" is the checkpoint's own. Raises UserError
    where it cannot be loaded or read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str = "prm",
        family: str | None = None,
        read_at: str | None = None,
        label_tokens: tuple[str, str] | None = None,
        dtype: str = "auto",
        device: str | None = None,
    ) -> None:
        import torch
        import transformers

        self.name = name
        config = _config(path)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(path))
        heads = _heads(path)
        valued = any(key.startswith("v_head.") for key in heads)
        known = family or family_of(config, bool(self.tokenizer.chat_template), valued)
        if known not in FAMILIES:
            raise UserError(f"thinking.prm.family: {known!r} is unknown{suggest(known, FAMILIES)}")
        self.family = FAMILIES[known]
        self.longest = int(config.get("max_position_embeddings") or 2**31)
        self.read_at = self.family.read_at if read_at is None else read_at
        self.labels = label_tokens or self.family.labels
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        said = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()  # a head that AutoModel passes over is read here
        try:
            if self.labels:
                whole = transformers.AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype)
                wrong_right = [self._token(text) for text in reversed(self.labels)]
                rows = whole.get_output_embeddings().weight.detach()[wrong_right]
                self._body, self._head = whole.base_model, _linear(rows, None)
            else:
                self._body = transformers.AutoModel.from_pretrained(str(path), dtype=dtype)
                self._head = _head(path, heads)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"verifier {path}: cannot be loaded ({' '.join(str(error).split())[:200]})"
            ) from None
        finally:
            transformers.logging.set_verbosity(said)
        self._body.to(self.device).eval()
        self._head.to(self.device, self._body.dtype).eval()
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
        if self._reading:
            await self._reading

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
        most = 1
        while (
            most < len(self._waiting)
            and (most + 1) * len(self._waiting[most][0][0]) <= BATCH_TOKENS
        ):
            most += 1
        batch, self._waiting = self._waiting[:most], self._waiting[most:]
        return batch

    def read(self, texts: Sequence[Read]) -> list[list[float]]:
        """The probability of "right" at the end of each step of each text."""
        import torch

        width = min(self.longest, max(len(ids) for ids, _ in texts))
        ids, mask = np.zeros((len(texts), width), np.int64), np.zeros((len(texts), width), np.int64)
        for row, (text, _) in enumerate(texts):
            ids[row, : len(text)] = text[:width]
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            place = {"device": self.device}
            hidden = self._body(
                input_ids=torch.tensor(ids, **place), attention_mask=torch.tensor(mask, **place)
            ).last_hidden_state
            scores = []
            for row, (_, ends) in enumerate(texts):
                at = [end - 1 for end in ends[1:] if end <= width]
                right = _right(self._head(hidden[row, at]).double())
                scores.append([*right.tolist(), *[0.0] * (len(ends) - 1 - len(at))])
        return scores

    def _token(self, text: str) -> int:
        return int(self.tokenizer.encode(text, add_special_tokens=False)[-1])


def _config(path: str | Path) -> dict[str, Any]:
    import transformers

    file = Path(path) / "config.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    return dict(transformers.AutoConfig.from_pretrained(str(path)).to_dict())


def _heads(path: str | Path) -> dict[str, Any]:
    """The tensors of a folder's heads."""
    from safetensors import safe_open

    held = {}
    for file in sorted(Path(path).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a mapping
                if key.startswith(("v_head.", "score.", "classifier.")):
                    held[key] = tensors.get_tensor(key)
    return held


def _right(logits: Any) -> Any:
    """logits: (steps, labels); of two labels the second is right, one is a logit."""
    return logits[:, 0].sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1)[:, 1]


def _linear(weight: Any, bias: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer


def _head(path: str | Path, weights: dict[str, Any]) -> Any:
    """The head that the weights hold: one layer, or two with a ReLU between them."""
    import torch

    stems = sorted({key.rsplit(".", 1)[0] for key in weights})
    if not stems:
        raise UserError(
            f"verifier {path}: its weights hold no head (score.*, classifier.* or v_head.*); give "
            "a local folder with safetensors of a process reward model"
        )
    layers: list[Any] = []
    for stem in stems:
        weight, bias = weights[f"{stem}.weight"], weights.get(f"{stem}.bias")
        layer = _linear(weight, bias)
        layers += [torch.nn.ReLU(), layer] if layers else [layer]
    return torch.nn.Sequential(*layers)
