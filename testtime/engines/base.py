"""What an engine is: something that can complete one request.

Batching, caching and placement are the engine's business, so the sampler reads as straight code:
await the chain, then its answers. A request is token ids, because cutting and closing a chain must
never go through text; messages exist only for endpoints that take nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from testtime.config.schema import Sampling as Sampling
from testtime.errors import UserError

PART_SECONDS = (
    10.0  # between two parts of a chain that is being drawn: a kill loses about this much
)


@dataclass(frozen=True, slots=True)
class Request:
    """One sample to draw.

    prompt: token ids; or messages (chat turns, `{"role", "content"}`) where prompt is None.
    max_tokens: cap on generated tokens, at least 1. seed: 63 bits, this request's own.
    stop_token_ids: generation ends after any of these (the token is kept in the completion).
    ignore_eos: go on past end-of-sequence (benchmarks only). affinity: requests with the same key
    share a prefix; a replicated engine sends them to the same replica. thinking_budget: thinking
    tokens after which the engine itself is to close the thinking (see thinking.whole). on_part: an
    engine that can calls it every PART_SECONDS or so, in its event loop, with all that was drawn.
    labels: tokens whose log-probabilities are asked for in the first generated one's place.
    tools: what messages may call, as OpenAI's `tools`; may_call: whether they still may.
    """

    prompt: tuple[int, ...] | None
    max_tokens: int
    seed: int
    sampling: Sampling = field(default_factory=Sampling)
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    affinity: str = ""
    messages: tuple[dict[str, Any], ...] | None = None
    thinking_budget: int | None = None
    on_part: Callable[[Completion], None] | None = field(default=None, compare=False, repr=False)
    labels: tuple[int, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    may_call: bool = True


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back for one request.

    token_ids: generated ids, the stopping token (end-of-sequence or a stop id) included. text: the
    engine's decoding of token_ids, special tokens left out; for people, never for cutting. finish:
    "stop" (a stop id or end-of-sequence) or "length". logprobs: natural log-probability of each
    generated token under the model's raw distribution (before temperature and filters), same length
    as token_ids; empty where an endpoint gives none. prompt_tokens: length of the prompt;
    cached_tokens: how many of them were not computed again. counts: (thinking, answer) tokens where
    a server gives no ids; text is the answer's then. labels: raw log-probabilities of the request's
    labels; empty where an endpoint gives none. message: one that calls tools, as it is sent again.
    """

    token_ids: list[int]
    text: str
    finish: Literal["stop", "length"]
    logprobs: list[float]
    prompt_tokens: int
    cached_tokens: int = 0
    counts: tuple[int, int] | None = None
    labels: tuple[float, ...] = ()
    message: dict[str, Any] | None = None


class Engine(Protocol):
    """The protocol. `max_num_seqs` is how many chains' lives the sampler keeps in flight at
    once; fewer where the engine has an attribute `cache_tokens`, the tokens that its key-value
    cache holds, and these chains would not fit.
    """

    name: str
    max_num_seqs: int

    async def complete(self, request: Request) -> Completion:
        """Draw one sample. Raises EngineError when the request cannot be served any more (it is
        then *missing*).
        """
        ...

    async def close(self) -> None:
        """Release the model, child processes and sockets."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """What a verifier says of steps. scores: a probability of "right so far" at the end of each
    step; read: tokens that it has read at the end of the question, then of each step.
    """

    scores: list[float]
    read: list[int]


class Scorer(Protocol):
    """A verifier of steps; requests in flight at once are its business to batch. `name` tells
    checkpoints apart: scores of another one are not its own.
    """

    name: str

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        """Raises EngineError where it fails."""
        ...

    async def close(self) -> None: ...


class EngineError(Exception):
    """One request failed for good: it is recorded as missing, never as wrong."""


class ContextError(EngineError):
    """A request does not fit into the model's context."""


class EngineUnavailable(UserError):  # noqa: N818 - it is a UserError by base
    """This engine cannot run here; the message says what to install."""
