"""Scores of stored answers by a reward model: a pass of its own over the pool, so that it can be
added to any run later.

A reward model is a decoder with a classification head (`...ForSequenceClassification` or
`...ForTokenClassification`), run by transformers or by vLLM's pooling runner. An outcome model
scores the whole text at its last token; a process model scores each step at the step's last token,
and the steps are joined by their product, minimum, or last (Lightman et al. 2023; Snell et al.
2024, appendix E). Scores are probabilities, so that they rank (best-of-n) and weigh votes alike.
Attention is causal: padding on the right and later steps change nothing before them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from testtime.engines.step_layouts import FAMILIES
from testtime.errors import UserError

Over = Literal["text", "product", "min", "last"]
RewardEngine = Literal["transformers", "vllm"]
HEADS = ("ForSequenceClassification", "ForTokenClassification")
# stands for the response while the chat template is rendered, which may edit what it reads
PLACE = "\u241fRESPONSE\u241f"


@dataclass(frozen=True, slots=True)
class Rewards:
    """value: a probability for each text, NaN where the model cannot read one so long; tokens: what
    each pass read.
    """

    value: NDArray[np.float64]
    tokens: NDArray[np.int64]


class RewardModel:
    """A reward model in memory. Raises UserError where the folder holds none, or vLLM is asked for
    and not installed.

    engine: "transformers" or "vllm"; device: for transformers, "cuda" where there is one, else
    "cpu"; dtype: "auto" is the checkpoint's own with transformers, vLLM's choice with vLLM;
    batch_tokens: how many tokens, padding included, one pass of transformers takes.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        engine: RewardEngine = "transformers",
        device: str | None = None,
        dtype: str = "auto",
        batch_tokens: int = 16384,
    ) -> None:
        import transformers

        if engine not in get_args(RewardEngine):
            raise UserError(
                f"reward: engine is {engine!r}; choose {' or '.join(get_args(RewardEngine))}"
            )
        config = config_of(path)
        kind = architecture_of(config)
        head = next((head for head in HEADS if kind.endswith(head)), None)
        if head is None:
            raise UserError(
                f"reward model {path}: its architecture is {kind}, which has no classification "
                f"head; "
                "give a ...ForSequenceClassification or ...ForTokenClassification model"
            )
        self.trl = head == "ForTokenClassification"
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(path))
        self.longest = int(config.get("max_position_embeddings") or 2**31)
        self.batch_tokens = batch_tokens
        self.vllm: Any = None
        if engine == "vllm":
            self.vllm = _pooling(path, dtype)
        else:
            import torch

            self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
            load = getattr(transformers, f"AutoModel{head}")
            self.model = load.from_pretrained(str(path), dtype=dtype).to(self.device).eval()

    def close(self) -> None:
        """Release vLLM's child process."""
        if self.vllm is not None:
            self.vllm.llm_engine.engine_core.shutdown()

    def score(
        self, pairs: Sequence[tuple[str, str]], over: Over = "text", separator: str = "\n\n"
    ) -> Rewards:
        """Score (question, response) pairs, each rendered by the model's chat template as one
        exchange; the steps of a token classifier as TRL trains it, without template, each read at
        the last token of the separator behind it.

        over: "text" reads the last token; the others read the last token of each step of the
        response, steps being divided by `separator`. One label is read as a logit, of two the
        second is "right". A response without steps scores 0.
        """
        if over not in ("text", "product", "min", "last"):
            raise UserError(f"reward: over is {over!r}; choose text, product, min or last")
        encoded = [self._encode(*pair, over, separator) for pair in pairs]
        value = np.full(len(pairs), np.nan)
        tokens = np.array([len(ids) for ids, _ in encoded], dtype=np.int64)
        fitting = [i for i in np.argsort(tokens, kind="stable") if tokens[i] <= self.longest]
        read = self._read if self.vllm is None else self._read_vllm
        whole = [fitting] if fitting else []
        parts = batches(fitting, tokens, self.batch_tokens) if self.vllm is None else whole
        for batch in parts:
            for i, found in zip(batch, read([encoded[i] for i in batch]), strict=True):
                value[i] = join(found, over)
        return Rewards(value, tokens)

    def _encode(
        self, question: str, response: str, over: Over, separator: str
    ) -> tuple[list[int], list[int]]:
        """Token ids, and the places to read."""
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": PLACE}]
            head, _, tail = self.tokenizer.apply_chat_template(turns, tokenize=False).partition(
                PLACE
            )
        else:
            head, tail = f"{question}\n", ""
        plain = over == "text"
        if self.trl and not plain:
            steps = [step.strip() for step in response.split(separator)]
            ids, ends = FAMILIES["trl"].layout(
                self.tokenizer, question, [*filter(None, steps)], separator
            )
            return ids, [end - 1 for end in ends[1:]]
        coded = self.tokenizer(
            head + response + tail, add_special_tokens=False, return_offsets_mapping=not plain
        )
        ids = list(coded["input_ids"])
        if plain:
            return ids, [len(ids) - 1] if ids else []
        starts = np.array([start for start, _ in coded["offset_mapping"]])
        ends, at = [], len(head)
        for step in response.split(separator):
            at += len(step)
            if step.strip():
                ends.append(at - (len(step) - len(step.rstrip())))
            at += len(separator)
        return ids, [int(np.searchsorted(starts, end) - 1) for end in ends]

    def _read(self, texts: Sequence[tuple[list[int], list[int]]]) -> list[NDArray[np.float64]]:
        """The probability of "right" at each place of each text."""
        import torch

        width = max(1, *(len(ids) for ids, _ in texts))
        ids = torch.zeros((len(texts), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (text, _) in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text, dtype=torch.long)
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            hidden: Any = self.model.base_model(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            )
            logits = self.model.score(hidden.last_hidden_state).double().cpu()
        right = (
            torch.sigmoid(logits[..., 0])
            if logits.shape[-1] == 1
            else torch.softmax(logits, dim=-1)[..., 1]
        )
        return [right[row, places].numpy() for row, (_, places) in enumerate(texts)]

    def _read_vllm(self, texts: Sequence[tuple[list[int], list[int]]]) -> list[NDArray[np.float64]]:
        """The same from vLLM, which batches by itself and applies the activation."""
        prompts = [{"prompt_token_ids": ids} for ids, _ in texts]
        outputs = self.vllm.encode(prompts, pooling_task="token_classify", use_tqdm=False)
        right = [output.outputs.data.double().numpy()[:, -1] for output in outputs]
        return [values[places] for values, (_, places) in zip(right, texts, strict=True)]


def _pooling(path: str | Path, dtype: str) -> Any:
    """vLLM with a classification of every token."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB; GPUs do not read it
    try:
        from vllm import LLM
        from vllm.config import PoolerConfig
    except ImportError as error:
        raise UserError(
            f"reward model {path}: vLLM cannot be imported ({error}); choose engine transformers"
        ) from None
    return LLM(
        model=str(path),
        runner="pooling",
        pooler_config=PoolerConfig(task="token_classify"),
        dtype=dtype,
    )


def config_of(path: str | Path) -> dict[str, Any]:
    """The config.json of a folder. Raises UserError where there is none."""
    file = Path(path) / "config.json"
    if not file.is_file():
        raise UserError(
            f"reward model {path}: no config.json there; give a folder with a Hugging Face model"
        )
    return dict(json.loads(file.read_text()))


def architecture_of(config: dict[str, Any]) -> str:
    return str((config.get("architectures") or ["none"])[0])


def batches(order: Sequence[int], tokens: NDArray[np.int64], batch_tokens: int) -> list[list[int]]:
    """Texts of like length together, padded to the longest within `batch_tokens`; order: of
    length.
    """
    made: list[list[int]] = []
    for i in order:
        if made and (len(made[-1]) + 1) * tokens[i] <= batch_tokens:
            made[-1].append(i)
        else:
            made.append([i])
    return made


def join(found: NDArray[np.float64], over: Over) -> float:
    """Scores of steps as one."""
    if not len(found):
        return 0.0
    return float({"product": found.prod(), "min": found.min()}.get(over, found[-1]))
