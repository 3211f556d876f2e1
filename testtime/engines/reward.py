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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from testtime.engines.readers import HEADS, ReadBy, architecture_of, batches, reader
from testtime.engines.step_layouts import FAMILIES
from testtime.errors import UserError

Over = Literal["text", "product", "min", "last"]
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
    "cpu"; dtype: "auto" is the checkpoint's own with transformers, vLLM's choice with vLLM.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        engine: ReadBy = "transformers",
        device: str | None = None,
        dtype: str = "auto",
    ) -> None:
        import transformers

        if engine not in get_args(ReadBy):
            raise UserError(f"reward: engine is {engine!r}; choose {' or '.join(get_args(ReadBy))}")
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
        self.reader = reader(engine, path, kind, dtype=dtype, device=device)

    def close(self) -> None:
        """Release the model."""
        self.reader.close()

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
        for batch in batches(fitting, tokens, self.reader.batch_tokens):
            said = self.reader.right([encoded[i] for i in batch])
            for i, found in zip(batch, said, strict=True):
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


def config_of(path: str | Path) -> dict[str, Any]:
    """The config.json of a folder. Raises UserError where there is none."""
    file = Path(path) / "config.json"
    if not file.is_file():
        raise UserError(
            f"reward model {path}: no config.json there; give a folder with a Hugging Face model"
        )
    return dict(json.loads(file.read_text()))


def join(found: NDArray[np.float64], over: Over) -> float:
    """Scores of steps as one."""
    if not len(found):
        return 0.0
    return float({"product": found.prod(), "min": found.min()}.get(over, found[-1]))
