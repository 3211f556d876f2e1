"""The run directory's tables: one dataclass a row, which is also the Parquet schema, and the keys.

A pool is calls and attempts. A call is one priced request and knows what it stands on: `kept`
tokens of the call `parent`, then `fed` ones. An attempt is one answer with all the calls that
deploying it pays for; it names its answers by key, so text and verdict are stored once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import pyarrow as pa


@dataclass(slots=True)
class ProblemRow:
    """prompt: its text, or its messages as JSON where a server keeps the tokenizer; grader: JSON of
    name and options; meta: JSON of what the benchmark keeps of it.
    """

    problem_id: str
    task: str
    question: str
    gold: str
    prompt: str
    prompt_ids: list[int]
    turns: str
    grader: str
    meta: str


@dataclass(slots=True)
class CallRow:
    """A call, or a part of one: each part continues it from token `start`.

    kind: "think", "answer" (at most one follows a place), "own" (the chain's text is the answer: no
    request), "told" (one request that thinks and answers), "turn" (one that calls tools instead:
    its text is the server's message as JSON), "score" or "tool". kept: tokens kept of `parent` (the
    sample itself where it begins with "#"), or calls of that turn before this one; fed: ids read
    before the first is drawn.
    thinking: tokens of a "told" call before its answer; forced: whether its thinking was closed for
    it. text: of an answer, with what the forced ending says before it. logprob_*: mean and least
    over the thinking kept and the answer; answer_logprob: sum over the answer. model: who drew it
    where it was not the policy, or the verifier that gave `scores`, one a step; its prompt_tokens
    are those it has read, cached_tokens of them before. Of a "tool" call: model its name, text the
    result, finish how it ended (`tools.base`), seconds what it took.
    """

    key: str
    problem_id: str
    sample: int
    kind: str
    parent: str
    kept: int
    fed: list[int]
    start: int = 0
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tokens: int = 0
    thinking: int = 0
    forced: bool = False
    finish: str = "stop"
    text: str = ""
    logprob_mean: float | None = None
    logprob_min: float | None = None
    answer_logprob: float | None = None
    seed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    model: str = "policy"
    scores: list[float] = field(default_factory=list)
    seconds: float | None = None


@dataclass(slots=True)
class AttemptRow:
    """recipe: hash of how its answers are asked for; cell: what it is nested in, such as
    "budget=8,round=2"; answers: keys of calls, weights beside them; context, fed, drawn: of each
    call that deploying it pays for, by which of `models`; path: sampled tokens on the longest
    sequential path; value: what the verifier of a search says of it. tool_failures: of its
    tool_calls, those that failed; fallbacks: questions that could not be split.
    """

    problem_id: str
    sample: int
    recipe: str
    cell: str
    answers: list[str]
    weights: list[float]
    forced: bool
    answer_tokens: int
    path: int
    context: list[int]
    fed: list[int]
    drawn: list[int]
    models: list[str]
    value: float | None = None
    tool_calls: int | None = None
    tool_failures: int | None = None
    tool_seconds: float | None = None
    fallbacks: int | None = None
    ess: float | None = None


@dataclass(slots=True)
class GradeRow:
    """A verdict of (grader's version, gold, text), of which `key` is the hash."""

    key: str
    verdict: str
    extracted: str
    answer_key: str | None
    version: str
    detail: str


@dataclass(slots=True)
class RewardRow:
    """What a reward model gave an answer, under a column's name."""

    key: str
    name: str
    reward: float
    flops: float


@dataclass(slots=True)
class VerificationRow:
    """What a model said when it was asked for the `number`th time whether an answer is right, under
    a column's name. recipe: hash of who was asked and how; value: P(right); tokens: sampled;
    flops: the first time with the prompt, later it is in the cache.
    """

    key: str
    name: str
    number: int
    recipe: str
    value: float
    tokens: int
    flops: float


@dataclass(slots=True)
class ChoiceRow:
    """Which of several answers to a problem a model took, under a column's name. key: of what was
    shown; samples, answers: these, by number and by the key of their call, in the order shown;
    chosen: the place among them, -1 where the reply names none; tokens: sampled.
    """

    key: str
    name: str
    recipe: str
    problem_id: str
    samples: list[int]
    answers: list[str]
    chosen: int
    tokens: int
    flops: float


_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    str | None: pa.string(),
    int: pa.int32(),
    int | None: pa.int32(),
    float: pa.float32(),
    float | None: pa.float32(),
    bool: pa.bool_(),
    list[int]: pa.list_(pa.int32()),
    list[float]: pa.list_(pa.float32()),
    list[str]: pa.list_(pa.string()),
}
_WIDE = {"seed": pa.int64(), "flops": pa.float64()}


def _schema(row: type[Any]) -> pa.Schema:
    types = get_type_hints(row)
    return pa.schema({f.name: _WIDE.get(f.name, _TYPES[types[f.name]]) for f in fields(row)})


SCHEMAS: dict[str, pa.Schema] = {
    "problems": _schema(ProblemRow),
    "calls": _schema(CallRow),
    "attempts": _schema(AttemptRow),
    "grades": _schema(GradeRow),
    "rewards": _schema(RewardRow),
    "verifications": _schema(VerificationRow),
    "choices": _schema(ChoiceRow),
}
KEYS: dict[str, list[str]] = {
    "problems": ["problem_id"],
    "calls": ["key", "start"],
    "attempts": ["problem_id", "sample", "recipe", "cell"],
    "grades": ["key"],
    "rewards": ["key", "name"],
    "verifications": ["key", "name", "number"],
    "choices": ["key", "name"],
}
Row = ProblemRow | CallRow | AttemptRow | GradeRow | RewardRow | VerificationRow | ChoiceRow
