"""What a strategy is, and the words it is written in: chains, answers, calls, attempts.

A strategy reads as straight code over a `Ledger` and knows nothing of storage, resuming, seeds or
prices. Its calls form a tree: a call stands on a `Node`, and what it drew is a node again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from testtime.config.schema import Config, ModelRef, Sampling, Thinking
from testtime.engines.base import EngineError
from testtime.models.delimiters import Format
from testtime.strategies.node import Ids, Node, Turns

if TYPE_CHECKING:
    from testtime.tools.base import Result

Amounts = dict[str, int]  # what an attempt is nested in: budget, wait, round, turn, nodes


@dataclass(frozen=True)
class Chain:
    """What one call drew. node: the place at its end; finish: "stop" (it ends with one of the stop
    sequences), "eos" (with end-of-sequence) or "length" (the cap stopped it: it could go on).
    """

    node: Node
    finish: Literal["stop", "eos", "length"]


@dataclass(frozen=True)
class Answer:
    """A stored answer. thinking, forced: of a request that thought before it answered.
    prompt_tokens: as the engine counted them. message: a server's that calls tools, no answer yet.
    """

    key: str
    text: str
    tokens: int
    thinking: int = 0
    forced: bool = False
    prompt_tokens: int = 0
    message: dict[str, Any] | None = None


@dataclass(frozen=True)
class Call:
    """One priced call. context: tokens that a cache could hold; fed: tokens read now (prompt,
    ending, marker, tool result, feedback); drawn: tokens sampled. model: "policy", "planner" or
    "prm", whose own tokens these are, or "tool", which has none: seconds are what it took, failed
    is whether it gave no result but an explanation.
    """

    context: int
    fed: int
    drawn: int
    model: str = "policy"
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True)
class Attempt:
    """One answer with all the calls that deploying it pays for.

    answers: one, or a search's several with weights, joined after grading; spent: pruned branches
    and probes included; path: sampled tokens on the longest sequential path; value: what the
    verifier of a search says of it; fallbacks: questions that could not be split; ess: effective
    sample size of a particle filter, the mean over its steps.
    """

    amounts: Amounts
    answers: tuple[tuple[Answer, float], ...]
    spent: tuple[Call, ...]
    path: int
    forced: bool = False
    value: float | None = None
    fallbacks: int = 0
    ess: float | None = None


@dataclass(frozen=True)
class Judged:
    """What the verifier says of steps, and what it read for that. scores: one a step; call: what
    is read beyond the steps it knew, as a priced call.
    """

    scores: tuple[float, ...]
    call: Call


class Ledger(Protocol):
    """Seeds, stores, meters and replays every call of one sample. A call's key and seed come from
    the tree: where it stands, what ends it, and `branch` where two calls at one place must be
    independent. Each raises EngineError where a request failed for good.
    """

    form: Format

    @property
    def role(self) -> str:
        """Who draws here: "policy" or "planner"."""
        ...

    def planner(self) -> Ledger:
        """The calls of this sample by the run's other model, with its own ids; where there is none,
        these.
        """
        ...

    @property
    def answer_tokens(self) -> int: ...

    async def think(
        self,
        at: Node,
        cap: int,
        *,
        stop: Sequence[Ids] = (),
        branch: str = "",
        sampling: Sampling | None = None,
    ) -> Chain:
        """Draw up to `cap` tokens. The cap is not in the key: a larger one continues the call."""
        ...

    async def answer(self, at: Node, *, lead: str = "", branch: str = "") -> Answer:
        """Draw an answer; `lead`: text that stands before it in what is graded."""
        ...

    async def own(self, at: Node, text: str | None = None) -> Answer:
        """The text of the thinking itself as the answer, or `text`: no request."""
        ...

    async def told(
        self,
        at: Node,
        budget: int,
        tools: tuple[dict[str, Any], ...] = (),
        may_call: bool = True,
    ) -> Answer:
        """One request in which the engine, told a budget or level, thinks and answers, or calls
        tools (as OpenAI's API has them). With the answer's tokens, `budget` caps what it draws.
        """
        ...

    async def score(self, at: Node, steps: Sequence[int], known: int = 0) -> Judged:
        """What the verifier says of each step of the text up to here. steps: where each ends, in
        tokens behind the prompt; known: how many of them it has read on this path before.
        """
        ...

    async def tool(
        self, at: Node, name: str, call: str, run: Callable[[], Awaitable[Result]], number: int = 0
    ) -> Result:
        """What a tool gave for a call that ends here. `run` is awaited where none is stored.
        number: of the calls of one message that were run before it.
        """
        ...

    def generator(self, at: Node, branch: str) -> np.random.Generator:
        """Random numbers of the strategy's own: of this place and `branch`, the same whenever it
        replays.
        """
        ...

    def ends(self, separator: str) -> tuple[Ids, ...]:
        """What ends a step: each token whose text holds the separator, or its ids where no token
        does.
        """
        ...

    def prompt(self, turns: Turns) -> Node:
        """The place after a prompt of these chat turns, thinking opened."""
        ...

    def encode(self, text: str) -> Ids:
        """Ids of a text that the strategy feeds."""
        ...

    def quote(self, text: str) -> Ids:
        """Ids of a text that somebody else wrote: whatever it says, it holds no special token, and
        what the tokenizer cannot write is left out.
        """
        ...

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of ids, `special` tokens left out or not."""
        ...


class Verifier(BaseModel):
    """A process reward model: a zoo name, a local folder or a hub id. family: how it reads steps,
    where that is not found by itself; read_at: the text after each step at which it is read;
    label_tokens: of a causal model, the tokens that say right and wrong. engine: who reads, with
    `args` (vLLM's, such as gpu_memory_utilization): no part of what is read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    family: str | None = None
    read_at: str | None = None
    label_tokens: tuple[str, str] | None = None
    engine: Literal["transformers", "vllm"] = "transformers"
    args: dict[str, Any] = {}


class Strategy(Thinking):
    """How one attempt is made, with its options: the `thinking:` part of a config.

    cuts: reads several budgets off one chain, which a sampler that looks at the whole text would
    not allow; ids: needs token ids; grows: options that only add attempts.
    """

    cuts: ClassVar[bool] = True
    ids: ClassVar[bool] = True
    grows: ClassVar[tuple[str, ...]] = ("budgets",)

    @abstractmethod
    def cells(self, form: Format) -> list[Amounts]:
        """The amounts of the attempts that every sample has, in reading order."""

    @abstractmethod
    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        """The attempts of one sample."""

    def recipe(self) -> tuple[object, ...]:
        """What its attempts depend on, besides how the model's thinking is marked."""
        return tuple(sorted(self.telling().items()))

    def telling(self) -> dict[str, Any]:
        """The options that its attempts depend on."""
        left_out = {*self.grows, *Thinking.model_fields} - {"strategy"}
        return self.model_dump(exclude=left_out)

    def verifier(self) -> Verifier | None:
        """The process reward model that steers it."""
        return None

    def planned_by(self) -> ModelRef | None:
        """Another model, which draws what it asks of a planner."""
        return None

    def feeds(self) -> tuple[str, ...]:
        """Texts that the model's tokenizer must be able to write."""
        return ()

    def separators(self) -> tuple[str, ...]:
        """Texts at which it ends a step, which the model's tokenizer must hold or write."""
        return ()

    def ready(self) -> dict[str, str]:
        """Makes what its attempts need besides the model. Returns, by key, what of it makes calls
        comparable; raises UserError where something is missing here.
        """
        return {}

    def check(self, config: Config[Any]) -> None:
        """Raises ValueError, beginning with the key, where this cannot run so."""
        if self.ids and config.engine.chat:
            raise ValueError(
                "engine.args.api: a chat server gives no token ids, so no chain can be cut; write "
                "thinking.strategy: native, and the levels as models with a setting and a request"
            )
        if self.cuts and config.sampling.penalty:
            raise ValueError(
                f"sampling.{config.sampling.penalty}: nested budgets cannot have it, since a cut "
                "chain would differ from a fresh one; leave it out, or write thinking.strategy: "
                "fresh"
            )


async def gathered(*parts: Coroutine[Any, Any, list[Attempt]]) -> list[Attempt]:
    """The attempts of all parts, in order. A failed call takes its own attempts, no sibling's."""
    import asyncio  # whoever only looks at a run needs none

    outcomes = await asyncio.gather(*parts, return_exceptions=True)
    made: list[Attempt] = []
    for outcome in outcomes:
        if isinstance(outcome, list):
            made += outcome
        elif not isinstance(outcome, EngineError):  # the ledger has noted that one
            raise outcome
    return made
