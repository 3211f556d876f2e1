"""Tree search over whole attempts: each node is an attempt at the question or refines its parent's,
and an algorithm decides, by what a verifier says of those made so far, which to refine or whether
to begin anew (AB-MCTS: Inoue et al. 2025, "Wider or deeper?").

The algorithms are those of the library treequest, asked and told one node at a time, so a search of
k nodes never knew how many would follow: all numbers of nodes are read off one tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from testtime.engines.base import EngineError
from testtime.errors import UserError
from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Answer, Attempt, Ledger
from testtime.strategies.budget import Show, Thinking, answered, cut, shown, think
from testtime.strategies.node import Node
from testtime.strategies.revise import PROMPT, alike_from_start
from testtime.strategies.search import Bill, Sizes, Steered

ALGORITHMS = {  # its name in a config -> module and class of treequest
    "ab-mcts-a": ("ab_mcts_a.algo", "ABMCTSA"),
    "mcts": ("standard_mcts", "StandardMCTS"),
    "best-first": ("best_first_search", "BestFirstSearchAlgo"),
    "tree-of-thoughts": ("tree_of_thought_bfs", "TreeOfThoughtsBFSAlgo"),
}


@dataclass(frozen=True)
class _Made:
    """A node: the prompt it stood behind, its answer, what a reader of it sees, its value."""

    prompt: Node
    answer: Answer
    text: str
    forced: bool
    value: float


class Tree(Steered):
    """nodes: how many attempts a search makes; budget: thinking tokens of each; prompt: what asks
    to refine one, as the user's next turn; show: what it is shown of it. select: how their answers
    become one: "best" by the verifier, or all vote, with their values ("weighted") or one each
    ("majority").
    """

    grows: ClassVar[tuple[str, ...]] = ("nodes",)
    strategy: Literal["tree"] = "tree"
    algorithm: Literal["ab-mcts-a", "mcts", "best-first", "tree-of-thoughts"] = "ab-mcts-a"
    nodes: Sizes
    budget: int = Field(ge=0)
    prompt: str = PROMPT
    show: Show = "answer"
    select: Literal["best", "weighted", "majority"] = "best"

    def cells(self, form: Format) -> list[Amounts]:
        return [{"nodes": nodes} for nodes in sorted(set(self.nodes))]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        search, made, bill = algorithm(self.algorithm), list[_Made](), Bill()
        state, attempts = search.init_tree(), list[Attempt]()
        for number in range(max(self.nodes)):
            with seeded(ledger.generator(prompt, f"tree,{number}")):
                state, trial = search.ask(state, ["attempt"])
            parent = None if trial.parent_state is None else made[trial.parent_state]
            try:
                made.append(await self._node(ledger, prompt, parent, made, bill))
            except EngineError:  # the ledger has noted it; smaller trees are whole
                break
            state = search.tell(state, trial.trial_id, (number, made[-1].value))
            if len(made) in self.nodes:
                attempts.append(self._attempt(made, bill))
        return attempts

    async def _node(
        self, ledger: Ledger, root: Node, parent: _Made | None, made: Sequence[_Made], bill: Bill
    ) -> _Made:
        """A new attempt, or one that refines `parent`; of a prompt that was read before, all is in
        a cache, else what it begins with like its parent's.
        """
        prompt, cached = root, 0
        if parent is not None:
            answer = {"role": "assistant", "content": parent.text}
            asked = {"role": "user", "content": self.prompt}
            prompt = ledger.prompt((*parent.prompt.turns, answer, asked))
            cached = alike_from_start(parent.prompt.kept, prompt.kept)
        if any(node.prompt.key == prompt.key for node in made):
            cached = len(prompt.kept)
        branch = f"tree,{len(made)}"
        thinking = await think(ledger, prompt, self.budget, branch)
        budget = {"budget": self.budget}
        attempt = await answered(
            ledger, thinking, self.budget, budget, cached=cached, branch=branch
        )
        bill.calls += attempt.spent
        bill.path += attempt.path
        value = await self._value(ledger, thinking, bill)
        ((own, _),) = attempt.answers
        text = shown(ledger, thinking, attempt, self.show)
        return _Made(prompt, own, text, attempt.forced, value)

    async def _value(self, ledger: Ledger, thinking: Thinking, bill: Bill) -> float:
        """What the verifier says of the thinking, what closes it left out."""
        at = cut(thinking.node.length, thinking.finish, self.budget)
        assert at is not None
        end = at.tokens if at.forced else at.tokens - len(ledger.form.close)
        place = thinking.node.cut(at.tokens)
        steps = self.steps(ledger, place, 0, end)
        if not steps:
            return 0.0
        said = await ledger.score(place, steps)
        bill.judged(said.call, 0)
        return self.joined(said.scores)

    def _attempt(self, made: Sequence[_Made], bill: Bill) -> Attempt:
        """What the search has come to so far."""
        best = max(made, key=lambda node: node.value)  # the first of equals
        chosen = [best] if self.select == "best" else made
        weighs = self.select == "weighted"
        answers = tuple((node.answer, node.value if weighs else 1.0) for node in chosen)
        amounts = {"nodes": len(made)}
        return Attempt(amounts, answers, tuple(bill.calls), bill.path, best.forced, best.value)


def algorithm(name: str) -> Any:
    """An algorithm of treequest. Raises UserError where the library is not installed."""
    import importlib

    module, kind = ALGORITHMS[name]
    try:
        return getattr(importlib.import_module(f"treequest.algos.{module}"), kind)()
    except ImportError as error:
        raise UserError(
            f"thinking.strategy: tree needs the library treequest ({error}); install testtime[tree]"
        ) from None


@contextmanager
def seeded(noise: np.random.Generator) -> Iterator[None]:
    """NumPy's global generator, which SciPy's distributions draw from too, under a seed of this
    place: the library knows no other, and must neither disturb nor depend on what else draws.
    """
    before = np.random.get_state()
    np.random.seed(int(noise.integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(before)
