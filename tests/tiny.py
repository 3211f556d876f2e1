"""Stand-ins that several tests share: a tokenizer made in memory, an engine with a known
distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import testtime
from testtime import pipeline
from testtime.engines.base import Completion, Request
from testtime.models.delimiters import Format
from testtime.runs import prepare
from testtime.runs.draw import draw
from testtime.runs.progress import Progress
from testtime.runs.run import Run
from testtime.storage.store import Store

OPEN, CLOSE, EOS = 1, 2, 3
FORM = Format((OPEN,), (CLOSE,), (CLOSE,), "")


def tokenizer(
    specials: Sequence[str] = ("<eos>", "<think>", "</think>"), template: str | None = None
) -> Any:
    """A character-level fast tokenizer: one token for each special, printable ASCII character and
    newline.
    """
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    characters = ["\n", *map(chr, range(32, 127))]
    vocabulary = {token: i for i, token in enumerate(["<unk>", *specials, *characters])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(list(specials))
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>"
    )
    made.chat_template = template
    return made


class MemorylessEngine:
    """Draws each token from one distribution over `weights`, by the request's own seed; stops as an
    engine does.
    """

    name = "memoryless"

    def __init__(self, weights: dict[int, float], max_num_seqs: int = 8) -> None:
        self.max_num_seqs = max_num_seqs
        self.requests: list[Request] = []
        self._tokens = np.array(list(weights))
        self._edges = np.cumsum(list(weights.values())) / sum(weights.values())

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        uniforms = np.random.Generator(np.random.Philox(request.seed)).random(request.max_tokens)
        drawn = self._tokens[np.searchsorted(self._edges, uniforms)].tolist()
        stops = {EOS, *request.stop_token_ids}
        end = next((i + 1 for i, token in enumerate(drawn) if token in stops), None)
        ids = drawn[:end]
        prompt = len(request.prompt or ())
        return Completion(ids, "", "length" if end is None else "stop", [-1.0] * len(ids), prompt)

    async def close(self) -> None: ...


class Silent:
    """An engine that nothing may be asked of."""

    name = "silent"
    max_num_seqs = 8

    async def complete(self, request: Request) -> Completion:
        raise AssertionError(f"asked for {request}")

    async def close(self) -> None: ...


@contextmanager
def without_report() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("testtime.report.write", lambda *_: None)
        yield


def evaluated(told: Any, **options: Any) -> list[Run]:
    """`testtime.run` up to its tables."""
    with without_report():
        return testtime.run(told, **options)


def pool(told: dict[str, Any]) -> Store:
    """The pool that a config of one model asks for, drawn whole by the embedded engine unless it
    names another, and not yet graded.
    """
    small = {"name": "t", "engine": "transformers", "resamples": 100}
    (job,) = pipeline.ready({**small, **told})
    prepare.register(job)
    assert not draw(job, Progress())
    return job.store
